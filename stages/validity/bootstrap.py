"""Intervals of correlations and lifts, from replicates in which the photographs were drawn anew (bootstrap).

The heat and the shares of a cell rest on few photographs; their noise makes a correlation over cells smaller than it
would be of very many photographs (attenuation: Spearman 1904), and drawing anew adds the same noise once more. So
percentiles of the replicates lie too low. But variances and covariances over cells are sums of what is and of
noise, and by how much the replicates' exceed the sample's is the noise itself: taken away, they give the correlation
without it. Its spread is that of the replicates, on Fisher's z scale, enlarged by as much as the correction enlarges
the correlation. Held against known truth in ``tests/stages/test_validity.py`` and ``python -m benchmarks classview``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.validity.measures import correlation

LEAST = 0.2
"""Share of a variance over cells that is left at least when noise is taken away: where noise is nearly all there is,
what is left is not known."""
MOST = 4.0
"""A correction enlarges the spread by this factor at most, before Fisher's own."""
ALIKE = 0.05
"""Share of replicates without any heat beyond which nothing is told."""
EDGE = 0.9999

Scale = Callable[[np.ndarray], np.ndarray]


def fisher(values: np.ndarray) -> np.ndarray:
    """Fisher's z of correlations, on which their spread hardly depends on their size."""
    return np.arctanh(np.clip(values, -EDGE, EDGE))


@dataclass(frozen=True)
class Draws:
    """A figure of the sample, and draws of what it would be of very many photographs.

    Attributes:
        value: (...) of the sample as it is.
        centre: (...) the best guess.
        around: (B, ...) draws whose spread is that of the guess; NaN where a replicate says nothing.
        drawn: (B, ...) of the replicates as they are.
        either: whether the truth may as well lie on the one side of the sample's figure as on the other.
    """

    value: np.ndarray
    centre: np.ndarray
    around: np.ndarray
    drawn: np.ndarray
    either: bool = False

    def at(self, k: int) -> Draws:
        """Of one figure."""
        return Draws(self.value[k], self.centre[k], self.around[:, k], self.drawn[:, k], self.either)

    def median(self, of: Sequence[int]) -> Draws:
        """Of the figures (K,) whose indices are given, drawn together."""
        value, centre, around, drawn = (
            _median(values[..., list(of)]) for values in (self.value, self.centre, self.around, self.drawn)
        )
        return Draws(value, centre, around, drawn, self.either)

    def interval(self, scale: Scale, back: Scale, photographs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 %: the centre and Student's t times the draws' spread on a scale; it holds the sample's own figure.

        Args:
            scale, back: to the scale on which the spread is taken, and from it.
            photographs: (...) that it rests on: the degrees of freedom are one fewer (Cameron & Miller 2015).
        """
        from scipy.stats import t

        centre, own = scale(self.centre), scale(self.value)
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(_mean((scale(self.around) - _mean(scale(self.around))) ** 2))
        half = np.where(photographs > 1, t.ppf(0.975, np.maximum(photographs - 1, 1)), np.nan) * spread
        if self.either:
            half = half + np.abs(centre - own)
            return back(own - half), back(own + half)
        return back(np.minimum(centre - half, own)), back(np.maximum(centre + half, own))


def _median(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values).any(-1)
    return np.where(known, np.nanmedian(np.where(known[..., None], values, 0), -1), np.nan)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the first axis, of what is finite; NaN where less than half is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(known, values, 0).sum(0) / known.sum(0)
    return np.where(2 * known.sum(0) >= len(values), found, np.nan)


def correlations(moments: np.ndarray) -> Draws:
    """From moments (1 + B, K, 3): the sample's, and the replicates'.

    NaN where the heat is the same in all cells of more than :data:`ALIKE` of the replicates: it hangs on a photograph
    or two, and so would its interval.
    """
    alike = (moments[1:, :, 1] <= 0).mean(0) > ALIKE
    moments = np.where(alike[:, None], 0.0, moments)
    sample, drawn = moments[:1], moments[1:]
    mean = drawn.mean(0, keepdims=True)
    without = 2 * sample - mean
    without[..., 1:] = np.maximum(without[..., 1:], LEAST * sample[..., 1:])
    centre = np.clip(correlation(without), -EDGE, EDGE)
    replicates = correlation(drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        shrunk = np.sqrt(mean[..., 1] * mean[..., 2] / (without[..., 1] * without[..., 2]))
        enlarged = np.clip(shrunk, 1, MOST) / (1 - centre**2)
    around = np.tanh(fisher(centre) + (replicates - _mean(replicates)) * enlarged)
    return Draws(correlation(sample)[0], centre[0], around, replicates)


def log(values: np.ndarray) -> np.ndarray:
    """The scale of lifts, on which twice and half lie about as far from 1; 0 has a place on it, too."""
    return np.log1p(np.maximum(values, 0))


def unlog(values: np.ndarray) -> np.ndarray:
    return np.maximum(np.expm1(values), 0)


def lifts(values: np.ndarray) -> Draws:
    """From lifts (1 + B, K). Two things set the replicates' mean apart from the sample's lift: noise makes lifts
    smaller, and once more in replicates; and that a cell is just among the warmest or just not, they smooth (bagging:
    Breiman 1996). The first says that the truth lies on the far side of the sample's, the second on theirs."""
    return Draws(values[0], unlog(_mean(log(values[1:]))), values[1:], values[1:], either=True)
