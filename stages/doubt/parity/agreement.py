"""How far two sets of outputs are from one another, and what of it is a matter of form or order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.correlation import correlation, standard

EQUAL = 1e-3
"""Largest difference up to which outputs are the same, in standard deviations of the given ones over the images."""

NEAR = 0.1
"""Root mean square difference, in the same unit, up to which they are of the same network on images that were read,
cut or resized a little otherwise."""

FORMS = ("logits", "probabilities", "log probabilities")


@dataclass(frozen=True)
class Agreement:
    """Outputs held against given ones, both (n, K).

    Attributes:
        largest, median: absolute differences, in the outputs' own unit.
        image: the row of the largest.
        off: root mean square difference in standard deviations of the given outputs over the images.
        farthest: ``largest`` in the same unit.
        same_top: images whose largest output is the same one; None of a single output, and of quantities.
        rank: rank correlation (Spearman 1904): of the outputs of each image, median over images; of fewer than three
            over the images, median over outputs. None where all are equal.
        n: images.
    """

    largest: float
    median: float
    image: int
    off: float
    farthest: float
    same_top: int | None
    rank: float | None
    n: int

    @property
    def equal(self) -> bool:
        return self.farthest <= EQUAL

    @property
    def near(self) -> bool:
        return self.off <= NEAR


def spread(given: np.ndarray) -> float:
    """Standard deviation of outputs (n, K) over the images, each about its mean; their size where there is none."""
    found = float(np.sqrt(np.mean((given - given.mean(0)) ** 2)))
    size = float(np.abs(given).max())
    return found if found > 1e-9 * size else size or 1.0


def agreement(found: np.ndarray, given: np.ndarray, measured: bool = False) -> Agreement:
    """Both (n, K) float64; ``measured``: they are quantities."""
    apart, unit = np.abs(found - given), spread(given)
    top = None
    if given.shape[1] > 1 and not measured:
        top = int((found.argmax(1) == given.argmax(1)).sum())
    return Agreement(
        largest=float(apart.max()),
        median=float(np.median(apart)),
        image=int(apart.max(1).argmax()),
        off=off(found, given),
        farthest=float(apart.max() / unit),
        same_top=top,
        rank=_rank(found, given),
        n=len(given),
    )


def off(found: np.ndarray, given: np.ndarray) -> float:
    """Root mean square difference in units of :func:`spread`."""
    return float(np.sqrt(np.mean((found - given) ** 2)) / spread(given))


def _rank(found: np.ndarray, given: np.ndarray) -> float | None:
    rows = (found, given) if given.shape[1] > 2 else (found.T, given.T)
    told = [correlation(standard(one), standard(other)) for one, other in zip(*rows, strict=True)]
    known = [value for value in told if value is not None]
    return float(np.median(known)) if known else None


def in_form(logits: np.ndarray, kind: str, form: str) -> np.ndarray:
    """Logits (n, K) as one of :data:`FORMS`; quantities as they are."""
    if form == "logits" or kind == "quantity":
        return logits
    if kind == "sigmoid":
        logs = -np.logaddexp(0, -logits)
    else:
        logs = logits - np.logaddexp.reduce(logits, 1, keepdims=True)
    return logs if form == "log probabilities" else np.exp(logs)


def levelled(logits: np.ndarray) -> np.ndarray:
    """Logits less their mean over the classes: a softmax does not tell such from one another."""
    return logits - logits.mean(1, keepdims=True)


def order_between(found: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The order of ``found``'s columns nearest to ``given``'s: (K,), given column k is ``order[k]`` of found."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(_apart(found, given))[1]


def columns_between(found: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Of each of ``given``'s columns the nearest of ``found``, (K,): quicker than an order, and no order where one is
    nearest to several."""
    return _apart(found, given).argmin(1)


def _apart(found: np.ndarray, given: np.ndarray) -> np.ndarray:
    squares = (given**2).sum(0)[:, None] + (found**2).sum(0)[None] - 2 * given.T @ found
    # A column that is no nearer than another keeps its place.
    squares[np.diag_indices(len(squares))] -= 1e-9 * squares.max()
    return squares


def off_in_order(found: np.ndarray, given: np.ndarray) -> float:
    """:func:`off` of the nearest columns, of each half of the images those that the other half tells: something always
    fits best, and what was fitted to noise is no better there."""
    half = np.arange(len(given)) % 2
    apart = np.empty_like(given)
    for k in (0, 1):
        columns = columns_between(telling(found[half != k]), telling(given[half != k]))
        apart[half == k] = found[half == k][:, columns] - given[half == k]
    return float(np.sqrt(np.mean(apart**2)) / spread(given))


def telling(values: np.ndarray) -> np.ndarray:
    """Outputs by which classes are told apart: probabilities as logarithms, or all that are small would be alike."""
    return np.log(np.maximum(values, 1e-9)) if values.min() >= 0 and values.max() <= 1 + 1e-6 else values
