"""grids + attributions -> cells: what each cell argues for, and how surely.

One pass over the parts. The rows that a photograph has in a cell are one cluster; clusters of the coarser grids are
sums of those of the finest, photograph by photograph. What is held grows with the cells and the classes, not with the
rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activation_atlas.stages.clusters import Attributed, Grids, Ranked, sum_by
from activation_atlas.stages.ranked import ranked_rows
from activation_atlas.stages.specs import Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Shared, Stage, State, one_shard
from activation_atlas.stages.tables import cells, from_numpy

TOP = 5


class Params(Spec):
    """Everything the cells' attributions depend on."""

    view: ViewSpec


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The cells of one atlas: its grids with the plain mean of their members' attributions and what bears it out.

    In the mode `top` an image's unlisted classes count 0, and the highest of those listed is the one that a position
    ranks high. Without attributions (`none`, or a view of whole images) the columns are left out.
    """
    view = params.view
    grid = inputs.table(f"grids/{view.name}").combine_chunks()
    extract = inputs.state("extract", "")
    attributed = [] if view.images else [int(index) for index in extract["attributed"]]
    channels = grid.schema.field("activation").type.list_size
    schema = cells(channels, len(attributed))
    columns = {name: grid[name] for name in grid.column_names}
    if attributed:
        found = _statistics(inputs, view, grid, extract, len(attributed))
        mean = found["attribution"]
        # Stable, so that ties go to the class that comes first.
        best = np.argsort(-mean, axis=1, kind="stable")[:, :TOP]
        columns |= {name: from_numpy(values) for name, values in found.items()}
        columns["top_classes"] = _lists(np.array(attributed, np.int32)[best])
        columns["top_attributions"] = _lists(np.take_along_axis(mean, best, 1))
    return {f"cells/{view.name}": pa.table([columns[name] for name in schema.names], schema=schema)}


class Statistics:
    """What is summed up over the cells of one grid."""

    def __init__(self, cells: int, classes: int) -> None:
        self.plain, self.high = Attributed(cells, classes), Ranked(cells, classes)

    def columns(self, count: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
        """Each (cells, classes), of cells of ``count`` rows from ``images`` photographs."""
        return {
            "attribution": self.plain.mean(count),
            "attribution_se": self.plain.error(count, images),
            "relative_se": self.plain.relative().error(count, images),
            "top_share": self.high.mean(count),
            "top_share_se": self.high.error(count, images),
            "top_images": self.high.images,
        }


def _statistics(inputs: Inputs, view: ViewSpec, grid: pa.Table, extract: State, size: int) -> dict[str, np.ndarray]:
    """Columns of every row of ``grid``, each (rows, size)."""
    grids = Grids(grid)
    levels = [Statistics(len(level.of), size) for level in grids.levels]
    for _, place_of, image, plain, high in ranked_rows(inputs, view, extract, grids):
        for level, (own, rows, place) in zip(levels, grids.clusters(place_of, image), strict=True):
            plain, high = (sum_by(place, len(own), each) for each in (plain, high))
            level.plain.add(own, rows, plain)
            level.high.add(own, rows, high)
    count, images = (grid[name].to_numpy().astype(np.int64) for name in ("count", "images"))
    found: dict[str, np.ndarray] = {}
    for level, one in zip(levels, grids.levels, strict=True):
        for name, values in level.columns(count[one.of], images[one.of]).items():
            kind = np.int32 if name == "top_images" else np.float32
            found.setdefault(name, np.zeros((len(grid), size), kind))[one.of] = values
    return found


def _lists(rows: np.ndarray) -> pa.ListArray:
    ends = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.ascontiguousarray(rows).reshape(-1)))


def _reads(params: Params) -> dict[str, Shared]:
    view = params.view
    rows: dict[str, Shared] = {} if view.images else {view.rows_table: "all"}
    return {f"grids/{view.name}": "all", f"layouts/{view.name}": "all", **rows}


STAGE = Stage(
    name="attribute",
    version=2,
    about="grids -> cells: what each cell argues for",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: (f"cells/{params.view.name}",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy", "scipy"),
    steps=lambda asked: [(a.name, {"view": a.view}) for a in asked.config.atlases],
)
