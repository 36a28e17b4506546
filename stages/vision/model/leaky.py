"""Leaky ReLUs that keep their slope.

TensorFlow's graph optimiser fuses a convolution, an addition and a leaky ReLU into one oneDNN operation, which takes a
slope of 0.2 whatever the layer's is (seen in TensorFlow 2.21: up to 10 % of the largest output; right in eager mode,
and with ``TF_ENABLE_ONEDNN_OPTS=0``). Written as a choice it is not fused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

FUSED = 0.2


def keeping(operation: Callable[..., Any]) -> Callable[..., Any]:
    """``operation``, or, where it is a leaky ReLU of another slope than the fused one, its equal that stays unfused."""
    slope = getattr(operation, "negative_slope", None) or 0
    if slope in (0, FUSED) or not _only_leaky(operation):
        return operation
    if isinstance(operation, keras.layers.Layer):
        return LeakyReLU(float(slope), name=operation.name, dtype=operation.dtype_policy)
    return LeakyRelu(float(slope))


def _only_leaky(operation: Any) -> bool:
    if type(operation) is keras.layers.ReLU:
        return operation.max_value is None and not operation.threshold
    return type(operation).__name__ in ("LeakyReLU", "LeakyRelu")


class LeakyReLU(keras.layers.LeakyReLU):
    """The layer."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return _leaky(inputs, self.negative_slope)


@dataclass(frozen=True)
class LeakyRelu:
    """The operation of ``keras.ops``."""

    negative_slope: float

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return _leaky(x, self.negative_slope)


def _leaky(x: tf.Tensor, slope: float) -> tf.Tensor:
    return tf.where(x > 0, x, tf.cast(slope, x.dtype) * x)
