"""Sums over cells whose rows come in clusters: the positions of one photograph are not independent. A leaf."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activation_atlas.stages.keys import cell


@dataclass(frozen=True)
class Level:
    """One grid's cells.

    Attributes:
        of: rows of the table of grids (or cells) that are its cells, (cells,).
        parent: (finest cells,) its cell that each cell of the finest grid lies in.
    """

    of: np.ndarray
    parent: np.ndarray


class Grids:
    """The occupied cells of an atlas's grids, by their grid, cell_x and cell_y.

    Attributes:
        side: cells along one side of the finest grid.
        levels: the grids, the finest first.
    """

    def __init__(self, table: pa.Table) -> None:
        sides, x, y = (table[name].to_numpy().astype(np.int64) for name in ("grid", "cell_x", "cell_y"))
        self.side = side = int(sides.max())
        finest = np.flatnonzero(sides == side)
        self._codes = x[finest] * side + y[finest]
        self.levels = []
        for one in np.unique(sides)[::-1]:
            of, times = np.flatnonzero(sides == one), side // one
            coarse = (x[finest] // times) * one + y[finest] // times
            self.levels.append(Level(of, np.searchsorted(x[of] * one + y[of], coarse)))

    def cells(self, layout: pa.Table) -> np.ndarray:
        """Cell of the finest grid that each row of a layout lies in, (rows,)."""
        own = cell(layout["x"].to_numpy(), self.side) * self.side + cell(layout["y"].to_numpy(), self.side)
        return np.searchsorted(self._codes, own)

    def coarsest(self, cells: np.ndarray) -> np.ndarray:
        """Cell of the coarsest grid that each of ``cells`` of the finest lies in, (rows,)."""
        return self.levels[-1].parent[cells]

    def clusters(self, cells: np.ndarray, image: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The clusters of rows in ``cells`` of the finest grid, of photographs ``image``, both (rows,); by photograph.

        Yields:
            for each level the cell (n,) and the rows (n,) of every cluster, and the cluster (m,) of each of the
            level before's m clusters (of the rows, for the first): all of it lies in one.
        """
        rows: np.ndarray = np.ones(len(cells))
        for level in self.levels:
            pairs = (image.astype(np.int64) << 32) | level.parent[cells]
            pairs, first, place = np.unique(pairs, return_index=True, return_inverse=True)
            rows = np.bincount(place, rows)
            cells, image = cells[first], image[first]
            yield pairs & 0xFFFFFFFF, rows, place


def numbered(layout: pa.Table) -> np.ndarray:
    """The photograph of each row of a layout's part, (rows,), numbered as they come: a part holds all of its rows."""
    return layout["image_id"].combine_chunks().dictionary_encode().indices.to_numpy()


def whole(cells: np.ndarray, image: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Rows in chunks of about ``most`` that part no cluster in two: indices, by cell, then by photograph.

    Args:
        cells: the cell of the coarsest grid that each row lies in, (rows,), for the clusters of all grids to be whole;
            few cells a chunk, so that sums over cells are added to seldom.
        image: the photograph of each row, (rows,).
    """
    pairs = (cells.astype(np.int64) << 32) | image
    order = np.argsort(pairs, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(pairs[order])) + 1, len(order))
    start = 0
    while start < len(order):
        stop = ends[max(np.searchsorted(ends, start + most, "right") - 1, np.searchsorted(ends, start, "right"))]
        yield order[start:stop]
        start = stop


def sum_by(place: np.ndarray, size: int, values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sums of the rows of ``values`` (n, K) that go to each of ``size`` places, (size, K), in the dtype of ``values``.

    Rows are added one after another in their order, times their ``weights`` (n,) where given.
    """
    from scipy.sparse import csr_matrix

    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(size + 1))
    times = np.ones(len(place)) if weights is None else weights[order]
    return csr_matrix((times.astype(values.dtype), order, ends), shape=(size, len(place))) @ values


class Clustered:
    """Sums of one statistic over the cells of a grid with photographs as the clusters, for means and their errors.

    Of each cell's photographs g, of n_g rows that sum to S_g: the sums of S_g, of n_g S_g and of S_g^2, all
    (cells, K) float64, and of n_g^2, (cells,).
    """

    def __init__(self, cells: int, classes: int) -> None:
        self.total, self.weighted, self.squares = (np.zeros((cells, classes)) for _ in range(3))
        self.rows_squared = np.zeros(cells)

    def add(self, cells: np.ndarray, rows: np.ndarray, sums: np.ndarray) -> None:
        """Clusters: the cell of each (n,), its rows n_g (n,) and their sums S_g (n, K)."""
        present, place = np.unique(cells, return_inverse=True)
        self.total[present] += sum_by(place, len(present), sums)
        self.weighted[present] += sum_by(place, len(present), sums, rows)
        self.squares[present] += sum_by(place, len(present), sums * sums)
        self.rows_squared[present] += np.bincount(place, rows * rows)

    def mean(self, count: np.ndarray) -> np.ndarray:
        """(cells, K) float64, of cells of ``count`` (cells,) rows."""
        return self.total / count[:, None]

    def error(self, count: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Standard error of the mean, (cells, K) float64; NaN where a cell's rows are of one photograph.

        sqrt(G / (G - 1) sum_g (S_g - n_g mean)^2) / N (Liang & Zeger 1986; Cameron & Miller 2015), the sum expanded,
        so that one pass is enough.

        Args:
            count, images: rows N and photographs G of each cell.
        """
        mean = self.mean(count)
        spread = self.squares - 2 * mean * self.weighted + mean * mean * self.rows_squared[:, None]
        scale = np.full(len(images), np.nan)
        np.divide(images, images - 1, out=scale, where=images > 1)
        # Rounding may leave a sum of squares that is 0 a hair below it.
        return np.sqrt(scale[:, None] * np.maximum(spread, 0.0)) / count[:, None]


class Attributed(Clustered):
    """The same, that can also tell of the attributions less their mean over the classes at each position.

    With M_g the mean of S_g over the classes, one further sum is enough: that of M_g S_g.
    """

    def __init__(self, cells: int, classes: int) -> None:
        super().__init__(cells, classes)
        self.crossed = np.zeros((cells, classes))

    def add(self, cells: np.ndarray, rows: np.ndarray, sums: np.ndarray) -> None:
        super().add(cells, rows, sums)
        present, place = np.unique(cells, return_inverse=True)
        self.crossed[present] += sum_by(place, len(present), sums, sums.mean(1))

    def relative(self) -> Clustered:
        """Of the attributions less their mean over the classes."""
        found = Clustered(0, 0)
        found.total, found.weighted = (each - each.mean(1, keepdims=True) for each in (self.total, self.weighted))
        found.squares = self.squares - 2 * self.crossed + self.crossed.mean(1, keepdims=True)
        found.rows_squared = self.rows_squared
        return found


class Ranked(Clustered):
    """Of a statistic that counts: also how many photographs of each cell count at all."""

    def __init__(self, cells: int, classes: int) -> None:
        super().__init__(cells, classes)
        self.images = np.zeros((cells, classes), np.int32)

    def add(self, cells: np.ndarray, rows: np.ndarray, sums: np.ndarray) -> None:
        super().add(cells, rows, sums)
        present, place = np.unique(cells, return_inverse=True)
        self.images[present] += sum_by(place, len(present), (sums > 0).astype(np.float32)).astype(np.int32)


def among_highest(values: np.ndarray, most: int) -> np.ndarray:
    """Which ``most`` of each row's values (n, K) are the highest, bool (n, K); of equal ones the first."""
    if most >= values.shape[1]:
        return np.ones(values.shape, bool)
    least = np.partition(values, -most, axis=1)[:, -most, None]
    high = values >= least
    tied = np.flatnonzero(np.count_nonzero(high, axis=1) > most)
    if len(tied):
        equal, above = values[tied] == least[tied], values[tied] > least[tied]
        left = most - np.count_nonzero(above, axis=1)
        high[tied] = above | (equal & (np.cumsum(equal, axis=1) <= left[:, None]))
    return high
