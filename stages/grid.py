"""layouts + activations -> grids: the occupied cells of every grid, their mean activation and their evidence.

Two passes over the parts. The first sums activations into the cells of the finest grid, from which the coarser
ones are rolled up; the second finds the members nearest each mean. What is held grows with the occupied cells,
not with the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from activation_atlas.stages.keys import cell, find
from activation_atlas.stages.specs import PositiveInt, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Stage, UserError, one_shard
from activation_atlas.stages.tables import MEMBER, from_numpy, grids, to_numpy
from activation_atlas.stages.tasks import Assigned, assigned, mistaken

EXEMPLARS = 8
CHUNK = 4096
"""Rows widened to float64 at once."""


class Params(Spec):
    """Everything the cells depend on; cells of few rows are kept, so ``min_count`` is not in the fingerprint."""

    view: ViewSpec
    grids: list[PositiveInt] = [10, 20, 40]
    min_count: PositiveInt = Field(5, exclude=True)

    @field_validator("grids")
    @classmethod
    def _nested(cls, grids: list[int]) -> list[int]:
        return nested(grids)


def nested(grids: list[int]) -> list[int]:
    """Grids in rising order; a ValueError where they are not the coarsest times powers of two."""
    if not grids:
        raise ValueError("give at least one grid, e.g. [10, 20, 40]")
    rising = sorted(set(grids))
    for grid in rising:
        times = grid // rising[0]
        if times * rising[0] != grid or times & (times - 1):
            right = [rising[0] << k for k in range(len(rising))]
            raise ValueError(f"grid {grid} is not {rising[0]} times a power of two; grids nest, e.g. {right}")
    if rising[-1] > 8192:
        raise ValueError(f"grid {rising[-1]} is finer than 8192")
    return rising


@dataclass(frozen=True)
class Level:
    """One grid over the occupied cells of the finest.

    Attributes:
        grid: cells along one side.
        xy: (cells, 2) cell_x and cell_y of its occupied cells, sorted.
        parent: (finest cells,) the cell of this grid that each cell of the finest lies in.
    """

    grid: int
    xy: np.ndarray
    parent: np.ndarray

    def roll_up(self, finest: np.ndarray) -> np.ndarray:
        """Sums over the finest cells (n, ...) as sums over this grid's cells."""
        order = np.argsort(self.parent, kind="stable")
        return np.add.reduceat(finest[order], np.searchsorted(self.parent[order], np.arange(len(self.xy))))


def levels(xy: np.ndarray, sides: list[int]) -> list[Level]:
    """The grids over the finest grid's occupied cells ``xy`` (n, 2), coarsest first."""
    found = []
    for side in sides:
        coarse, parent = np.unique(xy // (sides[-1] // side), axis=0, return_inverse=True)
        found.append(Level(side, coarse, parent.reshape(-1)))
    return found


class Labels:
    """Counts of distinct images by cell and label, merged part by part."""

    def __init__(self, cells: int) -> None:
        self.images = np.zeros(cells, np.int64)
        self.labelled = np.zeros(cells, np.int64)
        self.wrong = np.zeros(cells, np.int64)
        self.code, self.count = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def add(self, cells: np.ndarray, image: np.ndarray, labels: Assigned, wrong: np.ndarray) -> None:
        """Rows of one part: cell and image (rows,); the images' labels, and whether each was missed."""
        pairs = np.unique((cells << 32) | image)
        cells, image = pairs >> 32, pairs & 0xFFFFFFFF
        self.images += np.bincount(cells, minlength=len(self.images))
        known = labels.known[image]
        cells, image = cells[known], image[known]
        self.labelled += np.bincount(cells, minlength=len(self.images))
        self.wrong += np.bincount(cells[wrong[image]], minlength=len(self.images))
        place, index = labels.each(image)
        codes = np.concatenate([self.code, (cells[place] << 32) | index])
        counts = np.concatenate([self.count, np.ones(len(place), np.int64)])
        self.code, where = np.unique(codes, return_inverse=True)
        self.count = np.bincount(where.reshape(-1), counts, len(self.code)).astype(np.int64)

    def error_rate(self) -> pa.Array:
        """Share of misclassified among distinct labelled images, null where there are none."""
        return _nullable(self.wrong / np.maximum(self.labelled, 1), self.labelled > 0)

    def entropy(self) -> pa.Array:
        """Entropy of the distinct images' labels in bits, null where there are none."""
        cells = self.code >> 32
        share = self.count / np.bincount(cells, self.count)[cells]
        bits = np.bincount(cells, -share * np.log2(share), len(self.images))
        return _nullable(np.maximum(bits, 0), self.labelled > 0)


def _nullable(values: np.ndarray, known: np.ndarray) -> pa.Array:
    return pa.array(values.astype(np.float32), mask=~known)


class Exemplars:
    """For each cell the members nearest its mean, at most one per image; ties go to the smaller key."""

    def __init__(self) -> None:
        self.rows = pa.table(
            {"cell": pa.array([], pa.int64()), "cosine": pa.array([], pa.float64())}
            | {f.name: pa.array([], f.type) for f in MEMBER}
        )

    def add(self, cells: np.ndarray, image: np.ndarray, cosine: np.ndarray, keys: pa.Table) -> None:
        """Rows of one part, sorted by key; no image lies in two parts."""
        order = np.lexsort((np.arange(len(cells)), -cosine, image, cells))
        first = _first(np.stack([cells, image], 1)[order], 1)
        order = order[first]
        order = order[np.lexsort((order, -cosine[order], cells[order]))]
        order = order[_first(cells[order, None], EXEMPLARS)]
        new = pa.table({"cell": cells[order], "cosine": cosine[order]} | _columns(keys.take(pa.array(order))))
        ranked = [("cell", "ascending"), ("cosine", "descending"), *((f.name, "ascending") for f in MEMBER)]
        both = pa.concat_tables([self.rows, new]).sort_by(ranked)
        self.rows = both.filter(pa.array(_first(both["cell"].to_numpy()[:, None], EXEMPLARS)))

    def lists(self, cells: int) -> pa.ListArray:
        """list<struct<image_id, row, col>> per cell, nearest first."""
        ends = np.searchsorted(self.rows["cell"].to_numpy(), np.arange(cells + 1)).astype(np.int32)
        members = [self.rows[f.name].combine_chunks() for f in MEMBER]
        return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(members, fields=list(MEMBER)))


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {f.name: table[f.name] for f in MEMBER}


def _first(groups: np.ndarray, count: int) -> np.ndarray:
    """Of sorted groups (n, k) the first ``count`` rows of each: bool (n,)."""
    if not len(groups):
        return np.zeros(0, bool)
    starts = np.flatnonzero(np.r_[True, (groups[1:] != groups[:-1]).any(1)])
    sizes = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, sizes) < count


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """All grids of one atlas."""
    sides = params.grids
    occupied, counts = _occupied(inputs, params.view, sides[-1])
    found = levels(occupied, sides)
    sums: np.ndarray | None = None
    labels = [Labels(len(level.xy)) for level in found]
    for part in _parts(inputs, params.view, occupied, sides[-1]):
        if sums is None:
            sums = np.zeros((len(occupied), part.vectors.shape[1]))
        add_by_cell(sums, part.cells, part.vectors)
        truth, wrong = _truth(inputs, part)
        for level, seen in zip(found, labels, strict=True):
            seen.add(level.parent[part.cells], part.image, truth, wrong)
    assert sums is not None
    counted = [level.roll_up(counts) for level in found]
    means = [level.roll_up(sums) / n[:, None] for level, n in zip(found, counted, strict=True)]
    exemplars = [Exemplars() for _ in found]
    for part in _parts(inputs, params.view, occupied, sides[-1]):
        for level, mean, best in zip(found, means, exemplars, strict=True):
            cells = level.parent[part.cells]
            best.add(cells, part.image, cosine_to_mean(part.vectors, mean, cells), part.keys)
    tables = []
    for level, count, mean, seen, best in zip(found, counted, means, labels, exemplars, strict=True):
        columns = [
            pa.array(np.full(len(count), level.grid, np.int16)),
            *(pa.array(level.xy[:, axis].astype(np.int16)) for axis in (0, 1)),
            pa.array(count),
            pa.array(seen.images),
            from_numpy(mean.astype(np.float32)),
            seen.error_rate(),
            seen.entropy(),
            best.lists(len(count)),
        ]
        tables.append(pa.table(columns, schema=grids(mean.shape[1])))
    return {f"grids/{params.view.name}": pa.concat_tables(tables).combine_chunks()}


def add_by_cell(sums: np.ndarray, cells: np.ndarray, vectors: np.ndarray) -> None:
    """Add rows (n, C) to the sums (cells, C) of their cells, in float64 and in a fixed order."""
    order = np.argsort(cells, kind="stable")
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]
        own, first = np.unique(cells[rows], return_index=True)
        sums[own] += np.add.reduceat(vectors[rows].astype(np.float64), first)


def cosine_to_mean(vectors: np.ndarray, means: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Cosine of each row (n, C) with its cell's mean, (n,) float64; 0 where either is zero."""
    found = np.zeros(len(vectors))
    length = np.sqrt((means * means).sum(1))
    for start in range(0, len(vectors), CHUNK):
        rows, own = vectors[start : start + CHUNK].astype(np.float64), cells[start : start + CHUNK]
        size = np.sqrt((rows * rows).sum(1)) * length[own]
        found[start : start + CHUNK] = (rows * means[own]).sum(1) / np.where(size > 0, size, np.inf)
    return found


@dataclass(frozen=True)
class Part:
    """One part's members of an atlas: keys, cell of the finest grid, image's number within the part, vector."""

    index: int
    keys: pa.Table
    cells: np.ndarray
    image: np.ndarray
    names: pa.Array
    vectors: np.ndarray


def _occupied(inputs: Inputs, view: ViewSpec, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The occupied cells of a grid: their (cell_x, cell_y), sorted, and how many rows lie in each."""
    code, count = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for layout in inputs.stream(f"layouts/{view.name}", ["x", "y"]):
        new, times = np.unique(_cell_code(layout, side), return_counts=True)
        code, where = np.unique(np.r_[code, new], return_inverse=True)
        count = np.bincount(where.reshape(-1), np.r_[count, times], len(code)).astype(np.int64)
    if not len(code):
        raise UserError(f"atlas {view.name!r}: its layout holds 0 rows; see the rejects table for why")
    return np.stack(np.divmod(code, side), 1), count


def _cell_code(layout: pa.Table, side: int) -> np.ndarray:
    return cell(layout["x"].to_numpy(), side) * side + cell(layout["y"].to_numpy(), side)


def _parts(inputs: Inputs, view: ViewSpec, occupied: np.ndarray, side: int) -> Iterator[Part]:
    """Members part by part; layouts and the rows' table are aligned."""
    codes = occupied[:, 0] * side + occupied[:, 1]
    key = ["image_id"] if view.images else ["image_id", "row", "col"]
    for index, layout in enumerate(inputs.stream(f"layouts/{view.name}")):
        rows = inputs.part(view.rows_table, index, [*key, view.vector_column])
        # A layout without rows still tells how long the vectors are.
        vectors = to_numpy(rows[view.vector_column])
        where = find(layout, rows)
        if len(where) and (where < 0).any():
            raise ValueError(f"part {index} of layouts/{view.name} holds rows that {view.rows_table} does not")
        names = pa.chunked_array(layout["image_id"].chunks, pa.string()).combine_chunks().dictionary_encode()
        cells = np.searchsorted(codes, _cell_code(layout, side))
        if len(where) != len(vectors) or (where != np.arange(len(vectors))).any():
            vectors = vectors[where]
        image = names.indices.to_numpy().astype(np.int64)
        yield Part(index, layout.select(["image_id", "row", "col"]), cells, image, names.dictionary, vectors)


def _truth(inputs: Inputs, part: Part) -> tuple[Assigned, np.ndarray]:
    """The labels of a part's images, and whether each was missed."""
    said = inputs.part("predictions", part.index, ["image_id", "label", "correct"])
    row = pc.index_in(part.names, value_set=said["image_id"].combine_chunks())
    return assigned(said["label"].take(row)), mistaken(said["correct"].take(row))


STAGE = Stage(
    name="grid",
    version=1,
    about="layouts -> grids: cells, their mean activation and the images behind them",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {f"layouts/{params.view.name}": "all", params.view.rows_table: "all", "predictions": "all"},
    writes=lambda params: (f"grids/{params.view.name}",),
    libraries=("numpy",),
    steps=lambda asked: [
        (a.name, {"view": a.view, "grids": sorted(a.grids), "min_count": a.min_count}) for a in asked.config.atlases
    ],
)
