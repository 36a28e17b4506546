"""One small network with fixed weights, as we open it and as the peers are given it; and how maps are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from stages.methods import Options
from stages.specs import ModelSpec
from stages.vision.attribution.methods import METHODS, Maps, explainer
from stages.vision.model import Model, open_model

SIZE, CLASSES = 24, 5
IDS = [f"{k:040x}" for k in range(3)]


@dataclass(frozen=True)
class Case:
    """A model file as both sides see it, and what to explain with it.

    Attributes:
        ours: the opened file.
        softmax: the same file as Keras loads it, ending in a softmax.
        logits: its layers up to the logits: what is explained here, for peers that explain the model's output.
        pixels: uint8 (n, h, w, 3).
        targets: int32 (n, k), classes to explain.
    """

    spec: ModelSpec
    softmax: keras.Model
    logits: keras.Model
    pixels: np.ndarray
    targets: np.ndarray

    @property
    def ours(self) -> Model:
        return open_model(self.spec)

    @property
    def received(self) -> np.ndarray:
        """What the model receives for ``pixels``: peers prepare nothing, they are given this. float32 (n, h, w, 3)."""
        return self.ours.to_input(self.pixels).numpy()

    def maps(self, options: Options, background: np.ndarray | None = None) -> Maps:
        """Our maps of all images and targets."""
        method, ids = METHODS[options.name], [f"{k:040x}" for k in range(len(self.pixels))]
        settled = method.settle(self.ours, options, lambda count: self.pixels[:count])
        explain = explainer(self.spec, options, settled, len(ids), self.targets.shape[1], 0, background)
        return explain(self.pixels, self.targets, ids)


def case(folder: Path, values: tuple[float, float] = (0, 255), pooled: bool = False) -> Case:
    """The small network and three random images, two classes to explain of each.

    Args:
        values: what the model receives for black and for white.
        pooled: logits linear in ``last`` (average and Dense) instead of weights for each position.
    """
    model = _network(max(map(abs, values)), pooled)
    path = folder / "network.keras"
    model.save(path)
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (3, 6, 6, 3))
    pixels = coarse.repeat(4, 1).repeat(4, 2) // 2 + rng.integers(0, 128, (3, SIZE, SIZE, 3))
    targets = np.array([[0, 3], [4, 1], [2, 0]], np.int32)
    spec = ModelSpec(path=str(path), range=values)
    return Case(spec, model, headless(model), pixels.astype(np.uint8), targets)


def headless(model: keras.Model) -> keras.Model:
    """The model without its last layer, a softmax."""
    return keras.Model(model.inputs, model.layers[-1].input)


def _network(largest: float, pooled: bool) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(image)
    x = layers.Conv2D(12, 3, strides=2, activation="relu", name="middle")(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D()(x) if pooled else layers.Flatten()(x)
    x = layers.Dense(CLASSES, name="logits")(x)
    model = keras.Model(image, layers.Activation("softmax", name="predictions")(x))
    rng = np.random.default_rng(1)
    for weight in model.weights:
        shape = tuple(weight.shape)
        scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        weight.assign(rng.normal(0, scale, shape).astype("float32"))
    kernel = model.get_layer("first").kernel
    kernel.assign(kernel * (2 / largest))
    return model


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """max |found - expected| / max |expected|, of maps that say something."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    top = np.abs(expected).max()
    assert np.isfinite(top) and top > 0, "the peer's maps say nothing"
    return float(np.abs(found - expected).max() / top)
