"""What an image must withstand. ``Transform``: (pixels, matrix) -> (pixels), one random view per step.

Without it the optimiser finds high-frequency patterns that only this pixel grid
shows (Olah et al. 2017, "transformation robustness").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

Transform = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
GREY = 0.5


@dataclass(frozen=True)
class Jitter:
    """The range of the random views.

    Attributes:
        rotate: degrees to either side.
        scale: largest change of size, as a share (0.2: 0.8 to 1.2).
        shift: pixels to either side, on both axes.
    """

    rotate: float = 15.0
    scale: float = 0.2
    shift: float = 12.0

    def matrix(self, seed: int, step: int) -> np.ndarray:
        """The view of one step, from (seed, step) alone: float32 (2, 3).

        It takes an output pixel to an input pixel, both counted from the centre.
        """
        turn, grow, right, down = np.random.default_rng([seed, step]).uniform(-1, 1, 4)
        angle, zoom = np.deg2rad(self.rotate * turn), 1 + self.scale * grow
        cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
        return np.array([[cos, -sin, self.shift * right], [sin, cos, self.shift * down]], np.float32)


IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def affine(size: int, frame: tuple[int, int]) -> Transform:
    """Put pixels (size * size, k) on a grey frame and look at it through an affine map, bilinearly.

    The result, (frame height * width, k), is one sparse matrix times the pixels,
    the same for all k columns. Its gradient is the transposed matrix: exact, where
    that of TensorFlow's own image projection is an approximation.
    """

    def transform(pixels: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        index, weight = taps(matrix, size, frame)

        @tf.custom_gradient
        def resample(centred: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            seen = tf.add_n([tf.gather(centred, index[k]) * weight[k][:, None] for k in range(4)])
            return seen, lambda upstream: _transposed(upstream, index, weight, size * size)

        return resample(pixels - GREY) + GREY

    return transform


def taps(matrix: tf.Tensor, size: int, frame: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """The four input pixels and weights of each output pixel: int32 and float (4, frame height * width).

    Weights are zero outside the input, whose index is then clamped.
    """
    lines = [tf.range(side, dtype=matrix.dtype) - (side - 1) / 2 for side in frame]
    y, x = (tf.reshape(a, [-1]) for a in tf.meshgrid(*lines, indexing="ij"))
    middle = (size - 1) / 2
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + middle
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + middle
    left, top = tf.floor(u), tf.floor(v)
    indices, weights = [], []
    for down in (0, 1):
        for right in (0, 1):
            column, row = left + right, top + down
            inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
            near = (1 - tf.abs(u - column)) * (1 - tf.abs(v - row))
            last = tf.cast(size - 1, matrix.dtype)
            place = tf.clip_by_value(row, 0, last) * size + tf.clip_by_value(column, 0, last)
            indices.append(tf.cast(place, tf.int32))
            weights.append(tf.where(inside, near, tf.zeros_like(near)))
    return tf.stack(indices), tf.stack(weights)


def _transposed(upstream: tf.Tensor, index: tf.Tensor, weight: tf.Tensor, pixels: int) -> tf.Tensor:
    # In two halves, which run on two cores: the operation itself uses one.
    outputs = tf.shape(index)[1]
    half = outputs // 2
    halves = ((0, half), (half, outputs))
    parts = [_scattered(upstream[a:b], index[:, a:b], weight[:, a:b], pixels) for a, b in halves]
    return parts[0] + parts[1]


def _scattered(upstream: tf.Tensor, index: tf.Tensor, weight: tf.Tensor, pixels: int) -> tf.Tensor:
    rows = tf.range(tf.shape(index)[1])
    entries = tf.stack([tf.tile(rows, [4]), tf.reshape(index, [-1])], axis=1)
    return tf.raw_ops.SparseTensorDenseMatMul(
        a_indices=tf.cast(entries, tf.int64),
        a_values=tf.reshape(weight, [-1]),
        a_shape=[tf.shape(index, out_type=tf.int64)[1], pixels],
        b=upstream,
        adjoint_a=True,
    )
