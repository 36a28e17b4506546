"""Sets of images in two runs: how often the model is right, what argues for their class, whose prediction changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.compared.estimates import Shares, mcnemar, means_apart
from activation_atlas.stages.compared.population import SURE
from activation_atlas.stages.compared.runs import Pairs, Run
from activation_atlas.stages.intervals import Z, wilson
from activation_atlas.stages.significance import bh, wider

VALUES = 20
"""Values of a metadata column above which it tells no groups."""
SLICES = 10
"""Slices of either run that are looked at, its first."""

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("name", pa.string()),
        *((f"{other}{name}", pa.int32()) for name in ("images", "labelled") for other in ("", "other_")),
        ("shared", pa.int32()),
        *((f"{other}accuracy", pa.float32()) for other in ("", "other_")),
        *((name, pa.float32()) for name in ("change", "low", "high")),
        *((name, pa.float64()) for name in ("p_value", "q_value")),
        *((f"{other}argued", pa.float32()) for other in ("", "other_")),
        *((f"argued_{name}", pa.float32()) for name in ("change", "low", "high")),
        *((name, pa.int32()) for name in ("changed", "lost", "gained")),
        *((name, pa.float32()) for name in ("churn", "churn_low", "churn_high")),
        ("mcnemar", pa.float64()),
        *((f"{other}share", pa.float32()) for other in ("", "other_")),
        *((f"share_{name}", pa.float32()) for name in ("change", "low", "high")),
        ("share_q", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Named:
    """A set of images: its kind (all, shared, class, group, slice), name, and who is in it, (n1,) and (n2,) bool."""

    kind: str
    name: str
    one: np.ndarray
    two: np.ndarray


def named(first: Run, second: Run, shared: Pairs) -> Iterator[Named]:
    """All sets, the whole first."""
    yield Named("all", "all images", np.ones(len(first), bool), np.ones(len(second), bool))
    if 0 < len(shared) < max(len(first), len(second)):
        both = [np.isin(np.arange(len(run)), mine) for run, mine in ((first, shared.one), (second, shared.two))]
        yield Named("shared", "images in both runs", *both)
    if not (first.measured or second.measured):
        for name in dict.fromkeys([*first.classes, *second.classes]):
            sets = [
                run.label.of(*(k for k, own in enumerate(run.classes) if own == name))
                if name in run.classes else np.zeros(len(run), bool)
                for run in (first, second)
            ]  # fmt: skip
            if any(own.any() for own in sets):
                yield Named("class", name, *sets)
    for column in first.meta.column_names:
        if column in second.meta.column_names:
            yield from _groups(column, first, second)
    for run, other, (mine, theirs) in (
        (first, second, (shared.one, shared.two)),
        (second, first, (shared.two, shared.one)),
    ):
        if len(shared) and run.inputs.parts("slices"):
            yield from _slices(run, other, mine, theirs, run is second)


def _groups(column: str, first: Run, second: Run) -> Iterator[Named]:
    """The values of a metadata column that has few."""
    columns = [run.meta[column].combine_chunks() for run in (first, second)]
    kinds = pa.types.is_string, pa.types.is_boolean, pa.types.is_integer
    if not all(any(kind(c.type) for kind in kinds) for c in columns) or columns[0].type != columns[1].type:
        return
    values = pc.unique(pa.chunked_array(columns)).drop_null()
    if not 2 <= len(values) <= VALUES:
        return
    for value in sorted(values.to_pylist()):
        one, two = (
            pc.fill_null(pc.equal(c, value), False).to_numpy(zero_copy_only=False).astype(bool) for c in columns
        )
        yield Named("group", f"{column.removeprefix('meta.')} = {value}", one, two)


def _slices(run: Run, other: Run, mine: np.ndarray, theirs: np.ndarray, second: bool) -> Iterator[Named]:
    """The first slices of a run, of the images that both have: who is in them is not known of others."""
    rows = run.inputs.table("slices", ["rank", "finder", "same_as", "about", "members"]).sort_by("rank")
    rows = rows.filter(pc.is_null(rows["same_as"])).slice(0, SLICES)
    for row in rows.to_pylist():
        members = np.zeros(len(run), bool)
        members[[run.place[own] for own in row["members"] if own in run.place]] = True
        inside = members[mine]
        sets = np.zeros(len(run), bool), np.zeros(len(other), bool)
        sets[0][mine[inside]], sets[1][theirs[inside]] = True, True
        name = f"slice {row['rank']} of {run.name} ({row['finder']})" + (f": {row['about']}" if row["about"] else "")
        if inside.any():
            yield Named("slice", name, *(sets[::-1] if second else sets))


@dataclass(frozen=True)
class Values:
    """What is held against each other: (n1,) and (n2,) correct, argued and prediction (None: not known)."""

    correct: tuple[np.ndarray, np.ndarray]
    argued: tuple[np.ndarray, np.ndarray] | None
    predicted: tuple[np.ndarray, np.ndarray] | None


def changes(first: Run, second: Run, shared: Pairs, values: Values) -> pa.Table:
    """A row for each set. q values are over all sets of a kind; intervals of what is sure are the wider for it.

    Slices are not tested: who is in one was chosen by what one of the two models says, which the other is to be right
    or wrong about anew.
    """
    sets = list(named(first, second, shared))
    rows = [_row(one, shared, values) for one in sets]
    for kind in ("class", "group"):
        mine = [k for k, one in enumerate(sets) if one.kind == kind]
        for k, row in zip(mine, _composition([sets[k] for k in mine], shared), strict=True):
            rows[k] |= row
    for kind in dict.fromkeys(one.kind for one in sets):
        mine = [k for k, one in enumerate(sets) if one.kind == kind and kind != "slice"]
        p = np.array([np.nan if rows[k]["p_value"] is None else rows[k]["p_value"] for k in mine])
        q = bh(p)
        sure = q < SURE
        for k, value, surely in zip(mine, q.tolist(), sure.tolist(), strict=True):
            rows[k]["q_value"] = None if np.isnan(value) else value
            if surely:
                z = wider(int(sure.sum()), int((~np.isnan(p)).sum()))
                rows[k] |= _accuracy(sets[k], shared, values, z)
    return pa.Table.from_pylist([{name: _plain(row.get(name)) for name in SCHEMA.names} for row in rows], SCHEMA)


def turned(first: Run, second: Run, shared: Pairs, predicted: tuple[np.ndarray, np.ndarray]) -> pa.Table:
    """The shared images whose prediction changed: those that are right no more first, the surest of these first."""
    keep = predicted[0][shared.one] != predicted[1][shared.two]
    one, two = shared.one[keep], shared.two[keep]
    change = np.nan_to_num(second.correct[two] - first.correct[one])
    order = np.lexsort((first.ids[one].astype(str), -second.prob[two], change))
    one, two, change = one[order], two[order], change[order]
    texts = {
        "image_id": first.ids[one],
        "uri": first.uris[one],
        "other_uri": second.uris[two],
        "label": first.labels()[one],
        "pred": predicted[0][one],
        "other_pred": predicted[1][two],
        "change": np.select([change < 0, change > 0], ["lost", "gained"], "other").astype(object),
    }
    columns = {name: pa.array([v and str(v) for v in values], pa.string()) for name, values in texts.items()}
    floats = {"prob": first.prob[one], "other_prob": second.prob[two]}
    return pa.table(columns | {name: pa.array(values.astype(np.float32)) for name, values in floats.items()})


def _row(one: Named, shared: Pairs, values: Values) -> dict[str, Any]:
    pair, other = shared.within(one.one, one.two)
    row = {"kind": one.kind, "name": one.name, "shared": len(pair)}
    row |= {"images": int(one.one.sum()), "other_images": int(one.two.sum())}
    row |= _accuracy(one, shared, values) | _argued(one, shared, values)
    if values.predicted is not None and len(pair):
        before, after = values.predicted[0][one.one][pair], values.predicted[1][one.two][other]
        changed = int((before != after).sum())
        low, high = wilson(changed, len(pair))
        row |= {"changed": changed, "churn": changed / len(pair), "churn_low": low, "churn_high": high}
    correct = values.correct[0][one.one][pair], values.correct[1][one.two][other]
    known = ~np.isnan(correct[0]) & ~np.isnan(correct[1])
    if known.any():
        lost = int((correct[0] > correct[1])[known].sum())
        gained = int((correct[0] < correct[1])[known].sum())
        row |= {"lost": lost, "gained": gained, "mcnemar": mcnemar(lost, gained)}
    return row


def _composition(sets: Sequence[Named], shared: Pairs) -> list[dict[str, Any]]:
    """Of each set the share of all images that it is, in either run."""
    found = [Shares.of(one.one, one.two, shared.one, shared.two) for one in sets]
    p = np.array([float(shares.p_value()) for shares in found])
    q = bh(p)
    z = wider(max(1, int((q < SURE).sum())), max(1, int((~np.isnan(p)).sum())))
    rows = []
    for shares, value in zip(found, q.tolist(), strict=True):
        before, after = shares.shares()
        change, low, high = shares.change(z if value < SURE else Z)
        row = {"share": before, "other_share": after, "share_change": change, "share_low": low, "share_high": high}
        rows.append({**row, "share_q": value})
    return rows


def _accuracy(one: Named, shared: Pairs, values: Values, z: float = Z) -> dict[str, Any]:
    known = [inside & ~np.isnan(c) for inside, c in zip((one.one, one.two), values.correct, strict=True)]
    hits = [c[k] == 1 for c, k in zip(values.correct, known, strict=True)]
    shares = Shares.of(hits[0], hits[1], *shared.within(known[0], known[1]))
    before, after = shares.shares()
    change, low, high = shares.change(z)
    row = {"labelled": int(known[0].sum()), "other_labelled": int(known[1].sum()), "p_value": shares.p_value()}
    if one.kind == "slice":
        row["p_value"] = None
    return row | {"accuracy": before, "other_accuracy": after, "change": change, "low": low, "high": high}


def _argued(one: Named, shared: Pairs, values: Values) -> dict[str, Any]:
    if values.argued is None:
        return {}
    known = [inside & ~np.isnan(a) for inside, a in zip((one.one, one.two), values.argued, strict=True)]
    mine = [a[k] for a, k in zip(values.argued, known, strict=True)]
    if not len(mine[0]) or not len(mine[1]):
        return {}
    gap, low, high = means_apart(mine[0], mine[1], *shared.within(known[0], known[1]))
    found = {"argued": mine[0].mean(), "other_argued": mine[1].mean(), "argued_change": gap}
    return found | {"argued_low": low, "argued_high": high}


def _plain(value: Any) -> Any:
    """None for NaN."""
    if value is None or isinstance(value, (str, int)):
        return value
    return None if np.isnan(value) else float(value)
