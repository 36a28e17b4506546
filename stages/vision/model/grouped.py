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

from activation_atlas.stages.vision.model.agreement import agree


def by_group(operation: Callable[..., Any]) -> Callable[..., Any]:
    """``operation``; a grouped convolution with channels last from now on convolves its groups one by one."""
    plain = type(operation) is keras.layers.Conv2D and operation.data_format == "channels_last"
    if plain and operation.groups > 1 and _holds(operation):
        operation.__class__ = Conv2D  # the same layer: its weights, its path, its precision
    return operation


def _holds(layer: keras.layers.Conv2D) -> bool:
    """Whether noise at least as wide as the kernel gives the same group by group."""
    dtype, convolve = layer.compute_dtype, layer.convolution_op
    kernel = tf.cast(layer.kernel, dtype)
    sides = (size * dilation for size, dilation in zip(layer.kernel_size, layer.dilation_rate, strict=True))
    shape = (2, *sides, kernel.shape[2] * layer.groups)
    return agree(lambda x: _one_by_one(convolve, x, kernel, layer.groups), lambda x: convolve(x, kernel), shape, dtype)


def _one_by_one(convolve: Callable[..., tf.Tensor], inputs: tf.Tensor, kernel: tf.Tensor, groups: int) -> tf.Tensor:
    parts = zip(tf.split(inputs, groups, 3), tf.split(kernel, groups, 3), strict=True)
    return tf.concat([convolve(*part) for part in parts], 3)


class Conv2D(keras.layers.Conv2D):
    """The layer."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return _one_by_one(super().convolution_op, inputs, kernel, self.groups)
