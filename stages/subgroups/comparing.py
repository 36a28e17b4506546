"""One set of images beside another: how much better or worse, how surely, and what a test would need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.intervals import newcombe, student_t, wilson

LEAST = 10
"""Images on either side without which there is no test."""
ALPHA = 0.05
NONE = float("nan")


@dataclass(frozen=True)
class Side:
    """Images that count: how many, and the sums (3,) of their scores, of the squares and of the cubes, each score less
    ``centre``."""

    n: int
    sums: np.ndarray
    centre: float = 0.0

    @classmethod
    def of(cls, scores: np.ndarray) -> Side:
        """Of the scores themselves, (n,)."""
        return cls(len(scores), np.array([(scores**power).sum() for power in (1, 2, 3)], np.float64))

    def __sub__(self, part: Side) -> Side:
        return Side(self.n - part.n, self.sums - part.sums, self.centre)

    def __add__(self, other: Side) -> Side:
        return Side(self.n + other.n, self.sums + other.sums, self.centre)

    @property
    def total(self) -> float:
        return float(self.sums[0])

    @property
    def mean(self) -> float:
        return self.centre + self.total / self.n if self.n else NONE

    @property
    def variance(self) -> float:
        """Of cases, with n - 1 below; NaN of fewer than two."""
        if self.n < 2:
            return NONE
        return max(0.0, float(self.sums[1]) - self.total**2 / self.n) / (self.n - 1)

    def interval(self, shares: bool) -> tuple[float, float]:
        """95 % of its mean: Wilson's of shares, else by Student's t; NaN where there is none."""
        if not self.n:
            return NONE, NONE
        if shares:
            return wilson(self.total, self.n)
        half = float(student_t(np.array(self.n))) * (self.variance / self.n) ** 0.5
        return self.mean - half, self.mean + half


def gap(one: Side, other: Side, shares: bool) -> tuple[float, float, float]:
    """The mean of one less the other's, and its 95 % interval: Newcombe's of shares, else Welch's (1947)."""
    if shares:
        return one.mean - other.mean, *newcombe(one.total, one.n, other.total, other.n)
    from scipy.special import stdtrit

    found = one.mean - other.mean
    if one.n < 2 or other.n < 2:
        return found, NONE, NONE
    each = [side.variance / side.n for side in (one, other)]
    error = sum(each)
    if error == 0:
        return found, found, found
    freedom = error**2 / sum(e**2 / (side.n - 1) for e, side in zip(each, (one, other), strict=True))
    half = float(stdtrit(freedom, 0.975)) * error**0.5
    return found, found - half, found + half


def tails(one: Side, other: Side, shares: bool) -> tuple[float, float]:
    """p values of one side: that chance makes the mean of ``one`` as low as it is, and as high.

    Of shares by Fisher's exact test. Else by the permutation distribution of the mean, as the Pearson type III one that
    has its exact mean, variance and skewness (Mielke, Berry & Brier 1981).
    """
    return _fisher(one, other) if shares else _permuted(one, other)


def two_sided(less: float, more: float) -> float:
    """Twice the smaller of two p values of one side."""
    return min(1.0, 2 * min(less, more))


def _fisher(one: Side, other: Side) -> tuple[float, float]:
    hits, n, rest = round(one.total), one.n, other.n
    counts, chance = hypergeometric(round(one.total + other.total), n, rest)
    return min(1.0, float(chance[counts <= hits].sum())), min(1.0, float(chance[counts >= hits].sum()))


def hypergeometric(hits: int, n: int, rest: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of so many hits fall to n cases, the others to the rest, and the probability of each number."""
    from scipy.special import gammaln

    def ways(of: int, taken: np.ndarray) -> np.ndarray:
        return gammaln(of + 1) - gammaln(taken + 1) - gammaln(of - taken + 1)

    counts = np.arange(max(0, hits - rest), min(hits, n) + 1)
    return counts, np.exp(ways(n, counts) + ways(rest, hits - counts) - ways(n + rest, np.array(hits)))


def _permuted(one: Side, other: Side) -> tuple[float, float]:
    from scipy.special import gammainc, gammaincc, ndtr

    whole, m = one + other, one.n
    n = whole.n
    mean, squares, cubes = (float(power) / n for power in whole.sums)
    second, third = max(0.0, squares - mean**2), cubes - 3 * mean * squares + 2 * mean**3
    varies = second / m * (n - m) / (n - 1)
    if varies <= 1e-18 * (abs(whole.mean) + 1) ** 2:
        return 1.0, 1.0
    z = (one.total / m - mean) / varies**0.5
    skew = third / m**2 * (n - m) * (n - 2 * m) / ((n - 1) * (n - 2)) / varies**1.5
    if abs(skew) < 1e-3:
        return float(ndtr(z)), float(ndtr(-z))
    shape = 4 / skew**2
    at = max(0.0, shape + np.sign(skew) * z * shape**0.5)
    below, above = float(gammainc(shape, at)), float(gammaincc(shape, at))
    return (below, above) if skew > 0 else (above, below)


def lacking(one: Side, other: Side, shares: bool, images: str, others: str) -> str | None:
    """Why the two cannot be told apart whatever the outcome, and the number that is missing; None where they can.

    Args:
        images, others: what their images are called: "images", "other images".
    """
    for side, what in ((one, images), (other, others)):
        if side.n == 0:
            return f"no {what} to compare with: a test needs {LEAST}" if side is other else f"no {what}: none to test"
        if side.n < LEAST:
            what = what.replace("images", "image", 1) if side.n == 1 else what
            return f"{side.n} {what}: a test needs {LEAST}, {LEAST - side.n} more"
    if not shares:
        return None
    hits = round(one.total + other.total)
    fewer, what = min((one.n + other.n - hits, "errors"), (hits, "images that are right"))
    needed = _fewest(one.n, other.n)
    if fewer < needed:
        return f"{fewer} {what} in all: a test of {one.n} images beside {other.n} needs {needed}, {needed - fewer} more"
    return None


def _fewest(n: int, rest: int) -> int:
    """Errors in all from which they can lie so unevenly that chance does it in fewer than one of twenty runs."""
    for count in range(1, n + rest):
        chance = hypergeometric(count, n, rest)[1]
        if 2 * min(chance[0], chance[-1]) <= ALPHA:
            return count
    return n + rest
