"""cells -> names: what a cell may be called, and why.

Photographs are the unit, for the positions of one are not independent. A class that nothing surely sets apart names no
cell: better none than a doubtful name.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activation_atlas.stages.groups import Given, check, groups_of, members, reads
from activation_atlas.stages.names.counts import Counts, count
from activation_atlas.stages.names.holding import Held, Ranks, held
from activation_atlas.stages.specs import PositiveInt, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Shared, Stage, one_shard
from activation_atlas.stages.tables import names, to_numpy

CELL = ["grid", "cell_x", "cell_y"]


class Params(Spec):
    """Everything the names depend on."""

    view: ViewSpec
    groups: Given | None = None
    min_count: PositiveInt = 1


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The names of one atlas, every grid by itself; none of a view without attributions."""
    view = params.view
    table = f"names/{view.name}"
    if "top_share" not in inputs.part(f"cells/{view.name}", 0).column_names:
        return {table: names().empty_table()}
    columns = [*CELL, "count", "images", "top_share", "top_share_se", "top_images"]
    cells = inputs.table(f"cells/{view.name}", columns).combine_chunks()
    extract = inputs.state("extract", "")
    groups = groups_of(inputs, params.groups)
    of = members(groups, len(extract["classes"]))
    attributed = np.array(extract["attributed"], np.int64)
    called: list[tuple[str, str, int | None]]
    called = [("class", extract["classes"][k], int(k)) for k in attributed] + [("group", g, None) for g in groups]
    grids, counts, whole = count(inputs, view, cells, extract, of)
    found = []
    for level, counted in zip(grids.levels[::-1], counts[::-1], strict=True):
        own = cells.take(pa.array(level.of))
        ranks = _ranks(own, counted)
        found.append(_rows(own, ranks, held(ranks, counted, whole, attributed, of, params.min_count), called))
    return {table: pa.concat_tables(found).combine_chunks()}


def _ranks(cells: pa.Table, counts: Counts) -> Ranks:
    rows, images = (cells[name].to_numpy().astype(np.int64) for name in ("count", "images"))
    share, error, top = (to_numpy(cells[name]) for name in ("top_share", "top_share_se", "top_images"))
    groups = counts.groups
    return Ranks(
        rows,
        images,
        np.concatenate([share.astype(np.float64), groups.mean(rows)], axis=1),
        np.concatenate([error.astype(np.float64), groups.error(rows, images)], axis=1),
        np.concatenate([top, groups.images], axis=1),
    )


def _rows(cells: pa.Table, ranks: Ranks, found: Held, called: list[tuple[str, str, int | None]]) -> pa.Table:
    at, own = (found.cell, found.thing), [called[k] for k in found.thing]
    columns = {name: cells[name].take(pa.array(found.cell)) for name in CELL}
    columns |= {
        "place": found.place,
        "kind": [kind for kind, _, _ in own],
        "name": [name for _, name, _ in own],
        "class": [index for _, _, index in own],
        "images": ranks.top_images[at],
        "expected": found.expected,
        "top_share": ranks.share[at],
        "rate": ranks.rate[found.thing],
        "low": found.low,
        "q_value": found.q_value,
        "lift": pa.array(found.lift, pa.float32(), from_pandas=True),
    }
    schema = names()
    arrays = {f.name: columns[f.name] for f in schema}
    return pa.table(
        {name: a if isinstance(a, pa.ChunkedArray) else pa.array(a, schema.field(name).type, safe=False)
         for name, a in arrays.items()}, schema=schema,
    )  # fmt: skip


def _reads(params: Params) -> dict[str, Shared]:
    view = params.view
    rows: dict[str, Shared] = {view.rows_table: "all"} if params.groups is not None and not view.images else {}
    tables: dict[str, Shared] = {f"cells/{view.name}": "all", f"layouts/{view.name}": "all", "predictions": "all"}
    return {**tables, **rows, **reads(params.groups)}


STAGE = Stage(
    name="names",
    version=2,
    about="cells -> names: what a cell may be called, and why",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: (f"names/{params.view.name}",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy", "scipy"),
    check=("extract", lambda inputs, params: check(inputs, params.groups)),
    steps=lambda asked: [
        (a.name, {"view": a.view, "groups": asked.groups, "min_count": a.min_count})
        for a in asked.config.atlases
        if not asked.measured
    ],
    foreseen=True,
)
