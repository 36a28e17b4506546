"""Eigen-CAM: what a layer's positions have most in common, whatever the class (Muhammad & Yeasin 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.vision.attribution.methods.cam import at_layer
from activation_atlas.stages.vision.attribution.methods.method import AtLayer, Explain, Maps, Method, Setting
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf


class EigenCam(AtLayer):
    name: Literal["eigen_cam"] = "eigen_cam"
    center: bool = Field(False, description="subtract each channel's mean over positions first")


class Principal:
    """The method at work: one forward pass, and one small eigenproblem for each image."""

    def __init__(self, setting: Setting) -> None:
        from activation_atlas.stages.vision.model import freeze

        self.model, self.batch, self.center = setting.model, setting.batch, setting.options.center
        self.slot = setting.model.slot(setting.configured["layer"])
        pixels = tf.TensorSpec((setting.batch, *self.model.input_size, self.model.channels), tf.uint8)
        self.apply = freeze(self._apply, pixels)

    def _apply(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activation, logits = self.model.values(self.model.to_input(pixels), [self.slot, self.model.program.output])
        maps = principal(activation, self.center)
        return tf.cast(maps, tf.float32), tf.cast(self.model.scores(logits), tf.float32)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        maps, scores = (x.numpy()[: len(pixels)] for x in self.apply(tf.constant(padded(pixels, self.batch))))
        values = np.repeat(maps[:, None], targets.shape[1], 1)
        return Maps(values, np.take_along_axis(scores, targets, 1))


def principal(activation: tf.Tensor, center: bool = False) -> tf.Tensor:
    """Positions projected on the first right singular vector of the (positions x channels) matrix, (n, H, W) float64.

    The smaller of the two Gram matrices is decomposed, in float64 and for each image alone. TensorFlow does that one
    matrix a thread; NumPy's threads within a matrix took ten times as long where others wanted the cores as well.

    Args:
        activation: (n, H, W, C); where an image's is not finite, its map is NaN.
        center: subtract each channel's mean over positions first.

    Returns:
        Signed so that the image's mean activation, projected, is positive: without ``center`` that is the mean of the
        map, which with it is 0 whatever the sign.
    """
    n, height, width, channels = activation.shape
    matrix = tf.cast(tf.reshape(activation, (n, height * width, channels)), tf.float64)
    finite = tf.reduce_all(tf.math.is_finite(matrix), (1, 2), keepdims=True)
    matrix = tf.where(finite, matrix, 0.0)
    mean = tf.reduce_mean(matrix, 1, keepdims=True)
    matrix = matrix - mean if center else matrix
    # Neither overflow nor underflow in the squares below.
    scaled = tf.math.divide_no_nan(matrix, tf.reduce_max(tf.abs(matrix), (1, 2), keepdims=True))
    wide = height * width <= channels
    gram = tf.matmul(scaled, scaled, transpose_a=not wide, transpose_b=wide)
    along = tf.linalg.eigh(gram)[1][..., -1:]
    along = tf.matmul(scaled, along, transpose_a=True) if wide else along
    along = tf.math.divide_no_nan(along, tf.norm(along, axis=1, keepdims=True))
    projected = tf.matmul(matrix, along)
    projected = tf.where(tf.matmul(mean, along) < 0, -projected, projected)
    return tf.reshape(tf.where(finite, projected, np.nan), (n, height, width))


def eigen_cam(setting: Setting) -> Explain:
    """A v, v the first right singular vector of A (positions x channels); the same map for every target."""
    return Principal(setting)


METHODS = (
    Method(
        name="eigen_cam",
        title="Eigen-CAM",
        about="what a layer's positions have most in common; the same for every class",
        meaning="the layer’s main pattern over positions; the same for every class",
        formula="A v, v the first right singular vector of A (positions x channels), its sign that of the mean of A v",
        source="Muhammad & Yeasin 2020",
        options=EigenCam,
        build=eigen_cam,
        configure=at_layer,
        resolution="layer",
        grain="smooth",
        signed=True,
        colours="red with the pattern, blue against it",
        by_class=False,
    ),
)
