"""Two means of which some cases are the same: how far apart they are, and whether by chance.

Two runs may share all of their images, some or none. Every figure here holds for all three: with no pairs it is that of
two independent samples, with nothing but pairs that of paired ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.intervals import Z, wilson_bounds

FEWEST = 5
"""Cases that are hit, and that are not, which either side is to expect of what it does not share: the normal
approximation of the test needs as many (Cochran 1954)."""
DISCORDANT = 10
"""Of shared cases alone: pairs that differ, for the same reason."""


@dataclass(frozen=True)
class Shares:
    """Shares of two samples that overlap, of each of k things (cells, sets); every field (k,) or a number.

    Attributes:
        n, other_n: cases of the first sample, and of the second.
        hits, other_hits: of these the ones that are hit.
        pairs: cases that are in both samples.
        pair_hits, other_pair_hits: of these the ones that are hit in the first, and in the second.
        both: hit in both.
    """

    n: Any
    hits: Any
    other_n: Any
    other_hits: Any
    pairs: Any = 0
    pair_hits: Any = 0
    other_pair_hits: Any = 0
    both: Any = 0

    @classmethod
    def of(cls, hit: np.ndarray, other_hit: np.ndarray, pair: np.ndarray, other_pair: np.ndarray) -> Shares:
        """Of one thing: hits (n,) and (other_n,) bool; pairs (m,) as indices into either."""
        one, two = hit[pair], other_hit[other_pair]
        paired = len(pair), int(one.sum()), int(two.sum()), int((one & two).sum())
        return cls(len(hit), int(hit.sum()), len(other_hit), int(other_hit.sum()), *paired)

    def _floats(self) -> tuple[np.ndarray, ...]:
        values = (self.n, self.hits, self.other_n, self.other_hits, self.pairs, self.pair_hits)
        return tuple(np.asarray(value, np.float64) for value in (*values, self.other_pair_hits, self.both))

    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """The first share and the second; NaN where there are no cases."""
        n, hits, other_n, other_hits, *_ = self._floats()
        with np.errstate(divide="ignore", invalid="ignore"):
            return hits / n, other_hits / other_n

    def change(self, z: Any = Z) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The second share less the first, with its interval of ``z`` standard errors; NaN where either has no cases.

        From Wilson's intervals of both and the correlation r of the two shares (Newcombe 1998b, method 10, whose r is
        phi; Zou 2007 for any r): with m pairs and their covariance c, r = m c / (n1 n2) / sqrt(p1 q1 / n1  p2 q2 / n2).
        Without pairs it is :func:`stages.intervals.newcombe`.
        """
        n, _, other_n, _, pairs, *_ = self._floats()
        one, two = self.shares()
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(one * (1 - one) / n * two * (1 - two) / other_n)
            r = np.where(spread > 0, pairs * self._covariance() / (n * other_n) / spread, 0.0)
        r = np.clip(r, -1, 1)
        (low, high), (other_low, other_high) = wilson_bounds(one, n, z), wilson_bounds(two, other_n, z)
        below = _apart(two - other_low, high - one, r)
        above = _apart(other_high - two, one - low, r)
        return two - one, np.maximum(two - one - below, -1), np.minimum(two - one + above, 1)

    def p_value(self) -> np.ndarray:
        """Two-sided, that both shares are of one population (NaN where too few cases would show it).

        z = (p2 - p1) / sqrt(p q (1 / n1 + 1 / n2 - 2 phi m / (n1 n2))), p of both together, phi of the m pairs
        (Derrick, Dobson-Mckittrick, Toher & White 2015, z8).
        """
        from scipy.special import ndtr

        n, hits, other_n, other_hits, pairs, pair_hits, other_pair_hits, both = self._floats()
        one, two = self.shares()
        with np.errstate(divide="ignore", invalid="ignore"):
            # A shared case counts once: of all that is known of the share, half from either side.
            p = (hits + other_hits) / (n + other_n)
            share, other = pair_hits / pairs, other_pair_hits / pairs
            spread = np.sqrt(share * (1 - share) * other * (1 - other))
            phi = np.where(spread > 0, self._covariance() / np.where(spread > 0, spread, 1), 0.0)
            alike = (pairs > 0) & (both == pair_hits) & (both == other_pair_hits)
            phi = np.where(alike, 1.0, phi)  # pairs that never differ tell nothing, whether any is hit or not
            scale = 1 / n + 1 / other_n - 2 * phi * pairs / (n * other_n)
            z = np.where(scale > 1e-15, (two - one) / np.sqrt(p * (1 - p) * np.maximum(scale, 1e-15)), 0.0)
        rarer = np.minimum(p, 1 - p)
        left, other_left = n - pairs, other_n - pairs
        able = ((left == 0) | (rarer * left >= FEWEST)) & ((other_left == 0) | (rarer * other_left >= FEWEST))
        able &= (left + other_left > 0) | (pair_hits + other_pair_hits - 2 * both >= DISCORDANT)
        return np.where(able & np.isfinite(z), 2 * ndtr(-np.abs(z)), np.nan)

    def _covariance(self) -> np.ndarray:
        """Of the pairs' hits; 0 without pairs."""
        *_, pairs, pair_hits, other_pair_hits, both = self._floats()
        some = np.maximum(pairs, 1)
        return both / some - pair_hits / some * other_pair_hits / some


def _apart(one: np.ndarray, other: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(one**2 - 2 * r * one * other + other**2, 0))


def mcnemar(lost: int, gained: int) -> float:
    """Exact p value, two-sided, that a case is as often lost as gained (McNemar 1947): of lost + gained coins."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5))) if lost + gained else 1.0


def means_apart(
    one: np.ndarray, other: np.ndarray, pair: np.ndarray, other_pair: np.ndarray, outside: float = 0.05
) -> tuple[float, float, float]:
    """The mean of ``other`` (n2,) less that of ``one`` (n1,), with the interval that leaves out ``outside``.

    The variance is s1^2 / n1 + s2^2 / n2 - 2 m c / (n1 n2), c the covariance of the m pairs; Student's t has the
    smaller sample's degrees of freedom. With nothing but pairs that is the paired interval.

    Args:
        pair, other_pair: (m,) indices of cases that are in both.

    Returns:
        difference, lower and upper end; NaN ends for fewer than five cases on either side.
    """
    from scipy.special import stdtrit

    n, other_n, m = len(one), len(other), len(pair)
    if not n or not other_n:
        return (float("nan"),) * 3
    gap = float(other.mean() - one.mean())
    if min(n, other_n) < FEWEST:
        return gap, float("nan"), float("nan")
    shared = float(np.cov(one[pair], other[other_pair])[0, 1]) if m > 1 else 0.0
    variance = one.var(ddof=1) / n + other.var(ddof=1) / other_n - 2 * m * shared / (n * other_n)
    half = float(stdtrit(min(n, other_n) - 1, 1 - outside / 2)) * float(np.sqrt(max(variance, 0.0)))
    return gap, gap - half, gap + half
