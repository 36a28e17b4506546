"""What draws the icons of one layer of one model, compiled once per process."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from activation_atlas.stages.caches import cached
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.gradient_path import blocked_by
from activation_atlas.stages.vision.attribution.proof import one_line
from activation_atlas.stages.vision.featurevis.objectives import centre
from activation_atlas.stages.vision.featurevis.optimise import ActivationMaximization, Recipe
from activation_atlas.stages.vision.featurevis.plain import Plain, PlainAscent
from activation_atlas.stages.vision.featurevis.receptive_crop import receptive_crop
from activation_atlas.stages.vision.featurevis.taps import answer, takes
from activation_atlas.stages.vision.model import Model, freeze, open_model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Visualizer:
    """The optimiser of a layer's icons with what belongs to its model.

    Attributes:
        model: the classifier.
        maximization: draws and measures icons.
        native: the model cannot take the size that was asked for; icons have its own.
    """

    model: Model
    maximization: ActivationMaximization
    native: bool

    def predicted(self, icons: np.ndarray) -> np.ndarray:
        """The model's class for each icon uint8 (n, s, s, c), brought to the model's own input size: int32 (n,)."""
        logits = _classifier(self.model)(tf.constant(_resized(icons, self.model.input_size)))
        return np.argmax(logits.numpy(), axis=1).astype(np.int32)


def open_visualizer(spec: ModelSpec, layer: str, recipe: Recipe, colour: np.ndarray) -> Visualizer:
    """The visualizer of one layer; kept, so that a second call costs nothing.

    Args:
        layer: its path, or :data:`~stages.vision.featurevis.taps.LOGITS`.
        colour: (3, 3) colour root; a model of grey images takes the plain 1.
    """
    return _visualizer(open_model(spec), layer, recipe, np.asarray(colour, np.float64).tobytes())


def smallest_side(spec: ModelSpec) -> int:
    """The shorter side of the model's own input, pixels."""
    return min(open_model(spec).input_size)


@cached(4)
def _visualizer(model: Model, layer: str, recipe: Recipe, colour: bytes) -> Visualizer:
    asked = answer(model, layer, recipe.through)
    native = tuple(recipe.frame) != tuple(model.input_size) and not takes(model, asked, recipe.frame)
    if native:
        recipe = of_own_size(recipe, model.input_size)
    root = np.frombuffer(colour).reshape(3, 3) if model.channels == 3 else np.ones((1, 1))
    tap = asked.respond
    require_slope(model, layer)
    alone = recipe.tap == "centre" and asked.spatial and not recipe.through
    cropped = proved_crop(model, layer, recipe.frame) if alone else tap

    def respond(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(tap(model.from_unit(images)), tf.float32)

    def respond_cropped(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(cropped(model.from_unit(images)), tf.float32)

    maximization = ActivationMaximization(respond, root, asked.channels, recipe, freeze, respond_cropped)
    return Visualizer(model, maximization, native)


def of_own_size(recipe: Recipe, frame: tuple[int, int]) -> Recipe:
    """The recipe for a model that takes images of one size only: all of it is drawn, without grey around.

    Shifts grow with it: a vision transformer is shown other patches only where a view moves by a good part of one.
    """
    size = min(frame)
    jitter = dataclasses.replace(recipe.jitter, shift=recipe.jitter.shift * size / recipe.size)
    return dataclasses.replace(recipe, size=size, frame=tuple(frame), jitter=jitter)


def open_plain(spec: ModelSpec, layer: str, recipe: Plain) -> PlainAscent:
    """The textbook's recipe at one layer, kept; of the model's own size where it takes no other."""
    return _plain(open_model(spec), layer, recipe)


@cached(4)
def _plain(model: Model, layer: str, recipe: Plain) -> PlainAscent:
    asked = answer(model, layer)
    require_slope(model, layer)
    if not takes(model, asked, recipe.size):
        recipe = dataclasses.replace(recipe, size=tuple(model.input_size))

    def respond(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(asked.respond(model.from_unit(images)), tf.float32)

    return PlainAscent(respond, asked.channels, model.channels, recipe, freeze)


def require_slope(model: Model, layer: str) -> None:
    """Refuses a model on whose images nothing can be climbed.

    Raises:
        UserError: no gradient of the layer reaches them; what stops it is named.
    """
    start = model.program.input
    native = model.native[start]
    why = f"it receives {native}" if not tf.as_dtype(native).is_floating else ""
    if not why and (step := blocked_by(model, start, answer(model, layer).slot)) is not None:
        why = f"{step.name} ({step.kind}) has none"
    if why:
        what = f"of layer {layer}" if layer else "of the logits"
        raise UserError(
            f"model {model.name}: no gradient {what} reaches the image, because {why}, so no icons can be "
            "drawn; set render: null, or choose an earlier layer"
        )


CLOSE = 1e-3
"""Largest difference of the two ways' answers, over the largest, on noise; in half precision twenty times that."""


def proved_crop(model: Model, layer: str, frame: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """The receptive crop where it answers noise as the middle of the whole map; else that map, said in the log."""
    tap, crop = model.tap(layer), receptive_crop(model, layer, frame)
    pixels = tf.constant(np.random.default_rng(0).uniform(size=(2, *frame, model.channels)), tf.float32)
    narrow = {"float16", "bfloat16"}.intersection(model.native.values())
    try:
        answer, expected = (
            tf.function(lambda x, respond=respond: centre(respond(model.from_unit(x))), autograph=False)(pixels).numpy()
            for respond in (crop, tap)
        )
    except Exception as error:  # whichever step objects to a window, and however
        log.warning("layer %s: icons by whole maps (its middle alone cannot be computed: %s)", layer, one_line(error))
        return tap
    gap = np.abs(answer - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny)
    if np.array_equal(answer, expected, equal_nan=True) or gap <= CLOSE * (20 if narrow else 1):
        return crop
    log.warning("layer %s: icons by whole maps (its middle alone is off by %.1e)", layer, gap)
    return tap


@cached(4)
def _classifier(model: Model):
    forward = model.forward()
    images = tf.TensorSpec((None, *model.input_size, model.channels), tf.float32)
    return freeze(lambda x: forward(model.to_input(x))[1], images)


def _resized(icons: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return tf.image.resize(icons, size, antialias=True).numpy()
