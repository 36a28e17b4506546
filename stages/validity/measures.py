"""How well the heat of a class says where its photographs lie: a correlation over cells, and a lift of the warmest."""

from __future__ import annotations

import numpy as np

WARMEST = 0.05
"""Share of the rows that the warmest cells hold."""


def centred(values: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Values (R, C) less their mean over the cells that are ``held``, and 0 in the others; float32."""
    mean = (np.where(held, values, 0).sum(1, dtype=np.float64) / np.maximum(held.sum(1), 1))[:, None]
    found = np.where(held, values - mean.astype(np.float32), np.float32(0))
    # What rounding leaves of a constant is no difference between cells.
    found *= np.abs(found).max(1, keepdims=True) > 1e-6 * np.abs(mean)
    return found


def moments(heat: np.ndarray, share: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Covariance over cells of two :func:`centred` arrays (R, C), and the variance of each: (R, 3) float64.

    ``cells``: (R,) how many are held.
    """
    pairs = ((heat, share), (heat, heat), (share, share))
    sums = [np.einsum("rc,rc->r", one, other) for one, other in pairs]
    return np.stack(sums, 1).astype(np.float64) / np.maximum(cells, 1)[:, None]


def correlation(of: np.ndarray) -> np.ndarray:
    """Pearson's, of moments (..., 3); NaN where one of both is the same in all cells."""
    scale = np.sqrt(np.maximum(of[..., 1], 0) * np.maximum(of[..., 2], 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, np.clip(of[..., 0] / scale, -1, 1), np.nan)


def warmest(heat: np.ndarray, rows: np.ndarray, share: float = WARMEST) -> np.ndarray:
    """How much of each cell is among the warmest: those that together hold ``share`` of the rows.

    The coolest of them count for the part that is still needed, and cells as warm as each other for equal parts:
    nothing hangs on their order.

    Args:
        heat: (R, C).
        rows: (R, C) rows of each cell; a cell of none may have any heat.

    Returns:
        (R, C) float32 in [0, 1].
    """
    heat = np.where(rows > 0, heat, np.float32(-np.inf))
    need = share * rows.sum(1, dtype=np.float64)
    for count in (heat.shape[1] // 5, heat.shape[1]):  # a fifth of the cells is mostly enough, and soon sorted
        some = 0 < count < heat.shape[1]
        order = np.argpartition(heat, -count, axis=1)[:, -count:] if some else np.argsort(heat, axis=1)
        order = np.take_along_axis(order, np.argsort(-np.take_along_axis(heat, order, 1), axis=1), 1)
        held = np.cumsum(np.take_along_axis(rows, order, 1), 1, dtype=np.float64)
        if (held[:, -1] >= need).all():
            break
    last = np.minimum((held < need[:, None]).sum(1), order.shape[1] - 1)
    least = np.take_along_axis(heat, np.take_along_axis(order, last[:, None], 1), 1)
    above, equal = heat > least, (heat == least) & (rows > 0)
    left, tied = (np.einsum("rc,rc->r", each.astype(np.float32), rows).astype(np.float64) for each in (above, equal))
    part = np.clip((need - left) / np.maximum(tied, 1e-30), 0, 1)
    return above + equal * part[:, None].astype(np.float32)


def lift(warm: np.ndarray, own: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Share of the warmest cells' rows that come from photographs of the class, over the same of all cells.

    Args:
        warm: (R, C) from :func:`warmest`.
        own: (R, C) rows from photographs of the class.
        rows: (R, C) all rows.

    Returns:
        (R,) float64; NaN where no row is of the class, or all are.
    """
    there, among = (np.einsum("rc,rc->r", warm, each).astype(np.float64) for each in (own, rows))
    whole, total = (each.sum(1, dtype=np.float64) for each in (own, rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((whole > 0) & (whole < total), (there / among) / (whole / total), np.nan)
