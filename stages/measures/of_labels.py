"""How well each class is found where it stands for itself: average precision, precision, recall and F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranked:
    """One class: its images by falling score, and the last of each run of equal scores.

    Attributes:
        order: (n,) indices of the images.
        positive: (n,) bool, in that order.
        ends: (t,) places of the last image of each score.
        scores: (t,) those scores.
    """

    order: np.ndarray
    positive: np.ndarray
    ends: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, positive: np.ndarray) -> Ranked:
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True]) if len(order) else np.zeros(0, np.int64)
        return cls(order, positive[order], ends, scores[order][ends])

    def curve(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, float]:
        """Images found, images called so, at each score and above, and positives; images count as often as drawn."""
        own = np.ones(len(self.order)) if weights is None else weights[self.order].astype(np.float64)
        found, called = np.cumsum(own * self.positive)[self.ends], np.cumsum(own)[self.ends]
        return found, called, float(found[-1]) if len(found) else 0.0


def average_precision(ranked: Ranked, weights: np.ndarray | None = None) -> float:
    """sum_k (R_k - R_(k-1)) P_k over the distinct scores, precision P and recall R (as scikit-learn has it); NaN
    without positives."""
    found, called, positives = ranked.curve(weights)
    if not positives:
        return float("nan")
    precision = found / np.where(called > 0, called, 1)
    return float((np.diff(found, prepend=0) / positives * precision).sum())


def best_f1(ranked: Ranked) -> tuple[float, float]:
    """The largest F1 = 2 found / (called + positives) over all thresholds, and the score from which a class is called
    to reach it (of equals the highest); NaN without positives."""
    found, called, positives = ranked.curve()
    if not positives:
        return float("nan"), float("nan")
    f1 = 2 * found / (called + positives)
    return float(f1.max()), float(ranked.scores[f1.argmax()])


def f1(found: np.ndarray, called: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """2 found / (called + positives), (...); NaN where nothing is and nothing is called so."""
    below = called + positives
    return np.where(below > 0, 2 * found / np.where(below > 0, below, 1), np.nan)
