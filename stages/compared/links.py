"""Two atlases that share no layout, linked by the images that both show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activation_atlas.stages.compared.runs import Pairs, Rows


@dataclass(frozen=True)
class Units:
    """What is in both atlases: positions of shared images, or the images where the layers' maps differ in size.

    Attributes:
        count: of them.
        one, cell: (k,) unit and cell of the first atlas, every pair once.
        two, other_cell: (l,) of the second.
        positions: whether they are positions.
    """

    count: int
    one: np.ndarray
    cell: np.ndarray
    two: np.ndarray
    other_cell: np.ndarray
    positions: bool


def units(rows: Rows, other_rows: Rows, shared: Pairs, grids: tuple[int, int], positions: bool) -> Units:
    """What two atlases have in common.

    Args:
        grids: cells along a side of either.
        positions: whether a place in the one layer's map is the same place in the other's.
    """
    found = []
    for some, mine, grid in ((rows, shared.one, grids[0]), (other_rows, shared.two, grids[1])):
        unit = some.codes(mine, positions)
        found.append((unit[unit >= 0], some.cells(grid)[unit >= 0]))
    both = np.intersect1d(found[0][0], found[1][0])
    codes = []
    for unit, cell in found:
        mine = np.isin(unit, both)
        codes.append(np.unique(np.searchsorted(both, unit[mine]) << 32 | cell[mine]))
    one, two = codes
    return Units(len(both), one >> 32, one & 0xFFFFFFFF, two >> 32, two & 0xFFFFFFFF, positions)


def linked(found: Units, grids: tuple[int, int]) -> pa.Table:
    """Of each cell of the first atlas the cell of the second that holds most of the same, by Jaccard's index."""
    from scipy.sparse import csr_matrix

    cells, own = np.unique(found.cell, return_inverse=True)
    others, other = np.unique(found.other_cell, return_inverse=True)
    one = csr_matrix((np.ones(len(own)), (found.one, own)), (found.count, len(cells)))
    two = csr_matrix((np.ones(len(other)), (found.two, other)), (found.count, len(others)))
    both = np.asarray((one.T @ two).todense())
    n, m = np.bincount(own, minlength=len(cells)), np.bincount(other, minlength=len(others))
    jaccard = both / (n[:, None] + m[None] - both)
    best = jaccard.argmax(1) if len(cells) else np.zeros(0, np.int64)
    at = np.arange(len(cells)), best
    return pa.table(
        {
            "grid": pa.array(np.full(len(cells), grids[0], np.int16)),
            "cell_x": pa.array((cells // grids[0]).astype(np.int16)),
            "cell_y": pa.array((cells % grids[0]).astype(np.int16)),
            "other_grid": pa.array(np.full(len(cells), grids[1], np.int16)),
            "other_cell_x": pa.array((others[best] // grids[1]).astype(np.int16)),
            "other_cell_y": pa.array((others[best] % grids[1]).astype(np.int16)),
            "units": pa.array(n.astype(np.int32)),
            "other_units": pa.array(m[best].astype(np.int32)),
            "both": pa.array(both[at].astype(np.int32)),
            "jaccard": pa.array(jaccard[at].astype(np.float32)),
            "lift": pa.array((both[at] * found.count / (n * m[best])).astype(np.float32)),
        }
    )


def drawn_from(found: Units, grid: int) -> dict[int, tuple[float, float]]:
    """Of each cell of the second atlas where in the first what it holds lies on average: (x, y) in [0, 1]."""
    # A unit that lies in several cells of the first counts with the mean of these.
    counts = np.maximum(np.bincount(found.one, minlength=found.count), 1)
    place = [
        np.bincount(found.one, (axis + 0.5) / grid, found.count) / counts
        for axis in (found.cell // grid, found.cell % grid)
    ]
    others, other = np.unique(found.other_cell, return_inverse=True)
    total = np.bincount(other)
    x, y = (np.bincount(other, axis[found.two]) / total for axis in place)
    return {int(cell): (float(a), float(b)) for cell, a, b in zip(others, x, y, strict=True)}
