"""Gradients of the targets' scores with respect to what the model receives, or to a layer: one forward for all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.method import (
    Configured,
    InputOrLayer,
    Maps,
    Sample,
    Setting,
    at_input,
)
from activation_atlas.stages.vision.attribution.methods.parallel import in_parallel
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model


@dataclass(frozen=True)
class Source:
    """What is differentiated with respect to: what the model receives, or a layer's output."""

    model: Model
    layer: str | None = None

    def tensors(self, x: tf.Tensor) -> list[tf.Tensor]:
        """What the model receives (n, h, w, c) -> [what is differentiated, then whatever else the logits read]."""
        if self.layer is None:
            return [x]
        activation, *rest = self.model.trunk(self.layer)(x)
        return [tf.cast(activation, tf.float32), *rest]

    def specs(self, batch: int) -> list[tf.TensorSpec]:
        """Shapes and dtypes of :meth:`tensors` of so many images."""
        model = self.model
        if self.layer is None:
            return [tf.TensorSpec((batch, *model.input_size, model.channels), tf.float32)]
        slot = model.slot(self.layer)
        kinds = [(slot, "float32"), *((other, model.held(other)) for other in model.program.frontier(slot))]
        return [tf.TensorSpec((batch, *model.shapes[i][1:]), dtype) for i, dtype in kinds]

    def scores(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Of such tensors, (n, K)."""
        if self.layer is None:
            (logits,) = self.model.values(tensors[0], [self.model.program.output])
        else:
            logits = self.model.head(self.layer)(tensors)
        return self.model.scores(logits)


Reduce = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
"""What the model received (n, 1, h, w, c) and gradients (n, k, h, w, c) to maps (n, k, h, w)."""


def configure(model: Model, options: Any, sample: Sample) -> Configured:
    """The input's size and place.

    Raises:
        UserError: the model receives integers, or no gradient of its logits reaches them; what stops it is named.
    """
    require_smooth(model)
    return at_input(model)


def configure_anywhere(model: Model, options: InputOrLayer, sample: Sample) -> Configured:
    """As :func:`configure`, or the layer that the options name, its size and its place.

    Raises:
        UserError: also no such layer, or it has no positions.
    """
    from activation_atlas.stages.vision.attribution.methods import cam

    return cam.configure(model, options, sample) if options.inner else configure(model, options, sample)


def require_smooth(model: Model) -> None:
    """UserError where the logits have no gradient with respect to what the model receives."""
    from activation_atlas.stages.vision.attribution.gradient_path import require_gradient, without_gradients

    native = model.native[model.program.input]
    if not tf.as_dtype(native).is_floating:
        raise UserError(
            f"model {model.name}: receives {native}, so its logits have no gradient with respect to the image; "
            f"save it with a float32 input, or use {without_gradients()}"
        )
    require_gradient(model, model.program.input, "the image")


def gradients(source: Source, tensors: Sequence[tf.Tensor], targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores of the targets and their gradients with respect to the first of ``tensors``; traceable.

    Args:
        tensors: as :meth:`Source.tensors` gives them, the first (n, h, w, c) float32.
        targets: (n, k) int32.

    Returns:
        scores (n, k) and gradients (n, k, h, w, c), float32.
    """
    x = tensors[0]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        scores = source.scores(tensors)
    each = []
    for target in tf.unstack(targets, axis=1):
        of_one = tf.one_hot(target, scores.shape[1], dtype=scores.dtype)
        gradient = tape.gradient(scores, x, output_gradients=of_one)
        each.append(tf.cast(tf.convert_to_tensor(gradient), tf.float32))
    chosen = tf.gather(scores, targets, axis=1, batch_dims=1)
    return tf.cast(chosen, tf.float32), tf.stack(each, 1)


class InputGradient:
    """Methods that need one gradient of each target.

    Args:
        model: differentiated instead of the setting's own: the same network with other rules for its gradients.
    """

    def __init__(self, setting: Setting, reduce: Reduce, model: Model | None = None) -> None:
        from activation_atlas.stages.vision.model import freeze

        self.model, self.batch, self.reduce = model or setting.model, setting.batch, reduce
        pixels = tf.TensorSpec((setting.batch, *self.model.input_size, self.model.channels), tf.uint8)
        targets = tf.TensorSpec((setting.batch, setting.targets), tf.int32)
        self.apply = freeze(lambda *batch: in_parallel(self._apply, *batch), pixels, targets)

    def _apply(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = self.model.to_input(pixels)
        scores, gradient = gradients(Source(self.model), [x], targets)
        return self.reduce(x[:, None], gradient), scores

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        batch = self.apply(tf.constant(padded(pixels, self.batch)), tf.constant(padded(targets, self.batch)))
        maps, scores = (x.numpy()[: len(pixels)] for x in batch)
        return Maps(maps, scores)


def largest_colour(x: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """max over colour of |g|: how strongly the score depends on a pixel (Simonyan et al. 2014, section 3.1)."""
    red, *others = (tf.abs(colour) for colour in tf.unstack(gradient, axis=-1))
    return functools.reduce(tf.maximum, others, red)  # a fifth less time than a maximum along so short an axis
