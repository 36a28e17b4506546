"""The painter of one layer of one model, compiled once per process."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from stages.specs import ModelSpec
from stages.vision.featurevis.close_up import close_up
from stages.vision.featurevis.optimise import Painter, Recipe
from stages.vision.model import Model, freeze, open_model


@dataclass(frozen=True)
class Studio:
    """A painter with what belongs to its model.

    Attributes:
        model: the classifier.
        painter: draws and measures icons.
        native: the model cannot take the size that was asked for; icons have its own.
    """

    model: Model
    painter: Painter
    native: bool

    def predicted(self, icons: np.ndarray) -> np.ndarray:
        """The model's class for each icon uint8 (n, s, s, c), brought to the model's own input size: int32 (n,)."""
        logits = _classifier(self.model)(tf.constant(_resized(icons, self.model.input_size)))
        return np.argmax(logits.numpy(), axis=1).astype(np.int32)


def open_studio(spec: ModelSpec, layer: str, recipe: Recipe, colour: np.ndarray) -> Studio:
    """The studio of one layer; kept, so that a second call costs nothing.

    Args:
        colour: (3, 3) colour root; a model of grey images takes the plain 1.
    """
    return _studio(open_model(spec), layer, recipe, np.asarray(colour, np.float64).tobytes())


def smallest_side(spec: ModelSpec) -> int:
    """The shorter side of the model's own input, pixels."""
    return min(open_model(spec).input_size)


@functools.lru_cache(maxsize=4)
def _studio(model: Model, layer: str, recipe: Recipe, colour: bytes) -> Studio:
    native = not model.accepts(layer, *recipe.frame)
    if native:
        recipe = dataclasses.replace(recipe, size=min(model.input_size), frame=tuple(model.input_size))
    root = np.frombuffer(colour).reshape(3, 3) if model.channels == 3 else np.ones((1, 1))
    tap = model.tap(layer)

    near = close_up(model, layer, recipe.frame) if recipe.tap == "centre" else tap

    def respond(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(tap(model.from_unit(images)), tf.float32)

    def closely(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(near(model.from_unit(images)), tf.float32)

    painter = Painter(respond, root, model.layer(layer).channels, recipe, freeze, closely)
    return Studio(model, painter, native)


@functools.lru_cache(maxsize=4)
def _classifier(model: Model):
    forward = model.forward()
    images = tf.TensorSpec((None, *model.input_size, model.channels), tf.float32)
    return freeze(lambda x: forward(model.to_input(x))[1], images)


def _resized(icons: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return tf.image.resize(icons, size, antialias=True).numpy()
