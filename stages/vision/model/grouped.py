"""Grouped convolutions, one group after another.

TensorFlow has no gradient of a grouped convolution on a CPU, and Keras compiles one for the purpose. Its functions are
lost when a graph that differentiates it is kept or frozen ("Failed to find function ... conv_xla", TensorFlow 2.21 and
Keras 3.15). As several plain convolutions it is differentiated, frozen and pushed through like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def by_group(operation: Callable[..., Any]) -> Callable[..., Any]:
    """``operation``; a grouped convolution with channels last from now on convolves its groups one by one."""
    plain = type(operation) is keras.layers.Conv2D and operation.data_format == "channels_last"
    if plain and operation.groups > 1:
        operation.__class__ = Conv2D  # the same layer: its weights, its path, its precision
    return operation


class Conv2D(keras.layers.Conv2D):
    """The layer."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        parts = zip(tf.split(inputs, self.groups, 3), tf.split(kernel, self.groups, 3), strict=True)
        convolve = super().convolution_op
        return tf.concat([convolve(*part) for part in parts], 3)
