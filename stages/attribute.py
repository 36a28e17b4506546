"""grids + attributions -> cells: what each cell argues for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stages.keys import cell, find
from stages.specs import Spec, ViewSpec
from stages.stage import Inputs, Shard, Stage, State, one_shard
from stages.tables import cells, from_numpy, to_numpy

TOP = 5
CHUNK = 4096
"""Rows widened to float64 at once."""


class Params(Spec):
    """Everything the cells' attributions depend on."""

    view: ViewSpec


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The cells of one atlas: its grids with the plain mean of their members' attributions.

    In the mode `top` an image's unlisted classes count 0. Without attributions (`none`, or a view of whole
    images) the three columns are left out.
    """
    view = params.view
    grid = inputs.table(f"grids/{view.name}").combine_chunks()
    extract = inputs.state("extract", "")
    attributed = [] if view.images else [int(index) for index in extract["attributed"]]
    channels = grid.schema.field("activation").type.list_size
    schema = cells(channels, len(attributed))
    columns = {name: grid[name] for name in grid.column_names}
    if attributed:
        mean = _means(inputs, view, grid, extract, len(attributed)).astype(np.float32)
        # Stable, so that ties go to the class that comes first.
        best = np.argsort(-mean, axis=1, kind="stable")[:, :TOP]
        columns["attribution"] = from_numpy(mean)
        columns["top_classes"] = _lists(np.array(attributed, np.int32)[best])
        columns["top_attributions"] = _lists(np.take_along_axis(mean, best, 1))
    return {f"cells/{view.name}": pa.table([columns[name] for name in schema.names], schema=schema)}


def _means(inputs: Inputs, view: ViewSpec, grid: pa.Table, extract: State, size: int) -> np.ndarray:
    """Mean attribution of every row of ``grid``, (rows, size) float64.

    Summed over the cells of the finest grid part by part, then rolled up.
    """
    sides, x, y, count = (grid[name].to_numpy().astype(np.int64) for name in ("grid", "cell_x", "cell_y", "count"))
    side = int(sides.max())
    finest = np.flatnonzero(sides == side)
    codes = x[finest] * side + y[finest]
    sums = np.zeros((len(finest), size))
    columns = ["image_id", "row", "col", "attribution", *(["attributed_classes"] if extract["top"] else [])]
    for index, layout in enumerate(inputs.stream(f"layouts/{view.name}")):
        if not len(layout):
            continue
        rows = inputs.part(view.rows_table, index, columns)
        own = cell(layout["x"].to_numpy(), side) * side + cell(layout["y"].to_numpy(), side)
        where, own = find(layout, rows), np.searchsorted(codes, own)
        if (where < 0).any():
            raise ValueError(f"part {index} of layouts/{view.name} holds rows that {view.rows_table} does not")
        values = to_numpy(rows["attribution"])
        known = _known(to_numpy(rows["attributed_classes"]), extract) if extract["top"] else None
        _add(sums, own, where, values, known)
    mean = np.zeros((len(grid), size))
    for one in np.unique(sides):
        of = np.flatnonzero(sides == one)
        coarse = x[of] * one + y[of]
        parent = np.searchsorted(coarse, (x[finest] // (side // one)) * one + y[finest] // (side // one))
        order = np.argsort(parent, kind="stable")
        total = np.add.reduceat(sums[order], np.searchsorted(parent[order], np.arange(len(of))))
        mean[of] = total / count[of, None]
    return mean


def _known(classes: np.ndarray, extract: State) -> np.ndarray:
    """Class indices (rows, 20) as columns of the attribution vector."""
    column = np.zeros(len(extract["classes"]), np.int64)
    column[np.array(extract["attributed"])] = np.arange(len(extract["attributed"]))
    return column[classes]


def _add(sums: np.ndarray, own: np.ndarray, where: np.ndarray, values: np.ndarray, known: np.ndarray | None) -> None:
    """Add the attributions ``values[where]`` to the sums of their cells ``own``, in a fixed order."""
    order = np.argsort(own, kind="stable")
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]
        wide = values[where[rows]].astype(np.float64)
        if known is None:
            present, first = np.unique(own[rows], return_index=True)
            sums[present] += np.add.reduceat(wide, first)
        else:
            np.add.at(sums, (own[rows, None], known[where[rows]]), wide)


def _lists(rows: np.ndarray) -> pa.ListArray:
    ends = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.ascontiguousarray(rows).reshape(-1)))


def _reads(params: Params) -> dict[str, str]:
    view = params.view
    rows = {} if view.images else {view.rows_table: "all"}
    return {f"grids/{view.name}": "all", f"layouts/{view.name}": "all", **rows}


STAGE = Stage(
    name="attribute",
    version=1,
    about="grids -> cells: what each cell argues for",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: (f"cells/{params.view.name}",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy",),
)
