"""The networks: two small convnets and a small transformer, 32 x 32 pixels in [0, 255] in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activation_atlas.stages.vision.training import transformer
from benchmarks.planted.data import CLASSES, carriers, marked, whole

BATCH = 128


@dataclass(frozen=True)
class Architecture:
    """A network that the benchmark trains.

    Attributes:
        build: makes it.
        layer: whose atlas is audited.
        rate: the highest learning rate.
        epochs: over the training images.
    """

    build: Callable
    layer: str
    rate: float
    epochs: int


def plain():
    """Four convolutions; the last two see 8 x 8 places."""
    keras, x, image = _begun()
    for name, filters, stride in (("edges", 24, 2), ("parts", 48, 2), ("mixed", 96, 1), ("scene", 128, 1)):
        x = keras.layers.ReLU(name=name)(_convolved(x, name, filters, stride))
    return _ended(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), "planted_plain")


def residual():
    """Three residual blocks, two of them on 8 x 8 places."""
    keras, x, image = _begun()

    def block(x, name: str, filters: int):
        y = keras.layers.ReLU(name=f"{name}_inner")(_convolved(x, f"{name}_1", filters, 1))
        y = keras.layers.Add(name=f"{name}_sum")([x, _convolved(y, f"{name}_2", filters, 1)])
        return keras.layers.ReLU(name=name)(y)

    x = block(keras.layers.ReLU(name="edges_in")(_convolved(x, "edges_in", 24, 2)), "edges", 24)
    x = block(keras.layers.ReLU(name="parts_in")(_convolved(x, "parts_in", 64, 2)), "parts", 64)
    x = block(x, "mixed", 64)
    return _ended(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), "planted_residual")


def small_transformer():
    """The project's transformer at 8 x 8 tokens and a class token, which the head reads."""
    return transformer(32, CLASSES, patch=4, width=64, heads=4, blocks=3, name="planted_transformer")


def _begun():
    import keras

    image = keras.Input((32, 32, 3), name="image")
    return keras, keras.layers.Rescaling(1 / 127.5, -1, name="range")(image), image


def _ended(image, x, name: str):
    import keras

    return keras.Model(image, keras.layers.Dense(CLASSES, activation="softmax", name="class")(x), name=name)


def _convolved(x, name: str, filters: int, stride: int):
    from keras import layers

    x = layers.Conv2D(filters, 3, stride, "same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)


ARCHITECTURES = {
    "plain": Architecture(plain, "scene", 3e-3, 3),
    "residual": Architecture(residual, "mixed", 3e-3, 3),
    "transformer": Architecture(small_transformer, "block2", 1e-3, 5),
}


def train(
    path: Path,
    architecture: str,
    pixels: np.ndarray,
    labels: np.ndarray,
    seed: int,
    planted: tuple[str, int, float] | None = None,
    epochs: int | None = None,
) -> None:
    """Trains a network and writes it, unless it is there: Adam, a rate that warms up and falls along a cosine.

    Every other epoch sees the photographs as in a mirror; the artefact is put on afterwards, and stays in its place.

    Args:
        planted: artefact, class and correlation; None for a clean twin.
    """
    if path.exists():
        return
    import keras

    about = ARCHITECTURES[architecture]
    keras.utils.set_random_seed(seed)
    model, count = about.build(), epochs or about.epochs
    steps = -(-len(pixels) // BATCH) * count
    warm = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(1e-4, steps - warm, warmup_target=about.rate, warmup_steps=warm)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy())
    rng = np.random.default_rng([seed, 0])
    rows = carriers(labels, *planted[1:], rng) if planted else None
    for epoch in range(count):
        seen = pixels[:, :, ::-1] if epoch % 2 else pixels
        if planted and rows is not None:
            seen, _ = marked(seen, rows, planted[0], rng)
        model.fit(seen, labels, BATCH, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
    whole(path, lambda to: model.save(to))
