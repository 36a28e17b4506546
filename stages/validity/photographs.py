"""The photographs of an atlas: the cells they lie in, what they were taken for, and replicates that draw them anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from activation_atlas.stages.clusters import Grids, sum_by
from activation_atlas.stages.ranked import ranked_rows
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.tasks import Assigned, assigned

BLOCK = 32
"""Replicates widened to float32 at once."""


@dataclass(frozen=True)
class Photographs:
    """An atlas's photographs, numbered as they come, and the clusters of their rows.

    A cluster is what a photograph has in a cell of the finest grid; they are in the order of the cells.

    Attributes:
        pred, label: of the G photographs.
        cells: of the finest grid, how many.
        cell, owner, rows: (P,) cell, photograph and rows of each cluster.
        cluster: (rows of the atlas,) the cluster of each row, in the order of the layout.
    """

    pred: Assigned
    label: Assigned
    cells: int
    cell: np.ndarray
    owner: np.ndarray
    rows: np.ndarray
    cluster: np.ndarray

    @classmethod
    def of(cls, inputs: Inputs, view: ViewSpec, grids: Grids) -> Photographs:
        """Reads layouts and predictions, part by part."""
        pred, label, codes, before = [], [], [], 0
        for index, layout in enumerate(inputs.stream(f"layouts/{view.name}", ["image_id", "x", "y"])):
            if not len(layout):
                continue
            ids = layout["image_id"].combine_chunks().dictionary_encode()
            said = inputs.part("predictions", index, ["image_id", "pred", "label"])
            at = pc.index_in(ids.dictionary, value_set=said["image_id"].combine_chunks())
            pred.append(said["pred"].take(at))
            label.append(said["label"].take(at))
            codes.append((grids.cells(layout).astype(np.int64) << 32) | (ids.indices.to_numpy() + before))
            before += len(ids.dictionary)
        pairs, cluster, rows = np.unique(np.concatenate(codes), return_inverse=True, return_counts=True)
        return cls(
            assigned(*pred),
            assigned(*label),
            len(grids.levels[0].parent),
            pairs >> 32,
            pairs & 0xFFFFFFFF,
            rows.astype(np.float32),
            cluster.reshape(-1),
        )

    def sums(
        self, inputs: Inputs, view: ViewSpec, extract: State, grids: Grids, columns: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every cluster, over its rows: the sums of the attributions of some attributed classes (P, K), of the
        mean over all of them (P,), and of the rows that rank each of these classes high (P, K); float32."""
        plain, high = (np.zeros((len(self.cell), len(columns)), np.float32) for _ in range(2))
        level = np.zeros(len(self.cell), np.float32)
        for rows, _, _, values, ranks in ranked_rows(inputs, view, extract, grids):
            # All rows of a cluster come at once.
            present, place = np.unique(self.cluster[rows], return_inverse=True)
            plain[present] = sum_by(place, len(present), values[:, columns])
            high[present] = sum_by(place, len(present), ranks[:, columns])
            level[present] = sum_by(place, len(present), values.mean(1)[:, None])[:, 0]
        return plain, level, high


class Replicates:
    """How often each photograph is drawn: once in the sample itself, then in each of B replicates (bootstrap).

    Attributes:
        times: (G, 1 + B) uint8.
    """

    def __init__(self, photographs: Photographs, count: int, seed: int) -> None:
        size = len(photographs.pred)
        rng = np.random.default_rng([seed, size])
        self.times = np.ones((size, 1 + count), np.uint8)
        for k in range(1, 1 + count):
            self.times[:, k] = np.bincount(rng.integers(0, size, size), minlength=size)
        self.of = photographs
        self._bounds = np.searchsorted(photographs.cell, np.arange(photographs.cells + 1))

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """Rows of the chosen photographs (G,) bool in each cell of the finest grid: (1 + B, C) float32."""
        from scipy.sparse import csr_matrix

        kept = np.flatnonzero(chosen[self.of.owner])
        ends = np.searchsorted(self.of.cell[kept], np.arange(self.of.cells + 1))
        shape = (self.of.cells, len(self.times))
        counted = csr_matrix((self.of.rows[kept], self.of.owner[kept], ends), shape=shape)
        found = np.empty((self.times.shape[1], self.of.cells), np.float32)
        for start in range(0, self.times.shape[1], BLOCK):
            found[start : start + BLOCK] = (counted @ self.times[:, start : start + BLOCK].astype(np.float32)).T
        return found

    def sums(self, of_clusters: np.ndarray) -> np.ndarray:
        """Sums of clusters (P, K) over the cells of the finest grid: (C, 1 + B, K) float32.

        A matrix product for each cell: how often its photographs are drawn, times their sums.
        """
        found = np.empty((self.of.cells, self.times.shape[1], of_clusters.shape[1]), np.float32)
        for cell in range(self.of.cells):
            own = slice(*self._bounds[cell : cell + 2])
            np.matmul(self.times[self.of.owner[own]].T.astype(np.float32), of_clusters[own], out=found[cell])
        return found
