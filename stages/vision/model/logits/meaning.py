"""What a function of one tensor computes, told from numbers: a softmax is one whatever it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import tensorflow as tf

HALF = ("float16", "bfloat16")

Kind = Literal[
    "softmax", "log_softmax", "sigmoid", "log_sigmoid", "exp", "log", "move", "clip", "affine", "mean", "sum"
]


@dataclass(frozen=True)
class Meaning:
    """What a function computes.

    Attributes:
        kind: ``move`` is whatever neither mixes nor changes values: it reshapes, permutes, chooses, casts.
        axes: of a softmax or its logarithm, of a mean or a sum.
        low, high: of a clip: what smaller and larger values become; -inf and inf where they stay.
        scale, offset: of an affine function, ``scale x + offset``.
    """

    kind: Kind
    axes: tuple[int, ...] = ()
    low: float = -np.inf
    high: float = np.inf
    scale: float = 1.0
    offset: float = 0.0


def precision(*dtypes: str) -> float:
    """How far equal values may lie apart in the coarsest of these types."""
    return 2e-2 if "bfloat16" in dtypes else 2e-3 if "float16" in dtypes else 1e-5


def tell(function: Callable[[tf.Tensor], Any], shape: tuple[int, ...], dtype: str) -> Meaning | None:
    """The meaning of a function of tensors of one shape; None where it is none of these, or does not take noise."""
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, scale, shape).astype("float32") for scale in (0.5, 2, 40)]
    try:
        with np.errstate(all="ignore"):
            probe = _Probe(function, dtype, noise)
            return probe.move() or probe.same_shape() or probe.reduction()
    except (TypeError, ValueError, tf.errors.OpError):
        return None


class _Probe:
    def __init__(self, function: Callable[[tf.Tensor], Any], dtype: str, noise: list[np.ndarray]) -> None:
        self.function, self.dtype = function, dtype
        self.inputs = [tf.cast(tf.cast(x, dtype), "float32").numpy() for x in noise]
        first = function(tf.cast(self.inputs[0], dtype))
        self.near = precision(dtype, first.dtype.name)
        self.outputs = [self.at(x) for x in self.inputs]

    def at(self, x: np.ndarray) -> np.ndarray:
        return tf.cast(self.function(tf.cast(x, self.dtype)), "float32").numpy()

    def equal(self, found: np.ndarray, expected: np.ndarray) -> bool:
        return found.shape == expected.shape and np.allclose(found, expected, self.near, self.near)

    def everywhere(self, reference: Callable[[np.ndarray], np.ndarray]) -> bool:
        return all(self.equal(y, reference(x)) for x, y in zip(self.inputs, self.outputs, strict=True))

    def move(self) -> Meaning | None:
        """Only what chooses values commutes with every function of single values: here with -x, 1000 x and exp x."""
        for x, y in zip(self.inputs[:2], self.outputs[:2], strict=True):
            if not (self.equal(self.at(-x), -y) and self.equal(self.at(1000 * x) / 1000, y)):
                return None
            if not self.equal(self.at(np.exp(x)), np.exp(y)):
                return None
        return Meaning("move")

    def same_shape(self) -> Meaning | None:
        shape = self.inputs[0].shape
        if any(y.shape != shape for y in self.outputs):
            return None
        rank = len(shape)
        for axes in (tuple(range(1, rank)), *((a,) for a in range(1, rank))):
            if self.everywhere(lambda x, axes=axes: np.exp(log_softmax(x, axes))):
                return Meaning("softmax", axes)
            if self.everywhere(lambda x, axes=axes: log_softmax(x, axes)):
                return Meaning("log_softmax", axes)
        if self.everywhere(lambda x: -np.logaddexp(0, -x)):
            return Meaning("log_sigmoid")
        if self.everywhere(lambda x: np.exp(-np.logaddexp(0, -x))):
            return Meaning("sigmoid")
        if all(self.equal(y, np.exp(x)) for x, y in zip(self.inputs[:2], self.outputs[:2], strict=True)):
            return Meaning("exp")
        return self._affine() or self._clip() or self._log()

    def _affine(self) -> Meaning | None:
        shape = self.inputs[0].shape
        zero, one = (self.at(np.full(shape, value, "float32")) for value in (0, 1))
        offset, scale = float(zero.flat[0]), float(one.flat[0] - zero.flat[0])
        fits = scale != 0 and self.everywhere(lambda x: scale * x + offset)
        return Meaning("affine", scale=scale, offset=offset) if fits else None

    def _clip(self) -> Meaning | None:
        low, high = (float(self.at(np.full(self.inputs[0].shape, end, "float32")).flat[0]) for end in (-1e4, 1e4))
        if not low < high or not self.everywhere(lambda x: np.clip(x, low, high)):
            return None
        near = 1e4 * (1 - self.near)
        return Meaning("clip", low=-np.inf if low < -near else low, high=np.inf if high > near else high)

    def _log(self) -> Meaning | None:
        inputs = [np.exp(x) for x in self.inputs[:2]]
        return Meaning("log") if all(self.equal(self.at(x), np.log(x)) for x in inputs) else None

    def reduction(self) -> Meaning | None:
        rank = self.inputs[0].ndim
        sizes = [y.ravel() for y in self.outputs]
        for axes in (a for count in range(1, rank) for a in combinations(range(rank), count)):
            for kind, reduce in (("mean", np.mean), ("sum", np.sum)):
                found = [reduce(x, axes).ravel() for x in self.inputs]
                if all(self.equal(y, x) for x, y in zip(found, sizes, strict=True)):
                    return Meaning(kind, axes)
        return None


def log_softmax(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Logarithm of the softmax over ``axes``."""
    below = x - x.max(axes, keepdims=True)
    return below - np.log(np.exp(below).sum(axes, keepdims=True))
