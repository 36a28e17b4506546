"""Models whose gradients are known on paper, and how the tests run a gradient method on them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from activation_atlas.stages.vision.attribution.methods import METHODS, Explain, Maps, Setting
from activation_atlas.stages.vision.model import Model

SIZE = (2, 3, 3)
WEIGHTS = np.random.default_rng(7).integers(-4, 5, (2, *SIZE)).astype("float32") / 8
"""Of the two logits, for each pixel and colour; eighths, so that products with pixels are exact in float32."""


def powers(power: int) -> keras.Model:
    """Logits sum of w x^power, for whole-numbered powers; their gradients are power w x^(power - 1)."""
    x = image = keras.Input(SIZE)
    for _ in range(power - 1):
        x = layers.Multiply()([x, image])
    model = keras.Model(image, layers.Dense(2, use_bias=False, name="dense")(layers.Flatten()(x)))
    model.get_layer("dense").set_weights([WEIGHTS.reshape(2, -1).T])
    return model


def rounded() -> keras.Model:
    """No gradient passes the rounding."""
    x = ops.round(layers.Rescaling(1 / 16, name="scale")(image := keras.Input(SIZE)))
    return keras.Model(image, layers.Dense(2)(layers.Flatten()(x)))


def photographs(model: Model, count: int = 4, seed: int = 3) -> np.ndarray:
    """Random images of the model's size, uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *model.input_size, model.channels), np.uint8)


def ready(
    name: str,
    model: Model,
    batch: int = 3,
    targets: int = 2,
    seed: int = 0,
    background: np.ndarray | None = None,
    **options: Any,
) -> Explain:
    """A method ready to work."""
    chosen = METHODS[name].options(**options)
    configured = METHODS[name].configure(model, chosen, lambda count: photographs(model, count))
    return METHODS[name].build(Setting(model, chosen, configured, batch, targets, seed, background))


def maps_of(explain: Explain, pixels: np.ndarray, targets: Any = (0, 1), batch: int = 3, rows: Any = None) -> Maps:
    """Maps of the images numbered ``rows`` (default: all), for ``targets``, in calls of ``batch``; ids are numbers."""
    rows = np.arange(len(pixels)) if rows is None else np.asarray(rows)
    found = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        wanted = np.tile(np.asarray(targets, np.int32), (len(part), 1))
        found.append(explain(pixels[part], wanted, [f"{row:016x}" for row in part]))
    gap = None if found[0].gap is None else np.concatenate([m.gap for m in found])
    return Maps(np.concatenate([m.values for m in found]), np.concatenate([m.scores for m in found]), gap)


def gradient_on_paper(x: np.ndarray, power: int) -> np.ndarray:
    """Of :func:`powers` at images (n, h, w, c), for both logits: (n, 2, h, w, c) float64."""
    return power * WEIGHTS.astype("float64") * x.astype("float64")[:, None] ** (power - 1)
