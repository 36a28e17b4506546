"""Placing rows one by one: nearest fitted neighbours, bounds, and the square [0, 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.stage import State

NEIGHBOURS = 15
PROBES = 8
EXACT = 4096
TILE = 256
BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def limits(layout: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per axis the 1st and 99th percentile of the fitted rows, widened by 10 % of their distance on each side."""
    low, high = np.percentile(layout.astype(np.float64), [1, 99], axis=0)
    return low - 0.1 * (high - low), high + 0.1 * (high - low)


def normalise(layout: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A layout (n, d) between its bounds: float32 in [0, 1); 0.5 along an axis without extent."""
    extent = high - low
    scaled = np.where(extent > 0, (layout - low) / np.where(extent > 0, extent, 1), 0.5)
    # Clipped after the cast: float32 rounds 1 - 1e-9 up to 1.
    return np.clip(scaled.astype(np.float32), np.float32(0), BELOW_ONE)


def fit_lists(vectors: np.ndarray, seed: int, rounds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Split fitted vectors (n, m) into about sqrt(n) lists by k-means: centroids (L, m), list of each row (n,) int32.

    Up to 4,096 rows are one list, and the search is exact.
    """
    if len(vectors) <= EXACT:
        return np.zeros((1, vectors.shape[1]), np.float32), np.zeros(len(vectors), np.int32)
    count = int(np.sqrt(len(vectors)))
    rng = np.random.default_rng([seed, len(vectors), count])
    train = vectors[np.sort(rng.choice(len(vectors), min(len(vectors), 64 * count), replace=False))]
    centroids = train[np.sort(rng.choice(len(train), count, replace=False))].copy()
    for _ in range(rounds):
        own = _probe(train, centroids, 1)[:, 0]
        order = np.argsort(own, kind="stable")
        present, starts, sizes = np.unique(own[order], return_index=True, return_counts=True)
        centroids[present] = np.add.reduceat(train[order].astype(np.float64), starts) / sizes[:, None]
    return centroids, _probe(vectors, centroids, 1)[:, 0].astype(np.int32)


def _products(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """|other|^2 - 2 row . other, which orders ``others`` by distance: (n, len(others)).

    Always a product of TILE rows, so that a row's figures do not depend on its companions.
    """
    out = np.empty((len(rows), len(others)), np.float32)
    square = (others * others).sum(1)
    for start in range(0, len(rows), TILE):
        tile = np.zeros((TILE, rows.shape[1]), np.float32)
        size = len(rows[start : start + TILE])
        tile[:size] = rows[start : start + size]
        out[start : start + size] = (square - 2 * (tile @ others.T))[:size]
    return out


def _probe(rows: np.ndarray, centroids: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` nearest centroids of each row, (n, count)."""
    found = np.empty((len(rows), count), np.int64)
    for start in range(0, len(rows), 8192):
        chunk = _products(rows[start : start + 8192], centroids)
        if count == 1:
            found[start : start + 8192, 0] = chunk.argmin(1)
        else:
            found[start : start + 8192] = np.argpartition(chunk, count - 1, axis=1)[:, :count]
    return found


@dataclass(frozen=True)
class Places:
    """The fitted rows, ready to be searched.

    Attributes:
        vectors, layout: (n, m) and (n, d) of the fitted rows.
        centroids, lists: of :func:`fit_lists`.
        axes: (m, d) of a linear reducer.
    """

    vectors: np.ndarray
    layout: np.ndarray
    centroids: np.ndarray
    lists: np.ndarray
    axes: np.ndarray | None = None

    @classmethod
    def of(cls, state: State) -> Places:
        names = ("vectors", "layout", "centroids", "list")
        return cls(*(state[name] for name in names), state.get("axes"))

    def place(self, rows: np.ndarray) -> np.ndarray:
        """Layout (q, d) float32 of vectors (q, m) that were not fitted.

        A linear reducer's axes place them exactly. Otherwise: the mean of the places of the 15 nearest fitted
        rows, weighted by 1 / squared distance (Shepard 1968); a row equal to a fitted one lies where that lies.
        """
        if self.axes is not None:
            return np.concatenate([_times(rows[s : s + TILE], self.axes) for s in range(0, len(rows), TILE)])
        out = np.empty((len(rows), self.layout.shape[1]), np.float32)
        for start in range(0, len(rows), 8192):
            chunk = rows[start : start + 8192]
            index, square = self.neighbours(chunk, min(NEIGHBOURS, len(self.vectors)))
            weight = 1 / np.maximum(square.astype(np.float64), 1e-12)
            places = self.layout[index].astype(np.float64)
            out[start : start + 8192] = (weight[:, :, None] * places).sum(1) / weight.sum(1)[:, None]
        return out

    def neighbours(self, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``count`` nearest fitted rows of each row, nearest first, ties by index: indices and squared distances.

        Searched are the 8 lists whose centroids are nearest (all, where there are fewer).
        """
        probes = min(PROBES, len(self.centroids))
        probed = _probe(rows, self.centroids, probes)
        order = np.argsort(self.lists, kind="stable")
        ends = np.searchsorted(self.lists[order], np.arange(len(self.centroids) + 1))
        found = np.full((len(rows), probes, count), -1, np.int64)
        for one in range(len(self.centroids)):
            members = order[ends[one] : ends[one + 1]]
            asking, slot = np.nonzero(probed == one)
            if not len(asking) or not len(members):
                continue
            take = min(count, len(members))
            near = _products(rows[asking], self.vectors[members])
            found[asking, slot, :take] = members[np.argpartition(near, take - 1, axis=1)[:, :take]]
        return self._best(rows, found.reshape(len(rows), -1), count)

    def _best(self, rows: np.ndarray, found: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Of the candidates ``found`` (-1: none), by exact distance, the nearest ``count``."""
        square = np.empty(found.shape, np.float32)
        for start in range(0, len(rows), TILE):
            some = found[start : start + TILE]
            apart = self.vectors[some] - rows[start : start + TILE, None]
            square[start : start + TILE] = np.where(some < 0, np.inf, (apart * apart).sum(2))
        by_index = np.argsort(found, axis=1, kind="stable")
        found, square = (np.take_along_axis(a, by_index, 1) for a in (found, square))
        nearest = np.argsort(square, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(found, nearest, 1), np.take_along_axis(square, nearest, 1)


def _times(rows: np.ndarray, axes: np.ndarray) -> np.ndarray:
    tile = np.zeros((TILE, rows.shape[1]), np.float32)
    tile[: len(rows)] = rows
    return (tile @ axes)[: len(rows)]
