"""The last layer fitted anew, so that a cue no longer tells the class: multinomial regression tied to the old weights.

Last layers of networks that lean on a cue, fitted anew on data in which the cue goes with no class, stop leaning on it
(deep feature reweighting: Kirichenko, Izmailov & Wilson 2023). Here the groups of class and cue are weighted and not
thinned out, and the penalty draws to the weights that there were, so that classes of few images stay what they are.
How much is chosen by what is left out of the images that are fitted on, never by those that it is reported on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PENALTIES = 10.0 ** np.arange(0, -4.5, -0.5)
"""Tried from the strongest, which leaves the layer much as it is, to where the next two are no better."""
FOLDS = 5
"""As many as an image is dealt to by its content."""
STEPS = 20, 300
"""Of L-BFGS for one penalty, at most: of the largest layers, and of small ones. Each begins where the last ended."""
WORK = 2e10
"""Images x features x classes x steps: what a penalty may take, within these bounds."""


@dataclass(frozen=True)
class Linear:
    """A last layer: logits = features @ kernel + bias.

    Attributes:
        kernel: (D, U) float64.
        bias: (U,) float64.
        one: whether its one unit z (U = 1) stands for the two logits (0, z).
        biased: whether the bias may change; else it is 0 and stays so.
    """

    kernel: np.ndarray
    bias: np.ndarray
    one: bool = False
    biased: bool = True

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, D) -> (n, K) float64."""
        units = features.astype(np.float64) @ self.kernel + self.bias
        return np.concatenate([np.zeros_like(units), units], axis=1) if self.one else units

    def hits(self, features: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Whether the highest logit is the label's, (n,) bool."""
        return self.logits(features).argmax(1) == label


@dataclass(frozen=True)
class Refit:
    """A last layer fitted anew.

    Attributes:
        layer: it.
        penalty: of :data:`PENALTIES`, the one with which most of what is left out is told rightly; infinite where that
            is no more than the old layer does.
        left_out: weighted share of images told rightly by the layer that was fitted without them.
        before: the same of the old layer.
    """

    layer: Linear
    penalty: float
    left_out: float
    before: float


def group_weights(label: np.ndarray, cues: np.ndarray) -> np.ndarray:
    """Weights of images by which no cue tells the class, (n,) summing to 1.

    Each class weighs as much as it has images. Of that one half is for images without any cue, the other for those with
    one, each cue the same share; an image with several is of several groups. Where a class lacks one of the two, the
    other has all.

    Args:
        label: (n,) class indices.
        cues: (n, J) bool, which cues an image carries.
    """
    weights = np.zeros(len(label))
    without = ~cues.any(1)
    for k in np.unique(label):
        own = label == k
        kinds = [[own & without], [own & cue for cue in cues.T]]
        kinds = [[group for group in kind if group.any()] for kind in kinds]
        kinds = [kind for kind in kinds if kind]
        for kind in kinds:
            for group in kind:
                weights[group] += own.sum() / len(kinds) / len(kind) / group.sum()
    return weights / weights.sum()


def refit(old: Linear, features: np.ndarray, label: np.ndarray, cues: np.ndarray, fold: np.ndarray) -> Refit:
    """Fits the layer anew; the penalty is chosen by leaving out one fold after another.

    Where no penalty does better than the old layer, the old layer is what is returned.

    Args:
        old: the layer there is.
        features: (n, D), what it reads.
        label: (n,) class indices.
        cues: (n, J) bool, as in :func:`group_weights`.
        fold: (n,) whole numbers, at least two; copies of one image are of one fold.
    """
    from threadpoolctl import threadpool_limits

    weights = group_weights(label, cues)
    before = float(weights @ old.hits(features, label))
    with threadpool_limits(1):  # the order of a sum must not hang on the number of cores
        parts = [
            (rest, _Problem(old, features[rest], label[rest], group_weights(label[rest], cues[rest])))
            for rest in (fold != k for k in np.unique(fold))
        ]
        starts, tried = [np.zeros(part.size) for _, part in parts], []
        for penalty in PENALTIES:
            starts = [part.solve(penalty, start) for (_, part), start in zip(parts, starts, strict=True)]
            hit = np.zeros(len(label), bool)
            for (rest, part), at in zip(parts, starts, strict=True):
                hit[~rest] = part.layer(at).hits(features[~rest], label[~rest])
            tried.append(float(weights @ hit))
            if np.argmax(tried) < len(tried) - 2:
                break
        best = int(np.argmax(tried))  # of equal ones the strongest
        if tried[best] <= before:
            return Refit(old, float("inf"), before, before)
        problem = _Problem(old, features, label, weights)
        at = np.zeros(problem.size)
        for penalty in PENALTIES[: best + 1]:
            at = problem.solve(penalty, at)
        return Refit(problem.layer(at), float(PENALTIES[best]), tried[best], before)


class _Problem:
    """min over V of sum_i w_i CE_i(old + V) + penalty / 2 |V|^2, in units in which each feature varies by 1."""

    def __init__(self, old: Linear, features: np.ndarray, label: np.ndarray, weights: np.ndarray) -> None:
        self.old, self.label, self.weights = old, label, weights
        features = features.astype(np.float64)
        self.origin, self.scale = features.mean(0) * old.biased, features.std(0)
        self.scale[self.scale <= 1e-6 * np.abs(features).max(0)] = np.inf  # what never changes has no weight
        self.own = (features - self.origin) / self.scale
        self.base = old.logits(features)
        self.units = len(old.bias)
        self.size = (self.own.shape[1] + 1) * self.units
        self.steps = int(np.clip(WORK / (self.own.size * self.units), *STEPS))

    def layer(self, at: np.ndarray) -> Linear:
        moved = at.reshape(-1, self.units)
        slope = moved[:-1] / self.scale[:, None]
        bias = self.old.bias + moved[-1] - self.origin @ slope
        return replace(self.old, kernel=self.old.kernel + slope, bias=bias)

    def solve(self, penalty: float, start: np.ndarray) -> np.ndarray:
        from scipy.optimize import minimize

        found = minimize(self._value, start, (penalty,), "L-BFGS-B", jac=True, options={"maxiter": self.steps})
        return found.x

    def _value(self, at: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        moved = at.reshape(-1, self.units)
        change = self.own @ moved[:-1] + moved[-1]
        logits = self.base + (np.concatenate([np.zeros_like(change), change], 1) if self.old.one else change)
        loss, odds = _cross_entropy(logits, self.label)
        odds[np.arange(len(odds)), self.label] -= 1
        slope = (odds * self.weights[:, None])[:, -self.units :]
        level = slope.sum(0, keepdims=True) * self.old.biased
        gradient = np.concatenate([self.own.T @ slope + penalty * moved[:-1], level])
        return float(self.weights @ loss + penalty / 2 * np.square(moved[:-1]).sum()), gradient.reshape(-1)


def _cross_entropy(logits: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, and its probabilities."""
    logits = logits - logits.max(1, keepdims=True)
    odds = np.exp(logits)
    total = odds.sum(1, keepdims=True)
    return np.log(total[:, 0]) - logits[np.arange(len(label)), label], odds / total
