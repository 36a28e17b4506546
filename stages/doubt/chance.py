"""Whether labels and predictions agree more often than they would by chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from activation_atlas.stages.doubt.finding import LEAST, Seen

SHUFFLES = 1999
MOST = 10_000
"""Images that are shuffled: more say nothing new."""

ALPHA = 0.02
"""What comes more often than this by chance is not taken for more than chance."""

SURE = 0.001
"""What would come as rarely as this were the model of use is taken for a fault."""


def at_most(count: int, n: int, share: float) -> float:
    """P(X <= count) of a binomial X of n cases, each with probability ``share``."""
    from scipy.special import bdtr

    return float(bdtr(count, n, share)) if count < n else 1.0


def at_least(count: int, n: int, share: float) -> float:
    """P(X >= count), as :func:`at_most`."""
    return 1.0 if count <= 0 else 1.0 - at_most(count - 1, n, share)


@dataclass(frozen=True)
class Agreement:
    """Labels and predictions of n images, both (n,) int.

    By chance means: the same labels dealt out to the images anew. It leaves alone how often a class is a label, and
    how often it is predicted, so that a model that always says the same is no better than chance, however frequent
    that class may be.
    """

    label: np.ndarray
    pred: np.ndarray
    seed: int = 0

    @property
    def n(self) -> int:
        return len(self.label)

    @property
    def right(self) -> int:
        return int((self.label == self.pred).sum())

    @property
    def expected(self) -> float:
        """How many are right by chance: n times the p_e of Cohen's kappa (Cohen 1960)."""
        kinds = int(max(self.label.max(), self.pred.max())) + 1
        rows, columns = (np.bincount(x, minlength=kinds).astype(np.float64) for x in (self.label, self.pred))
        return float(rows @ columns) / self.n

    @property
    def others(self) -> int:
        """Images whose label is not the most frequent one."""
        return self.n - int(np.bincount(self.label).max())

    @cached_property
    def _dealt(self) -> tuple[int, np.ndarray]:
        label, pred = self.label[:MOST], self.pred[:MOST]
        rng = np.random.default_rng([self.seed, len(label)])
        again = [int((rng.permutation(label) == pred).sum()) for _ in range(SHUFFLES)]
        return int((label == pred).sum()), np.array(again)

    @property
    def more(self) -> float:
        """p that chance has as many right, or more: a permutation test (Fisher 1935; Phipson & Smyth 2010)."""
        right, again = self._dealt
        return float(1 + (again >= right).sum()) / (1 + SHUFFLES)

    @property
    def fewer(self) -> float:
        """p that chance has as few right, or fewer."""
        right, again = self._dealt
        return float(1 + (again <= right).sum()) / (1 + SHUFFLES)


@dataclass(frozen=True)
class Chance:
    """What guessing gives, and how what was seen compares.

    Attributes:
        expected: images right by guessing.
        dealt: whether that is by dealing out the labels anew; else one of the model's classes at random each time.
        worse: whether there are fewer right than guessing would have.
    """

    right: int
    n: int
    expected: float
    dealt: bool
    p: float
    worse: bool


def no_better(seen: Seen, seed: int) -> Chance | None:
    """How labelled images that are no better classified than by chance compare with it; None where they are better.

    None, too, where too few are labelled to tell: were half of what chance gets wrong right, so few would be right
    in fewer than one case in 1,000. Where nearly all labels are one class there is nothing to deal out: a guess is
    then one of the model's classes.
    """
    if len(seen) < LEAST:
        return None
    found = Agreement(seen.label, seen.pred, seed)
    n, right = found.n, found.right
    dealt = found.others >= LEAST or found.others > n // 2
    expected = found.expected if dealt else n / len(seen.classes)
    if at_most(right, n, (1 + expected / n) / 2) >= SURE:
        return None
    more = found.more if dealt else at_least(right, n, 1 / len(seen.classes))
    fewer = found.fewer if dealt else at_most(right, n, 1 / len(seen.classes))
    if more <= ALPHA:
        return None
    return Chance(right, n, expected, dealt, more, fewer <= SURE)


def hardly(found: Chance) -> bool:
    """Whether labels and predictions have so little in common that not even a weak model is behind them.

    Were a quarter of what chance gets wrong right, so few would be right in fewer than one case in 1,000.
    """
    share = found.expected / found.n
    return at_most(found.right, found.n, share + (1 - share) / 4) < SURE
