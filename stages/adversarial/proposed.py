"""The adversarial reading of an atlas: what speaks for one class against another in images that show neither."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activation_atlas.stages.audited import Rows, rows_of
from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, UserError

LEAST = 5
"""Images of other classes that a cell needs."""
CELLS, EACH = 5, 3
"""Cells proposed, and images of each."""


@dataclass(frozen=True)
class Proposal:
    """A position of an image whose surroundings may turn one class into another.

    Attributes:
        cell: (cell_x, cell_y) of the grid.
        bound: lower bound (two standard errors, clustered by image) of the cell's mean attribution for the one class
            less that for the other, over images of neither, in logits.
        image_id, row, col: the position. speaks: that difference there.
    """

    cell: tuple[int, int]
    bound: float
    image_id: str
    row: int
    col: int
    speaks: float


def propose(inputs: Inputs, view: ViewSpec, grid: int, to: int, from_: Sequence[int], seed: int) -> list[Proposal]:
    """The cells that speak most surely for ``to``, and in each the images that do so most, the first cell first.

    Looked for in the half of the images that is not held out, among those that are neither of the one class nor of the
    other: a part of a great white shark makes any whale a shark.

    Args:
        from_: class indices, of which the mean is taken; none: all other classes.

    Raises:
        UserError: the run has no attributions for these classes, or no cell speaks for it.
    """
    extract = inputs.state("extract", "")
    attributed = {int(k): column for column, k in enumerate(extract["attributed"])}
    for index in (to, *from_):
        if index not in attributed:
            name = extract["classes"][index]
            raise UserError(f"patch: the run has no attributions for {name!r}; run it with extract.attribution: all")
    table = inputs.table(f"grids/{view.name}", ["grid", "cell_x", "cell_y"])
    table = table.filter(pa.array(table["grid"].to_numpy() == grid)).combine_chunks()
    grids, count = Grids(table), len(table)
    columns = attributed[to], [attributed[k] for k in from_ or attributed if k != to], not from_
    images, sums, squares = (np.zeros(count) for _ in range(3))
    for rows in rows_of(inputs, view, extract, grids, seed):
        for cell, values in _of_images(rows, *columns):
            images += np.bincount(cell, minlength=count)
            sums += np.bincount(cell, values, count)
            squares += np.bincount(cell, values**2, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / images
        error = np.sqrt(np.maximum(squares / images - mean**2, 0) / (images - 1))
    bound = np.where(images >= LEAST, np.nan_to_num(mean - 2 * error, nan=-np.inf), -np.inf)
    best = [int(k) for k in np.argsort(-bound, kind="stable")[:CELLS] if bound[k] > 0]
    if not best:
        told = extract["classes"][to]
        raise UserError(
            f"patch: in no cell of atlas {view.name!r} do images of other classes surely speak for {told!r}"
        )
    kept: dict[int, list[tuple[float, str, int, int]]] = {k: [] for k in best}
    for rows in rows_of(inputs, view, extract, grids, seed):
        speaks, able = _speaks(rows, *columns)
        for k in best:
            mine = np.flatnonzero(able & (rows.cell == k))
            found = [
                (float(speaks[m]), rows.images.ids[rows.image[m]], int(rows.row[m]), int(rows.col[m])) for m in mine
            ]
            kept[k] = _distinct([*kept[k], *found])
    place = list(zip(table["cell_x"].to_pylist(), table["cell_y"].to_pylist(), strict=True))
    return [Proposal(place[k], float(bound[k]), own, row, col, d) for k in best for d, own, row, col in kept[k]]


def _speaks(rows: Rows, to: int, from_: list[int], all_others: bool) -> tuple[np.ndarray, np.ndarray]:
    """How much each row speaks for the one class against the others, and whether it may stand for images of neither."""
    values, images = rows.values, rows.images
    against = values[:, from_].mean(1) if from_ else 0.0
    of = images.own[:, to] if all_others else images.own[:, [to, *from_]].any(1)
    return values[:, to] - against, ~(images.held | of)[rows.image]


def _of_images(rows: Rows, to: int, from_: list[int], all_others: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each image in each cell, the cell and the mean of its rows: they are no independent ones."""
    speaks, able = _speaks(rows, to, from_, all_others)
    if able.any():
        pairs, place = np.unique((rows.cell[able] << 32) | rows.image[able], return_inverse=True)
        yield pairs >> 32, np.bincount(place, speaks[able]) / np.bincount(place)


def _distinct(found: list[tuple[float, str, int, int]]) -> list[tuple[float, str, int, int]]:
    """The strongest position of each image, of the strongest :data:`EACH` images."""
    kept: dict[str, tuple[float, str, int, int]] = {}
    for one in sorted(found, key=lambda f: (-f[0], *f[1:])):
        kept.setdefault(one[1], one)
    return list(kept.values())[:EACH]
