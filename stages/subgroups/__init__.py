"""images + predictions -> groups: how the model does on groups that labels, predictions or metadata tell apart.

All images of the run are used: what a group is follows from its column alone, never from what the model gets wrong.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.significance import bh
from activation_atlas.stages.specs import Spec, nearest
from activation_atlas.stages.stage import Inputs, Shard, Stage, UserError, one_shard
from activation_atlas.stages.subgroups.columns import BINS, EACH, FEW, Grouping, Unfit, crossed
from activation_atlas.stages.subgroups.rows import Row, Tallies, clean
from activation_atlas.stages.subgroups.seen import Seen, read
from activation_atlas.stages.subgroups.wording import sentence

CELLS = 2000
"""Groups by two columns, at most: pairs of columns are taken by rising number of groups."""
SURE = 0.05
"""The q value below which a group that is worse comes before all others."""
META = "meta."


class Params(Spec):
    """Everything the groups depend on.

    Attributes:
        columns: metadata columns; None: all.
    """

    columns: list[str] | None = None
    intersections: bool = True
    seed: int = 0


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """A row for each group, the worst first; what was binned or left out is said."""
    schema = tables.groups()
    if not inputs.parts("predictions"):
        return {"groups": schema.empty_table()}
    kinds = _columns(inputs, params.columns)
    seen, gathered = read(inputs, kinds)
    if seen.task.measured and not seen.known.any():
        inputs.warn("audit: no groups: the images have no labels, and quantities have no confidence; give labels")
        return {"groups": schema.empty_table()}
    groupings, left = seen.groupings(), []
    for column in kinds:
        name = column.removeprefix(META)
        try:
            groupings.append(_distinct(gathered[column].told().grouping(name), groupings))
        except Unfit as reason:
            left += [f"{name} ({reason})"] if column != "split" else []  # which nobody asked for
    _say(inputs, groupings, left, params)
    tallies = Tallies(seen, params.seed)
    rows = [row for grouping in groupings for row in tallies.rows(grouping)]
    if params.intersections:
        rows += _intersections(inputs, groupings, tallies, len(seen))
    return {"groups": _table(rows, seen, schema)}


def _columns(inputs: Inputs, asked: list[str] | None) -> dict[str, pa.DataType]:
    """The columns of ``images`` that tell groups apart, and their types; `split` is one where none is asked for."""
    images = inputs.part("images", 0).schema
    names = [name for name in images.names if name.startswith(META)]
    if asked is None:
        names += ["split"] if "split" in images.names else []
    else:
        names = [META + name.removeprefix(META) for name in asked]
    return {name: images.field(name).type for name in names}


def _distinct(grouping: Grouping, others: list[Grouping]) -> Grouping:
    for other in others:
        if other.kind != "prediction" and grouping.same(other):
            raise Unfit(f"the same groups as {other.column}")
    return grouping


def _say(inputs: Inputs, groupings: list[Grouping], left: list[str], params: Params) -> None:
    cut = [f"{g.column} ({g.values[0]}, ...)" for g in groupings if g.binned]
    if cut:
        inputs.note(
            f"audit.groups: numbers and dates are cut into up to {BINS} groups of as many images each: {', '.join(cut)}"
        )
    if left:
        (inputs.note if params.columns is None else inputs.warn)(f"audit.groups: left out: {', '.join(left)}")


def _intersections(inputs: Inputs, groupings: list[Grouping], tallies: Tallies, images: int) -> list[Row]:
    """Groups by two columns of few values, labels among them; which are left out is said."""
    own = [g for g in groupings if g.kind != "prediction"]
    fit = [g for g in own if 2 <= len(g.values) <= FEW + 1]
    left = [f"{g.column} ({len(g.values)} values)" for g in own if len(g.values) > FEW + 1]
    every = [(one, other) for k, one in enumerate(fit) for other in fit[k + 1 :]]
    pairs = sorted((pair for pair in every if images >= EACH * _cells(pair)), key=_cells)
    rows: list[Row] = []
    taken = 0
    for k, (one, other) in enumerate(pairs):
        both, parents = crossed(one, other, images)
        taken += len(both.values)
        if taken > CELLS:
            inputs.note(
                f"audit.groups: {len(pairs) - k} of {len(pairs)} pairs of columns left out: over {CELLS} groups"
            )
            break
        rows += tallies.crossed(both, parents, one, other)
    if few := [f"{one.column} and {other.column}" for one, other in every if images < EACH * _cells((one, other))]:
        some = ", ".join(few[:5]) + (", ..." if len(few) > 5 else "")
        inputs.note(
            f"audit.groups: {len(few)} of {len(every)} pairs of columns not crossed, "
            f"for want of {EACH} images a group: {some}"
        )
    if left and len(own) > 1:
        inputs.note(f"audit.groups: not crossed with others: {', '.join(left)}")
    return rows


def _cells(pair: tuple[Grouping, Grouping]) -> int:
    return len(pair[0].values) * len(pair[1].values)


def _table(rows: list[Row], seen: Seen, schema: pa.Schema) -> pa.Table:
    for kind in {row["kind"] for row in rows}:
        # By itself: labels that surely differ would make room for chance among the others (Efron 2008).
        family = [row for row in rows if row["kind"] == kind]
        for row, q in zip(family, bh(np.array([_number(row["p_value"]) for row in family])), strict=True):
            row["q_value"] = q
    worse = -1 if seen.measure == "mae" else 1
    for row in rows:
        row["found"] = row["q_value"] < SURE and worse * row["gap"] < 0
    rows.sort(
        key=lambda row: (row["shrunk"] is None, not row.pop("found"), worse * (row["shrunk"] or 0), -row["images"])
    )
    made = [{name: clean(value) for name, value in row.items()} for row in rows]
    for rank, row in enumerate(made):
        n = row.pop("n")
        row |= {"rank": rank, "text": sentence(row, n, n - (row["errors"] or 0))}
    return pa.Table.from_pylist(made, schema=schema)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _check(inputs: Inputs, params: Params) -> None:
    """Refuses columns that the images do not have.

    Raises:
        UserError: names the nearest.
    """
    if not params.columns or not inputs.parts("images"):
        return
    known = [name.removeprefix(META) for name in inputs.part("images", 0).column_names if name.startswith(META)]
    for name in params.columns:
        try:
            nearest(name.removeprefix(META), known, "column")
        except ValueError as error:
            told = str(error) if known else f"unknown column {name!r}: the images have no metadata"
            raise UserError(f"audit.groups: {told}") from None


STAGE = Stage(
    name="subgroups",
    version=2,
    about="images + predictions -> groups: how the model does on groups by label, prediction and metadata, worst first",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {"images": "all", "predictions": "all"},
    writes=lambda params: ("groups",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy", "scipy"),
    check=("extract", _check),
    steps=lambda asked: (
        []
        if asked.config.audit is None
        else [
            (
                "",
                {
                    "columns": asked.config.audit.groups,
                    "intersections": asked.config.audit.intersections,
                    "seed": asked.config.run.seed,
                },
            )
        ]
    ),
)
