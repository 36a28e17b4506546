"""One small network with fixed weights, as we open it and as the peers are given it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from activation_atlas.stages.methods import Options
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods import METHODS, Explain, Maps, explainer
from activation_atlas.stages.vision.model import Model, open_model
from activation_atlas.stages.vision.place import Place

SIZE, CLASSES = 24, 5


@dataclass(frozen=True)
class Case:
    """A model file as both sides see it, and what to explain with it.

    Attributes:
        spec: of the file.
        softmax: the model in it, ending in a softmax.
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

    @property
    def ids(self) -> list[str]:
        return [f"{k:040x}" for k in range(len(self.pixels))]

    def explain(self, options: Options, background: np.ndarray | None = None, stretched: bool = False) -> Explain:
        """Our method, ready for all images at once.

        Args:
            stretched: a layer's map is laid evenly over the whole image, as the peers do, and not where it lies.
        """
        configured = METHODS[options.name].configure(self.ours, options, lambda count: self.pixels[:count])
        if stretched:
            own = configured.get("cam", configured)
            own["place"] = Place.even((own["height"], own["width"]), (SIZE, SIZE)).row()
        return explainer(self.spec, options, configured, *self.targets.shape, 0, background)

    def maps(self, options: Options, background: np.ndarray | None = None, stretched: bool = False) -> Maps:
        """Our maps of all images and targets."""
        return self.explain(options, background, stretched)(self.pixels, self.targets, self.ids)


def case(folder: Path, values: tuple[float, float] = (0, 255), kind: str = "flat") -> Case:
    """The small network and three random images, two classes to explain of each.

    Args:
        values: what the model receives for black and for white.
        kind: ``flat``: ReLUs, and logits with weights for each position; ``pooled``: logits linear in ``last`` (average
            and Dense); ``linear``: flat without ReLUs.
    """
    model = _network(max(map(abs, values)), kind)
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


def _network(largest: float, kind: str) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3), name="image")
    activation = None if kind == "linear" else "relu"
    x = layers.Conv2D(6, 3, padding="same", activation=activation, name="first")(image)
    x = layers.Conv2D(12, 3, strides=2, activation=activation, name="middle")(x)
    x = layers.Conv2D(8, 3, strides=2, activation=activation, name="last")(x)
    x = layers.GlobalAveragePooling2D()(x) if kind == "pooled" else layers.Flatten()(x)
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
