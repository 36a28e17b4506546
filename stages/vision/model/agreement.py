"""Whether a quicker way gives what the plain one does, told by noise: what a fast path shows before it is taken.

A class may be called as one of Keras' and compute something else; a name is a hint, and numbers decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

Operation = Callable[[tf.Tensor], tf.Tensor]

CLOSE = {"float64": 1e-6, "float32": 1e-3, "float16": 2e-2, "bfloat16": 8e-2}
"""Largest difference over the largest value of a channel, by the type that is computed in."""
FAINT = 1e-2
"""A channel counts as large as this share of the largest one, at least: smaller ones may be rounding."""


def agree(quick: Operation, plain: Operation, shape: Sequence[int], dtype: str, spread: float = 1.0) -> bool:
    """Whether two operations give the same of noise of a shape (n, ..., c), up to rounding.

    Args:
        spread: of the noise, its standard deviation.

    False also where one of them does not run, and where the plain one gives no finite number to go by.
    """
    noise = np.random.default_rng(0).normal(0, spread, shape)
    with tf.init_scope():  # the need may come while a graph is traced
        x = tf.constant(noise, dtype)
        try:
            made, expected = (way(x) for way in (quick, plain))
        except Exception:  # whatever TensorFlow, or a user's layer, finds wrong with the noise
            return False
        return close(made, expected, dtype)


def close(made: tf.Tensor, expected: tf.Tensor, dtype: str) -> bool:
    """Whether two tensors (n, ..., c) are the same up to the rounding of the type they were computed in."""
    made, expected = (tf.cast(x, tf.float64).numpy() for x in (made, expected))
    known = np.isfinite(expected)
    if made.shape != expected.shape or not known.any():
        return False
    size = np.where(known, np.abs(expected), 0).max(tuple(range(expected.ndim - 1)))
    with np.errstate(invalid="ignore"):
        gap = np.where(known, np.abs(made - expected), 0)
    return bool((gap <= CLOSE[dtype] * np.maximum(size, FAINT * size.max())).all())
