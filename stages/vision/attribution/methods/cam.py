"""Grad-CAM and its kin: the maps of a layer's channels, weighted by what the target's logit says of them.

One forward pass through the trunk without a tape, then the head: under a tape for each target, or, where the head is
affine, no backward pass at all, because its Jacobian is the same for every image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from stages.stage import UserError
from stages.vision.attribution.affine import is_affine, jacobian
from stages.vision.attribution.methods.method import Explain, Maps, Method, Sample, Setting, Settled, padded
from stages.vision.model import Model, freeze

Weigh = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Activations (n, 1, H, W, C) and gradients (n, k, H, W, C), or (n, k, 1, 1, C) where all positions have the same,
to maps (n, k, H, W)."""


def settle(model: Model, options: Any, sample: Sample) -> Settled:
    """The layer, its size, and whether the head behind it is affine.

    Raises:
        UserError: no such layer, or it has no positions.
    """
    layer = options.layer or default_layer(model)
    info = model.layer(layer)
    shapes = [model.shapes[slot][1:] for slot in (model.slot(layer), *model.program.frontier(model.slot(layer)))]
    affine = is_affine(model.head(layer), shapes, model.dtype)
    return {"layer": layer, "height": info.height, "width": info.width, "affine": bool(affine)}


def default_layer(model: Model) -> str:
    """The last layer that has positions.

    Raises:
        UserError: the model has none.
    """
    layers = model.layers()
    if not layers:
        raise UserError(f"model {model.name}: no layer has positions; choose a method that explains at the input")
    return layers[-1].name


class Cam:
    """A method of this family at work."""

    def __init__(self, setting: Setting, weigh: Weigh) -> None:
        model, layer = setting.model, setting.settled["layer"]
        self.model, self.batch, self.weigh = model, setting.batch, weigh
        self.trunk, self.head = model.trunk(layer), model.head(layer)
        self.matrix: np.ndarray | None = None
        if setting.settled["affine"]:
            slots = (model.slot(layer), *model.program.frontier(model.slot(layer)))
            shapes = [model.shapes[slot][1:] for slot in slots]
            self.matrix = jacobian(lambda t: model.scores(self.head(t)), shapes, len(model.classes), model.dtype)
        self.size = (setting.settled["height"], setting.settled["width"])
        pixels = tf.TensorSpec((setting.batch, *model.input_size, model.channels), tf.uint8)
        targets = tf.TensorSpec((setting.batch, setting.targets), tf.int32)
        given = [] if self.matrix is None else [tf.TensorSpec(self.matrix.shape, model.dtype)]
        self.given = [] if self.matrix is None else [tf.constant(self.matrix)]
        self.apply = freeze(self._apply, pixels, targets, *given)

    def _apply(self, pixels: tf.Tensor, targets: tf.Tensor, *matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activation, *rest = self.trunk(self.model.to_input(pixels))
        if matrix:
            scores = tf.gather(self.model.scores(self.head([activation, *rest])), targets, axis=1, batch_dims=1)
            gradient = self._by_matrix(matrix[0], targets)
        else:
            scores, gradient = self._by_tape(activation, rest, targets)
        maps = self.weigh(activation[:, None], gradient)
        return tf.cast(maps, tf.float32), tf.cast(scores, tf.float32)

    def _by_matrix(self, matrix: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        own = tf.gather(tf.transpose(matrix, (2, 0, 1)), targets)  # (n, k, positions or 1, C)
        size = self.size if matrix.shape[0] > 1 else (1, 1)
        return tf.reshape(own, (*targets.shape, *size, matrix.shape[1]))

    def _by_tape(self, activation: tf.Tensor, rest: Sequence[tf.Tensor], targets: tf.Tensor) -> tuple:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(activation)
            scores = tf.gather(self.model.scores(self.head([activation, *rest])), targets, axis=1, batch_dims=1)
            each = tf.unstack(scores, axis=1)
        gradients = [tape.gradient(score, activation) for score in each]
        if any(g is None for g in gradients):
            raise UserError(f"model {self.model.name}: the logits have no gradient with respect to this layer")
        return scores, tf.stack(gradients, 1)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        count = len(pixels)
        found = self.apply(
            tf.constant(padded(pixels, self.batch)), tf.constant(padded(targets, self.batch)), *self.given
        )
        maps, scores = (x.numpy()[:count] for x in found)
        return Maps(maps, scores)


def grad_cam(setting: Setting) -> Explain:
    """ReLU(sum_k w_k A_k), w_k = mean over positions of d logit / d A_k (Selvaraju et al. 2017, eq. 1 and 2)."""
    return Cam(setting, lambda a, g: tf.nn.relu(weighted(a, tf.reduce_mean(g, (2, 3), keepdims=True))))


def weighted(activation: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """sum over channels of activation (n, 1, H, W, C) x weights (n, k, 1 or H, 1 or W, C): (n, k, H, W)."""
    if weights.shape[2:4] == (1, 1):
        n, _, height, width, channels = activation.shape
        flat = tf.reshape(activation, (n, height * width, channels))
        product = tf.matmul(weights[:, :, 0, 0], flat, transpose_b=True)
        return tf.reshape(product, (n, weights.shape[1], height, width))
    return tf.reduce_sum(activation * weights, -1)


METHODS = (
    Method(
        "grad_cam",
        "channels of a layer, weighted by the mean gradient of the target's logit",
        "Selvaraju et al. 2017",
        grad_cam,
        settle,
    ),
)
