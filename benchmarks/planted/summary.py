"""The table: what came of all audits, with intervals over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.intervals import wilson
from benchmarks.planted.artefacts import VISIBLE

DRAWS = 2000
Scored = Mapping[str, Any]
"""Of one audit: the case's fields, and what was scored."""


def share(hits: Iterable[bool]) -> tuple[int, int, float, float]:
    """How many of how many, and the 95 % interval of their share (Wilson 1927)."""
    all_hits = [bool(hit) for hit in hits]
    return sum(all_hits), len(all_hits), *wilson(sum(all_hits), len(all_hits))


def mean(values: Iterable[float], seed: int = 0) -> tuple[float, float, float]:
    """Mean of what is finite, and its 95 % interval: percentiles of means of as many audits drawn anew."""
    known = np.array([value for value in values if value is not None and np.isfinite(value)], np.float64)
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(0, len(known), (DRAWS, len(known)))
    low, high = np.percentile(known[drawn].mean(1), [2.5, 97.5])
    return float(known.mean()), float(low), float(high)


def pooled(audits: Iterable[Sequence[bool]], seed: int = 0) -> tuple[int, int, float, float]:
    """As :func:`share`, of hits that come in audits: cues of one network are tested on the same images, so the interval
    is of audits drawn anew. (0, 1) where there are fewer than two.
    """
    each = np.array([(sum(map(bool, one)), len(one)) for one in audits if len(one)], np.float64).reshape(-1, 2)
    total = each.sum(0)
    if len(each) < 2:
        return int(total[0]), int(total[1]), 0.0, 1.0
    drawn = each[np.random.default_rng(seed).integers(0, len(each), (DRAWS, len(each)))].sum(1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return int(total[0]), int(total[1]), float(low), float(high)


def _pooled(audits: Iterable[Sequence[bool]]) -> str:
    k, n, low, high = pooled(audits)
    return f"{k}/{n} = {k / n:.3f} [{low:.2f}, {high:.2f}]" if n else "-"


def _share(hits: Iterable[bool]) -> str:
    k, n, low, high = share(hits)
    return f"{k}/{n} [{low:.2f}, {high:.2f}]" if n else "-"


def _mean(values: Iterable[float]) -> str:
    middle, low, high = mean(values)
    return "-" if np.isnan(middle) else f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def _groups(scored: Sequence[Scored]) -> list[tuple[str, list[Scored]]]:
    kinds = dict.fromkeys((each["architecture"], each["artefact"], each["rho"]) for each in scored)
    order = sorted(kinds, key=lambda kind: (kind[0], kind[2] is None, -(kind[2] or 0)))
    return [
        (
            f"{kind[0]}, {kind[1]}, {'clean twin' if kind[2] is None else f'{kind[2]:g}'}",
            [each for each in scored if (each["architecture"], each["artefact"], each["rho"]) == kind],
        )
        for kind in order
    ]


CASES: tuple[tuple[str, Callable[[list[Scored]], str]], ...] = (
    ("accuracy", lambda group: _mean(each["accuracy"] for each in group)),
    ("truly turned", lambda group: _mean(each["turned"] for each in group)),
    ("found first", lambda group: _share(each["cues"]["first"] for each in group)),
    ("found", lambda group: _share(each["cues"]["found"] for each in group)),
    ("overlap", lambda group: _mean(each["cues"]["overlap"] for each in group)),
    ("verified cues", lambda group: _mean(each["cues"]["verified"] for each in group)),
    ("on the artefact", lambda group: _share(each["cues"]["alarm"] for each in group)),
    ("cue AP", lambda group: _mean(each["rankings"].get("cue", {}).get("ap", np.nan) for each in group)),
    ("AUROC in the class", lambda group: _mean(each["spuriosity"]["auroc"] for each in group)),
    ("minutes", lambda group: _mean(each["seconds"] / 60 for each in group)),
)
RANKINGS = ("p@10", "p@25", "ap", "listed_ap", "auroc")


def planted(each: Scored) -> bool:
    """Whether the artefact is a thing in a place, and goes with its class at .8 or more."""
    return each["artefact"] in VISIBLE and each["rho"] is not None and each["rho"] >= 0.8


def innocent(each: Scored) -> bool:
    """Whether the artefact says nothing of a class in training."""
    return not each["rho"]


def claims(scored: Sequence[Scored]) -> list[str]:
    """What the audit is held to, each with its limit."""
    strong, clean = [each for each in scored if planted(each)], [each for each in scored if innocent(each)]
    held = [[effect["held"] for effect in each["effects"]] for each in scored]
    untrue = [[not e["true_cue"] for e in each["effects"] if e["verdict"] == "verified"] for each in scored]
    return [
        f"visible artefacts, correlation .8 and above: found first in {_share(e['cues']['first'] for e in strong)} "
        "(at least .95)",
        f"correlation 0 and clean twins: a verified cue on the artefact in {_share(e['cues']['alarm'] for e in clean)} "
        "(at most .05)",
        f"intervals of effects that hold the true effect: {_pooled(held)} (.93 to .97)",
        "verified cues whose patches truly turn no more than audit.least beyond a patch of another image: "
        f"{_pooled(untrue)} (at most .05)",
    ]


def printed(scored: Sequence[Scored]) -> None:
    """Prints the cases, the rankings of those that are planted and visible, and the claims."""
    rows = [[name, str(len(group)), *(value(group) for _, value in CASES)] for name, group in _groups(scored)]
    table(["case", "audits", *(name for name, _ in CASES)], rows)
    strong = [each for each in scored if planted(each)]
    finders = list(dict.fromkeys(name for each in strong for name in each["rankings"]))
    figures = {
        finder: {
            measure: [each["rankings"].get(finder, {}).get(measure, np.nan) for each in strong] for measure in RANKINGS
        }
        for finder in finders
    }
    finders.sort(key=lambda finder: -np.nan_to_num(mean(figures[finder]["ap"])[0]))
    print()
    rows = [[finder, *(_mean(figures[finder][measure]) for measure in RANKINGS)] for finder in finders]
    table(["visible, .8 and above: ranking by", *RANKINGS], rows)
    print()
    for line in claims(scored):
        print(line, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table as Markdown."""
    width = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    for row in [head, ["-" * w for w in width], *rows]:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)) + " |", flush=True)
