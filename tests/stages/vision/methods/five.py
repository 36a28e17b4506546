"""A classifier of 5 x 5 images small enough to explain on paper, and how the tests open and explain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods import METHODS, Explain, Maps, Setting
from activation_atlas.stages.vision.model import Model, open_model
from tests.stages.vision import small_models as small

IMAGE = np.array(
    [
        [0, 0, 0, 0, 0],
        [0, 3, 4, 3, 0],
        [0, 4, 9, 4, 0],
        [0, 3, 4, 3, 0],
        [0, 0, 0, 0, 0],
    ],
    np.uint8,
)


def pooled() -> keras.Model:
    """Channels x and 9 - x, their means, and logits 2 a - b and b - a: 3 mean(x) - 9 and 9 - 2 mean(x)."""
    image = keras.Input((5, 5, 1))
    x = layers.Conv2D(2, 1, activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(2, name="dense")(x))
    model.get_layer("conv").set_weights([np.array([[[[1.0, -1.0]]]]), np.array([0.0, 9.0])])
    model.get_layer("dense").set_weights([np.array([[2.0, -1.0], [-1.0, 1.0]]), np.zeros(2)])
    return model


def placed() -> keras.Model:
    """The same channels; logit 0 is the top row's sum of x minus the centre's 9 - x, logit 1 the centre's x."""
    image = keras.Input((5, 5, 1))
    x = layers.Conv2D(2, 1, activation="relu", name="conv")(image)
    model = keras.Model(image, layers.Dense(2, name="dense")(layers.Flatten()(x)))
    model.get_layer("conv").set_weights([np.array([[[[1.0, -1.0]]]]), np.array([0.0, 9.0])])
    weights = np.zeros((5, 5, 2, 2))
    weights[0, :, 0, 0], weights[2, 2, 1, 0], weights[2, 2, 0, 1] = 1, -1, 1
    model.get_layer("dense").set_weights([weights.reshape(50, 2), np.zeros(2)])
    return model


def opened(model: keras.Model, folder: Path, **options: Any) -> Model:
    """The model, saved and opened as a user's file would be; its numbers are logits."""
    return open_model(ModelSpec(path=small.save(model, folder), output="logits", **options))


def built(name: str, model: Model, batch: int = 3, targets: int = 2, configured: dict | None = None, **options: Any):
    """A method ready to work, with what it configured and ``configured`` over it."""
    chosen = METHODS[name].options(**options)
    found = METHODS[name].configure(model, chosen, lambda count: np.zeros((count, *model.input_size, model.channels)))
    return METHODS[name].build(Setting(model, chosen, found | (configured or {}), batch, targets))


def explained(explain: Explain, pixels: np.ndarray, targets: Any, batch: int = 3) -> Maps:
    """Maps of all ``pixels``, ``batch`` at a time; ``targets`` (k,) for all of them or (n, k)."""
    wanted = np.broadcast_to(np.asarray(targets, np.int32), (len(pixels), np.shape(targets)[-1]))
    ids = [f"{i:016x}" for i in range(len(pixels))]
    parts = [slice(start, start + batch) for start in range(0, len(pixels), batch)]
    maps = [explain(pixels[part], wanted[part], ids[part]) for part in parts]
    return Maps(np.concatenate([m.values for m in maps]), np.concatenate([m.scores for m in maps]))


def images(model: Model, count: int = 4, seed: int = 1) -> np.ndarray:
    """Random photographs of the model's size, uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *model.input_size, model.channels), np.uint8)


def on_paper(value: Callable[[int], float]) -> np.ndarray:
    """The 25 numbers of a map that depends on IMAGE's value alone."""
    return np.array([[value(int(v)) for v in row] for row in IMAGE])
