"""Leaky ReLUs that keep their slope.

TensorFlow's graph optimiser fuses a convolution, an addition and a leaky ReLU into one oneDNN operation, which takes a
slope of 0.2 whatever the layer's is (seen in TensorFlow 2.21: up to 10 % of the largest output; right in eager mode,
and with ``TF_ENABLE_ONEDNN_OPTS=0``). Written as a choice it is not fused. What counts as a leaky ReLU has a slope and
gives of noise what one does: a class of that name may be another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

import keras
import tensorflow as tf

from activation_atlas.stages.vision.model.agreement import agree

FUSED = 0.2
SPREADS = (0.01, 1.0, 100.0)
"""Of the noise: thresholds and highest values are met."""


def keeping(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """``operation``, or, where it is a leaky ReLU of another slope than the fused one, its equal that stays unfused."""
    slope = getattr(operation, "negative_slope", None) or 0
    if not isinstance(slope, Real) or slope in (0, FUSED):
        return operation
    if isinstance(operation, keras.layers.Layer):
        twin = LeakyReLU(float(slope), name=operation.name, dtype=operation.dtype_policy)
    else:
        twin = LeakyRelu(float(slope))
    dtype = getattr(operation, "compute_dtype", "float32")
    return twin if all(agree(twin, operation, (2, 4, 5, 3), dtype, spread) for spread in SPREADS) else operation


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
