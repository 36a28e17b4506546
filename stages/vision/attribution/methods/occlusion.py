"""Occlusion: how much the score falls when a window of the image is hidden (Zeiler & Fergus 2014)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from stages.methods import Occlusion, pair
from stages.stage import UserError
from stages.vision.attribution.methods.method import Explain, Maps, Method, Sample, Setting, Settled, packed, padded
from stages.vision.model import Model, freeze


def starts(size: int, patch: int, stride: int, edges: str) -> np.ndarray:
    """First pixels of the windows along one side.

    ``whole``: multiples of the stride at which the window lies inside; ``clip``: all multiples of the stride below
    ``size`` (the window is cut off at the border).
    """
    return np.arange(0, size if edges == "clip" else size - patch + 1, stride, dtype=np.int32)


def settle(model: Model, options: Occlusion, sample: Sample) -> Settled:
    """The grid of windows.

    Raises:
        UserError: the window is larger than the image.
    """
    height, width = model.input_size
    down, right = pair(options.patch)
    if down > height or right > width:
        raise UserError(
            f"occlusion.patch: a window of {down} x {right} pixels is larger than the model's {height} x {width} "
            "images; give a smaller one"
        )
    rows, cols = (
        starts(size, patch, stride, options.edges)
        for size, patch, stride in zip(model.input_size, pair(options.patch), pair(options.stride), strict=True)
    )
    return {"height": len(rows), "width": len(cols)}


class Full:
    """Every window by a whole forward pass; windows of several images share a batch, targets share the pass."""

    def __init__(self, setting: Setting) -> None:
        model, options = setting.model, setting.options
        self.model, self.batch, self.options = model, setting.batch, options
        size = model.input_size
        self.rows, self.cols = (
            starts(size[axis], pair(options.patch)[axis], pair(options.stride)[axis], options.edges) for axis in (0, 1)
        )
        pixels = tf.TensorSpec((setting.batch, *size, model.channels), tf.uint8)
        targets = tf.TensorSpec((setting.batch, setting.targets), tf.int32)
        image = tf.TensorSpec((setting.batch, *size, model.channels), tf.float32)
        one = tf.TensorSpec((setting.batch,), tf.int32)
        self.prepare = freeze(self._prepare, pixels, targets)
        self.hide = freeze(self._hide, image, targets, one, one, one)

    def _scores(self, x: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        (logits,) = self.model.values(x, [self.model.program.output])
        return tf.cast(tf.gather(self.model.scores(logits), targets, axis=1, batch_dims=1), tf.float32)

    def _prepare(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = self.model.to_input(pixels)
        return x, self._scores(x, targets)

    def _hide(self, x: tf.Tensor, targets: tf.Tensor, image: tf.Tensor, top: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        """Scores (batch, k) of the images with one window hidden in each."""
        height, width = self.model.input_size
        down, right = pair(self.options.patch)
        rows, cols = tf.range(height)[None, :, None, None], tf.range(width)[None, None, :, None]
        top, left = top[:, None, None, None], left[:, None, None, None]
        inside = (rows >= top) & (rows < top + down) & (cols >= left) & (cols < left + right)
        fill = np.broadcast_to(np.float32(self.options.fill), (1, height, width, self.model.channels))
        hidden = tf.where(inside, self.model.to_input(tf.constant(fill)), tf.gather(x, image))
        return self._scores(hidden, tf.gather(targets, image))

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        count, (down, right) = len(pixels), (len(self.rows), len(self.cols))
        wanted = tf.constant(padded(targets, self.batch))
        x, scores = self.prepare(tf.constant(padded(pixels, self.batch)), wanted)
        scores = scores.numpy()[:count]
        hidden = np.empty((count * down * right, targets.shape[1]), np.float32)
        done = 0
        for image, window, real in packed([down * right] * count, self.batch):
            top, left = self.rows[window // right], self.cols[window % right]
            found = self.hide(x, wanted, *(tf.constant(v) for v in (image, top, left)))
            hidden[done : done + real] = found.numpy()[:real]
            done += real
        drops = scores[:, :, None] - hidden.reshape(count, down * right, -1).transpose(0, 2, 1)
        return Maps(drops.reshape(count, -1, down, right), scores)


def occlusion(setting: Setting) -> Explain:
    """score - score with the window hidden, on the grid of windows."""
    return Full(setting)


METHODS = (
    Method(
        "occlusion",
        "how much the logit falls when a window is hidden",
        "Zeiler & Fergus 2014",
        occlusion,
        settle,
        signed=True,
    ),
)
