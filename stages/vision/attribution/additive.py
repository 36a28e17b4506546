"""What each part of an image is worth, from the scores of images with some parts shown and the others hidden.

Parts are the columns of ``shown`` (jobs, parts) bool, scores are (jobs, k) float64, for k targets at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from activation_atlas.stages.vision.lazy import tf

FOLDS = 5


@dataclass(frozen=True)
class Jobs:
    """Which parts are shown in each of the images that are scored, and how much each counts.

    Attributes:
        shown: (jobs, parts) bool.
        weights: (jobs,) float64.
        folds: (jobs,) from 0 to :data:`FOLDS` - 1, for :attr:`Worth.fit`; None where nothing was drawn.
    """

    shown: np.ndarray
    weights: np.ndarray
    folds: np.ndarray | None = None


@dataclass(frozen=True)
class Worth:
    """
    Attributes:
        values: (parts, k) float64.
        fit: (k,) share of the scores' weighted variance that the sum of the values predicts, at most 1, below 0 where
            their mean predicts more; NaN where the scores do not vary. Where jobs were drawn, each fifth is predicted
            by values fitted to the others: with few samples values fit what they were fitted to, and nothing else.
    """

    values: np.ndarray
    fit: np.ndarray | None = None


def proximity(shown: np.ndarray, width: float) -> np.ndarray:
    """LIME's kernel: weight of each row of ``shown``, exp(-d^2 / (2 width^2)), d its cosine distance from all ones.

    As LIME's image explainer has it; section 3.4 of Ribeiro et al. 2016 has no 2 there.
    """
    distance = 1 - np.sqrt(shown.mean(1))  # cosine of z and ones: sum z / sqrt(sum z) / sqrt(parts)
    return np.exp(-(distance**2) / (2 * width**2))


def ridge(jobs: Jobs, scores: np.ndarray, penalty: float) -> Worth:
    """Weighted ridge regression; the intercept is free and not penalised."""
    shown, weights = jobs.shown.astype(np.float64), jobs.weights

    def fitted(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = (_mean(a[some], weights[some]) for a in (shown, scores))
        values = least_squares(shown[some] - x, scores[some] - y, weights[some], penalty)
        return values, y - _sums(x[None], values)[0]

    return _worth(jobs, scores, fitted)


def least_squares(x: np.ndarray, y: np.ndarray, weights: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """b (p, k) of least weighted squares of y - x b, plus the penalty times b's squares; of several the shortest.

    By TensorFlow, whose decomposition is of one thread: sums that BLAS splits over threads hang on their number.
    """
    root = np.sqrt(weights)[:, None]
    rows = np.concatenate([root * x, np.sqrt(penalty) * np.eye(x.shape[1])])
    right = np.concatenate([root * y, np.zeros((x.shape[1], y.shape[1]))])
    return tf.linalg.lstsq(tf.constant(rows), tf.constant(right), fast=False).numpy()


def _worth(jobs: Jobs, scores: np.ndarray, fitted: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Worth:
    """
    Args:
        fitted: to some of the jobs, (jobs,) bool: values (parts, k), and the score (k,) of none of the parts.
    """
    every = np.ones(len(scores), bool)
    values, base = fitted(every)
    predicted = base + _sums(jobs.shown, values)
    for fold in range(FOLDS if jobs.folds is not None else 0):
        out = jobs.folds == fold
        others, base = fitted(~out)
        predicted[out] = base + _sums(jobs.shown[out], others)
    spread = (scores - _mean(scores, jobs.weights)) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return Worth(values, 1 - _mean((scores - predicted) ** 2, jobs.weights) / _mean(spread, jobs.weights))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (values * weights[:, None]).sum(0) / weights.sum()


def _sums(shown: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``shown`` times ``values``, without BLAS, see :func:`least_squares`."""
    return np.stack([(shown * column).sum(1) for column in values.T], 1)


def coalitions(rng: np.random.Generator, parts: int, samples: int) -> Jobs:
    """Coalitions of parts, with the weights of the Shapley kernel (Lundberg & Lee 2017, theorem 2), whose sum is 1.

    All 2^parts - 2 proper ones where there are no more than ``samples``. Else much as Kernel SHAP's reference has it:
    from one part shown or hidden inwards, sizes of which all fit into their share of the samples are enumerated; of the
    others coalitions are drawn by their kernel's weight, each with its complement, and counted as often as drawn.
    """
    if parts == 1:
        return Jobs(np.zeros((0, 1), bool), np.zeros(0))
    sizes = range(1, parts // 2 + 1)  # s stands for parts - s too: a coalition and its complement weigh the same
    counts = [comb(parts, s) * (2 if 2 * s < parts else 1) for s in sizes]
    share = np.array([(parts - 1) / (s * (parts - s)) * (2 if 2 * s < parts else 1) for s in sizes])
    share /= share.sum()
    left, full, shown, weights = min(samples, sum(counts)), 0, [], []
    while full < len(counts) and left * share[full] / share[full:].sum() >= counts[full] * (1 - 1e-8):
        some = np.zeros((comb(parts, sizes[full]), parts), bool)
        np.put_along_axis(some, np.array(list(combinations(range(parts), sizes[full]))), True, 1)
        shown += [some, ~some] if counts[full] > len(some) else [some]
        weights.append(np.full(counts[full], share[full] / counts[full]))
        left, full = left - counts[full], full + 1
    if drawn := full < len(counts):
        pairs, times = _drawn(rng, parts, max(1, left // 2), np.array(sizes[full:]), share[full:] / share[full:].sum())
        shown += [pairs, ~pairs]
        weights.append(np.tile(share[full:].sum() * times / times.sum() / 2, 2))
    # A coalition and its complement go into one fold: of an additive score each tells the other.
    folds = np.concatenate([np.arange(len(some)) % FOLDS for some in shown]) if drawn else None
    return Jobs(np.concatenate(shown), np.concatenate(weights), folds)


def _drawn(
    rng: np.random.Generator, parts: int, count: int, sizes: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of complements, no two the same, as one of each (count, parts), and how often each was drawn.

    Fewer than ``count`` where eight times as many draws do not give so many.
    """
    times: dict[bytes, int] = {}
    for _ in range(8):
        size = rng.choice(sizes, count, p=shares)
        drawn = rng.random((count, parts)).argsort(1).argsort(1) < size[:, None]
        drawn ^= drawn[:, :1]  # of two complements the one without the first part
        for one in drawn:
            if len(times) == count:
                break
            key = one.tobytes()
            times[key] = times.get(key, 0) + 1
    pairs = np.frombuffer(b"".join(times), bool).reshape(-1, parts)
    return pairs, np.array(list(times.values()), np.float64)


def shapley(jobs: Jobs, scores: np.ndarray, whole: np.ndarray, nothing: np.ndarray) -> Worth:
    """Weighted least squares of scores - nothing on which parts are shown, under sum of values = whole - nothing.

    Over all coalitions these are the Shapley values (Lundberg & Lee 2017, theorem 2).

    Args:
        whole, nothing: (k,), scores with all parts shown and with none.
    """
    shown, weights, gain = jobs.shown.astype(np.float64), jobs.weights, whole - nothing
    if shown.shape[1] == 1:
        return Worth(gain[None], np.full(len(gain), np.nan))
    # The last part's value is what the others leave.
    x, y = shown[:, :-1] - shown[:, -1:], scores - nothing - shown[:, -1:] * gain

    def fitted(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        free = least_squares(x[some], y[some], weights[some])
        return np.concatenate([free, [gain - free.sum(0)]]), nothing

    return _worth(jobs, scores, fitted)
