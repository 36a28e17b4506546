"""Raw activations -> short vectors whose Euclidean neighbours are the metric's neighbours."""

from __future__ import annotations

import numpy as np

TILE = 1024
"""Rows multiplied at once. Every product has this many rows (the last is padded), so that a row's
vector does not depend on how many rows come with it."""


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length, float32; zero rows stay zero."""
    rows = rows.astype(np.float32)
    # Half precision reaches 65,504 and 6e-8: dividing by the largest value first keeps squares in range.
    top = np.abs(rows).max(1, keepdims=True, initial=0)
    rows /= np.where(top > 0, top, 1)
    length = np.sqrt((rows * rows).sum(1, keepdims=True))
    return rows / np.where(length > 0, length, 1)


def fit_components(raw: np.ndarray, count: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` leading components of rows (n, C): arrays (C, count) and the centre (C,), both float32.

    Cosine: right singular vectors of the unit vectors, uncentred, so that angles to the origin are kept.
    Euclidean: principal components of the rows as they are. Both come from the second moments, which are
    summed over tiles in float64 in row order.
    """
    channels = raw.shape[1]
    center = np.zeros(channels)
    if metric == "euclidean":
        for start in range(0, len(raw), TILE):
            center += raw[start : start + TILE].astype(np.float64).sum(0)
        center = (center / len(raw)).astype(np.float32)
    moments = np.zeros((channels, channels))
    for start in range(0, len(raw), TILE):
        tile = raw[start : start + TILE]
        tile = unit(tile) if metric == "cosine" else tile.astype(np.float32) - center
        moments += tile.T @ tile
    return leading(moments, count).astype(np.float32), center.astype(np.float32)


def leading(moments: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` leading eigenvectors of a symmetric matrix, as columns; each one's largest entry is positive."""
    vectors = np.linalg.eigh(moments)[1][:, ::-1][:, :count]
    sign = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    return vectors * np.where(sign == 0, 1, sign)


def project(raw: np.ndarray, components: np.ndarray, center: np.ndarray, metric: str) -> np.ndarray:
    """Rows (n, C) as vectors (n, m) float32; under cosine again of length 1 (zero rows stay zero)."""
    out = np.empty((len(raw), components.shape[1]), np.float32)
    for start in range(0, len(raw), TILE):
        tile = raw[start : start + TILE]
        padded = np.zeros((TILE, raw.shape[1]), np.float32)
        padded[: len(tile)] = unit(tile) if metric == "cosine" else tile.astype(np.float32) - center
        out[start : start + TILE] = (padded @ components)[: len(tile)]
    return unit(out) if metric == "cosine" else out
