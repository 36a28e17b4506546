"""Eigen-CAM: what a layer's positions have most in common, whatever the class (Muhammad & Yeasin 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from stages.vision.attribution.methods.cam import at_layer
from stages.vision.attribution.methods.method import Explain, Maps, Method, Setting, padded
from stages.vision.model import freeze


class EigenCam:
    """The method at work: one forward pass, then one small eigenproblem for each image."""

    def __init__(self, setting: Setting) -> None:
        self.model, self.batch, self.center = setting.model, setting.batch, setting.options.center
        self.slot = setting.model.slot(setting.settled["layer"])
        pixels = tf.TensorSpec((setting.batch, *self.model.input_size, self.model.channels), tf.uint8)
        self.apply = freeze(self._apply, pixels)

    def _apply(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activation, logits = self.model.values(self.model.to_input(pixels), [self.slot, self.model.program.output])
        return activation, tf.cast(self.model.scores(logits), tf.float32)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        activation, scores = (x.numpy()[: len(pixels)] for x in self.apply(tf.constant(padded(pixels, self.batch))))
        maps = np.stack([principal(a, self.center) for a in activation]).astype(np.float32)
        values = np.repeat(maps[:, None], targets.shape[1], 1)
        return Maps(values, np.take_along_axis(scores, targets, 1))


def principal(activation: np.ndarray, center: bool = False) -> np.ndarray:
    """Positions projected on the first right singular vector of the (positions x channels) matrix, (H, W) float64.

    The smaller of the two Gram matrices is decomposed, in float64 and for this image alone, so that nothing depends
    on the batch.

    Args:
        activation: (H, W, C); where it is not finite, the map is NaN.
        center: subtract each channel's mean over positions first.

    Returns:
        Signed so that the image's mean activation, projected, is positive: without ``center`` that is the mean of the
        map, which with it is 0 whatever the sign.
    """
    height, width, channels = activation.shape
    matrix = activation.reshape(-1, channels).astype(np.float64)
    if not np.isfinite(matrix).all():
        return np.full((height, width), np.nan)
    mean = matrix.mean(0)
    if center:
        matrix = matrix - mean
    # A power of two changes no digit, and keeps the squares below from overflow and underflow.
    top = np.abs(matrix).max(initial=0)
    scale = 2.0 ** np.frexp(top)[1] if top > 0 else 1.0
    scaled = matrix / scale
    if height * width <= channels:
        _, vectors = np.linalg.eigh(scaled @ scaled.T)
        along = scaled.T @ vectors[:, -1]
    else:
        _, vectors = np.linalg.eigh(scaled.T @ scaled)
        along = vectors[:, -1]
    length = np.linalg.norm(along)
    along = along / length if length > 0 else along
    projected = matrix @ along
    toward = mean @ along
    return (-projected if toward < 0 else projected).reshape(height, width)


def eigen_cam(setting: Setting) -> Explain:
    """A v, v the first right singular vector of A (positions x channels); the same map for every target."""
    return EigenCam(setting)


METHODS = (
    Method(
        "eigen_cam",
        "what a layer's positions have most in common; the same for every class",
        "Muhammad & Yeasin 2020",
        eigen_cam,
        at_layer,
        signed=True,
    ),
)
