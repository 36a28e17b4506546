"""Placing rows one by one, and the square [0, 1)."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.reduce.neighbours import TILE, Index

NEIGHBOURS = 15
AROUND = 5
CHUNK = 4096
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


def place(rows: np.ndarray, index: Index, layout: np.ndarray, axes: np.ndarray | None) -> np.ndarray:
    """Layout (q, d) float32 of vectors (q, m) that were not fitted.

    A linear reducer's ``axes`` (m, d) place them exactly. Otherwise a row lies among the 15 nearest fitted rows,
    weighted by 1 / squared distance (Shepard 1968), where most of that weight is: at the weighted mean of the 5
    that lie nearest their weighted medoid (the multivariate L1 median, Vardi & Zhang 2000, among the points). A
    plain mean would fall into the gaps between islands. A row equal to a fitted one lies where that lies.
    """
    if axes is not None:
        return np.concatenate([_times(rows[s : s + TILE], axes) for s in range(0, len(rows), TILE)])
    out = np.empty((len(rows), layout.shape[1]), np.float32)
    for start in range(0, len(rows), CHUNK):
        near, square = index.search(rows[start : start + CHUNK], min(NEIGHBOURS, len(layout)))
        near = np.where(near < 0, near[:, :1], near)
        weight = 1 / np.maximum(square.astype(np.float64), 1e-12)
        places = layout[near].astype(np.float64)
        apart = np.sqrt(((places[:, :, None] - places[:, None]) ** 2).sum(3))
        medoid = (apart * weight[:, None]).sum(2).argmin(1)
        around = np.argsort(np.take_along_axis(apart, medoid[:, None, None], 1)[:, 0], 1, kind="stable")[:, :AROUND]
        weight = np.take_along_axis(weight, around, 1)
        places = np.take_along_axis(places, around[:, :, None], 1)
        out[start : start + CHUNK] = (weight[:, :, None] * places).sum(1) / weight.sum(1)[:, None]
    return out


def _times(rows: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """A product of TILE rows, so that a row's figures do not depend on its companions."""
    tile = np.zeros((TILE, rows.shape[1]), np.float32)
    tile[: len(rows)] = rows
    return (tile @ axes)[: len(rows)]
