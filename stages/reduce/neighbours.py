"""Nearest neighbours among fitted rows: the same answer whatever is asked along with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PROBES = 8
EXACT = 4096
TILE = 256


@dataclass(frozen=True)
class Index:
    """Fitted rows, ready to be searched by Euclidean distance.

    The rows are split into about sqrt(n) lists by k-means; a search looks through the 8 lists whose centroids are
    nearest. Up to 4,096 rows are one list, and the search is exact.

    Attributes:
        vectors: (n, m) float32.
        centroids: (L, m) float32.
        lists: (n,) int32, the list of each row.
    """

    vectors: np.ndarray
    centroids: np.ndarray
    lists: np.ndarray

    @classmethod
    def build(cls, vectors: np.ndarray, seed: int, rounds: int = 5) -> Index:
        """``rounds`` of k-means from seeded rows, on at most 64 rows a list."""
        if len(vectors) <= EXACT:
            return cls(vectors, np.zeros((1, vectors.shape[1]), np.float32), np.zeros(len(vectors), np.int32))
        count = int(np.sqrt(len(vectors)))
        rng = np.random.default_rng([seed, len(vectors), count])
        train = vectors[np.sort(rng.choice(len(vectors), min(len(vectors), 64 * count), replace=False))]
        centroids = train[np.sort(rng.choice(len(train), count, replace=False))].copy()
        for _ in range(rounds):
            own = _probe(train, centroids, 1)[:, 0]
            order = np.argsort(own, kind="stable")
            present, starts, sizes = np.unique(own[order], return_index=True, return_counts=True)
            centroids[present] = np.add.reduceat(train[order].astype(np.float64), starts) / sizes[:, None]
        return cls(vectors, centroids, _probe(vectors, centroids, 1)[:, 0].astype(np.int32))

    def search(self, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``count`` nearest fitted rows of each row (q, m), nearest first, ties by index.

        Returns their indices and squared distances, (q, count) int64 and float32; -1 and infinity where the lists
        that were looked through hold fewer.
        """
        probes = min(PROBES, len(self.centroids))
        order = np.argsort(self.lists, kind="stable")
        ends = np.searchsorted(self.lists[order], np.arange(len(self.centroids) + 1))
        index = np.empty((len(rows), count), np.int64)
        square = np.empty((len(rows), count), np.float32)
        for start in range(0, len(rows), 8192):
            chunk = rows[start : start + 8192]
            probed = _probe(chunk, self.centroids, probes)
            found = np.full((len(chunk), probes, count), -1, np.int64)
            for one in range(len(self.centroids)):
                members = order[ends[one] : ends[one + 1]]
                asking, slot = np.nonzero(probed == one)
                if not len(asking) or not len(members):
                    continue
                take = min(count, len(members))
                near = _products(chunk[asking], self.vectors[members])
                found[asking, slot, :take] = members[np.argpartition(near, take - 1, axis=1)[:, :take]]
            best = self._best(chunk, found.reshape(len(chunk), -1), count)
            index[start : start + 8192], square[start : start + 8192] = best
        return index, square

    def graph(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``count`` nearest others of each fitted row: indices (n, count) int64 and distances float64."""
        index, square = self.search(self.vectors, count + 1)
        own = index == np.arange(len(index))[:, None]
        # Among more than ``count`` equal rows a row may not find itself: then the farthest goes.
        drop = np.where(own.any(1), own.argmax(1), count)
        keep = np.arange(count + 1)[None] != drop[:, None]
        index, square = index[keep].reshape(-1, count), square[keep].reshape(-1, count)
        # Lists with too few rows: the nearest neighbour once more (it cannot be missing: a row's own list holds it).
        missing = index < 0
        index = np.where(missing, index[:, :1], index)
        square = np.where(missing, square[:, :1], square)
        return index, np.sqrt(square.astype(np.float64))

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
