"""Which method the page opens on, and why; and how far each agrees with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activation_atlas.stages.report.trust import number, shown_kind

FORGETS = 0.5
"""A method is passed over whose maps correlate more than this with those of a model that has forgotten everything."""


@dataclass(frozen=True)
class Opening:
    """The variant that is shown first, and one sentence on why it is; empty where nothing was measured."""

    variant: str | None
    why: str = ""


def opening(titles: Mapping[str, str], trust: Sequence[Mapping[str, Any]], shuffled: Mapping[str, Sequence]) -> Opening:
    """The method that stands up best to ``evaluate``.

    It is the one with the largest gain: by how much its maps do better than the random one of the same kind in
    deletion and insertion together, image by image (Petsiuk et al. 2018), if the 95 % interval of the gain lies above
    0; of equal ones the first. Methods whose maps stay when all layers are shuffled show the image and not what the
    model knows (Adebayo et al. 2018), and are passed over. The pointing game has no say: a box tells where a thing
    is, not what the model went by.

    Args:
        titles: variant to what the page calls it, in the order asked for.
        trust: rows of the table; of it, the kind of target that the sheet on trust shows.
        shuffled: variant to rows of ``randomization``.
    """
    first = next(iter(titles), None)
    kind = shown_kind(trust)
    gains = {r["variant"]: r for r in trust if r["measure"] == "gain" and r["kind"] == kind and r["variant"] in titles}
    if not gains or len(titles) < 2:
        return Opening(first)
    sure = [name for name in titles if name in gains and (gains[name]["low"] or 0) > 0]
    stays = [name for name in sure if _kept(shuffled.get(name, ())) > FORGETS]
    able = [name for name in sure if name not in stays]
    if not able:
        but = f", but for {_list(titles, stays)}, whose maps stay when the model forgets" if stays else ""
        return Opening(first, f"Shown first, as asked for: no method does surely better than a random map{but}.")
    best = max(able, key=lambda name: gains[name]["mean"])
    row, more = gains[best], [name for name in stays if gains[name]["mean"] > gains[best]["mean"]]
    but = f"; {_list(titles, more)} gained more, but with maps that stay when the model forgets" if more else ""
    return Opening(
        best,
        f"Shown first: of {len(titles)} methods, {titles[best]} gains most over a random map in deletion and insertion "
        f"together, {_gain(row)} (mean of {row['n']} images, 95 % interval){but}.",
    )


def _list(titles: Mapping[str, str], names: Sequence[str]) -> str:
    return " and ".join(titles[name] for name in names)


def _gain(row: Mapping[str, Any]) -> str:
    low, mean, high = (number(row[key], 3) for key in ("low", "mean", "high"))
    return f"{mean} [{low}, {high}]"


def _kept(rows: Sequence[Mapping[str, Any]]) -> float:
    """Rank correlation with the maps of the model whose layers are all shuffled; 0 where it is not known."""
    last = max(rows, key=lambda row: row["depth"]) if rows else None
    return 0.0 if last is None or last["mean"] is None else last["mean"]


def agrees(titles: Mapping[str, str], pairs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Variant to one sentence on how far its maps agree with those of the others, from rows of ``agreement``."""
    found: dict[str, str] = {}
    for name in titles:
        means = {_other(row, name): row["mean"] for row in pairs if row["mean"] is not None}
        means = {titles[other]: value for other, value in means.items() if other in titles}
        if len(means) == 1:
            ((other, value),) = means.items()
            found[name] = f"Rank correlation with {other}: {number(value, 2)} on average."
        elif means:
            average = number(sum(means.values()) / len(means), 2)
            lowest, highest = min(means, key=means.get), max(means, key=means.get)
            least, most = (f"{title}, {number(means[title], 2)}" for title in (lowest, highest))
            ends = f"least with {least}; most with {most}"
            found[name] = f"Rank correlation with the others: {average} on average ({ends})."
    return found


def _other(row: Mapping[str, Any], name: str) -> str | None:
    return {row["variant"]: row["other"], row["other"]: row["variant"]}.get(name)
