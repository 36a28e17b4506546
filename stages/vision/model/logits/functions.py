"""Logarithms as functions of tensors: none is infinite, and no gradient is."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.model.logits.meaning import HALF


def wide(x: tf.Tensor) -> tf.Tensor:
    """Half precision has no room for logarithms of small probabilities, and answers of yes or no have none at all."""
    return tf.cast(x, "float32") if x.dtype.name in HALF or not x.dtype.is_floating else x


def log(p: tf.Tensor) -> tf.Tensor:
    """log p; of a probability of 0, of the smallest normal number."""
    p = wide(p)
    return tf.math.log(tf.maximum(p, np.finfo(p.dtype.as_numpy_dtype).tiny))


def log_rest(p: tf.Tensor) -> tf.Tensor:
    """log(1 - p); of a probability of 1, of the largest number below it."""
    p = wide(p)
    return tf.math.log1p(-tf.minimum(p, 1 - np.finfo(p.dtype.as_numpy_dtype).epsneg))


def log_sum(z: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_logsumexp(wide(z), axes, keepdims=True)


def log_softmax(z: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    return wide(z) - log_sum(z, axes)


def log_of_others(z: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    """log(1 - softmax z), also where a probability is 1 but for rounding: there from the sum over the others."""
    known = log_softmax(z, axes)
    large = known > -np.log(2)  # at most one class
    others = tf.where(large, tf.constant(-1e30, known.dtype), wide(z))
    small = tf.math.log1p(-tf.exp(tf.where(large, -1 * tf.ones_like(known), known)))
    return tf.where(large, log_sum(others, axes) - log_sum(z, axes), small)


def clipped_odds(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """The log-odds of a probability that is clipped, of those of the probability."""
    ends = [float(np.log(p) - np.log1p(-p)) if 0 < p < 1 else (-np.inf if p == 0 else np.inf) for p in (low, high)]
    return tf.clip_by_value(wide(x), *ends)


def constant_log(x: tf.Tensor, *level: tf.Tensor, value: float) -> tf.Tensor:
    return value + tf.zeros_like(wide(x)) + sum(spread(v, x) for v in level)


def spread(level: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(level, (-1, *[1] * (x.shape.rank - 1)))
