"""A linear head fitted to what a model says: from the means of a layer's channels to the logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.tables.flags import ROUNDING

PENALTIES = 10.0 ** np.arange(-6, 3, 0.5)
"""Ridge penalties that are tried, as shares of the features' mean square."""


@dataclass(frozen=True)
class FittedHead:
    """A ridge regression of many logits on the same features.

    Attributes:
        weights: (C, K) float32.
        bias: (K,) float32.
        penalty: of :data:`PENALTIES`, the one that predicts best what is left out.
        left_out: (n, K) float64: each image's logits by a head fitted to all others.
    """

    weights: np.ndarray
    bias: np.ndarray
    penalty: float
    left_out: np.ndarray


def fitted_head(features: np.ndarray, scores: np.ndarray) -> FittedHead:
    """The head whose logits are nearest the model's, in the mean square with a penalty on its weights.

    Ridge regression (Hoerl & Kennard 1970) without a penalty on the bias. The penalty is chosen, and the fit judged,
    by leaving out each image in turn, which needs no other fit: of a linear smoother H the error of an image left out
    is its error over 1 - H_ii (Allen 1974). Logits and channels that are one number for all images get weights of 0.

    Args:
        features: (n, C), n >= 3.
        scores: (n, K).
    """
    from threadpoolctl import threadpool_limits

    features, scores = features.astype(np.float64), scores.astype(np.float64)
    count, origin, level = len(features), features.mean(0), scores.mean(0)
    with threadpool_limits(1):  # the order of a sum must not hang on the number of cores
        x, y = features - origin, scores - level
        for centred, raw in ((x, features), (y, scores)):  # what never changes is rounding, less its mean
            centred[:, np.ptp(raw, 0) <= ROUNDING * np.abs(raw).max(0)] = 0
        # Eigenvectors of the smaller side, n images, serve every penalty.
        square, axes = np.linalg.eigh(x @ x.T)
        square, along = np.maximum(square, 0), axes.T @ y
        best = None
        for share in PENALTIES:
            penalty = share * (float(square.sum()) / count or 1.0)
            kept = square / (square + penalty)
            own = 1 / count + (axes**2) @ kept
            errors = (y - axes @ (kept[:, None] * along)) / np.maximum(1 - own, 1e-12)[:, None]
            total = float(np.square(errors).sum())
            if best is None or total < best[0]:
                best = total, share, penalty, errors
        _, share, penalty, errors = best
        weights = x.T @ (axes @ (along / (square + penalty)[:, None]))
        return FittedHead(
            weights.astype(np.float32), (level - origin @ weights).astype(np.float32), float(share), scores - errors
        )
