"""Small classifiers of every shape that users bring: built, saved and opened by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model import Model, open_model

SIZE, CLASSES = 16, 3


def _image(channels: int = 3, size: int | None = SIZE) -> keras.KerasTensor:
    return keras.Input((size, size, channels), name="image", dtype=_input_dtype())


def _input_dtype() -> str:
    """A float64 twin is float64 from the first value to the last."""
    return keras.config.dtype_policy().variable_dtype


def linear() -> keras.Model:
    """The logits are linear in `relu`: pooling and a Dense with its softmax."""
    x = image = _image()
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="predictions")(x))


def flat() -> keras.Model:
    """Linear too, but each position has weights of its own; the softmax is a layer."""
    x = image = _image()
    x = layers.Conv2D(4, 3, strides=4, padding="same", activation="relu", name="conv")(x)
    x = layers.Dense(CLASSES)(layers.Flatten()(x))
    return keras.Model(image, layers.Softmax()(x))


def deep() -> keras.Model:
    """Convolutions of every kind, batch norms, both poolings and two Dense layers behind `tap`."""
    x = image = _image()
    x = layers.Conv2D(6, 3, padding="same", activation="tanh", name="tap")(x)
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.SeparableConv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    x = layers.Conv2D(8, 3, padding="same", dilation_rate=2, activation="swish", name="mid")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(7, activation="gelu")(x)
    return keras.Model(image, layers.Activation("softmax")(layers.Dense(CLASSES)(x)))


def residual() -> keras.Model:
    """Skips around and out of `branch`; a strided shortcut; the softmax is an operation."""
    x = image = _image()
    x = start = layers.Conv2D(6, 3, padding="same", activation="relu", name="start")(x)
    x = layers.Conv2D(6, 3, padding="same", name="branch")(x)
    x = layers.BatchNormalization()(x)
    x = trunk = layers.ReLU(name="sum")(layers.Add()([x, start]))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(8, 3, padding="same")(x)
    short = layers.Conv2D(8, 1, strides=2, padding="same")(trunk)
    x = layers.LeakyReLU()(x + short)
    x = layers.Concatenate()([x, short])
    gate = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply(name="multiply")([x, gate])
    x = layers.GlobalMaxPooling2D()(x)
    return keras.Model(image, ops.softmax(layers.Dense(CLASSES)(x), axis=-1))


def _backbone(size: int | None = None) -> keras.Model:
    x = image = keras.Input((size, size, 3), dtype=_input_dtype())
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="conv_a")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu_a")(x)
    return keras.Model(image, layers.Conv2D(8, 3, activation="relu", name="conv_b")(x), name="backbone")


def nested() -> keras.Model:
    """The form of transfer learning: preprocessing, a backbone called as a layer, pooling, Dense."""
    image = _image()
    x = layers.RandomFlip()(image)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(x)
    x = _backbone()(x, training=False)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.5)(x, training=True)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="predictions")(x))


def sequential() -> keras.Model:
    """A Sequential in a Sequential."""
    stem = keras.Sequential([layers.Conv2D(4, 3, activation="relu", name="conv")], name="stem")
    rest = [layers.MaxPooling2D(), layers.Flatten(), layers.Dense(CLASSES, activation="softmax")]
    return keras.Sequential([_image(), stem, *rest])


def sigmoid() -> keras.Model:
    """Two classes from one number."""
    x = image = _image()
    x = layers.Conv2D(5, 3, activation="relu", name="conv")(x)
    x = layers.Conv2D(5, 3, activation="elu")(x)
    return keras.Model(image, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(x)))


def convolutional() -> keras.Model:
    """MobileNet's end: a 1 x 1 convolution with the softmax, and a reshape; a free input size."""
    x = image = _image(size=None)
    x = layers.Conv2D(5, 3, strides=2, activation="relu6", name="conv")(x)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(CLASSES, 1, activation="softmax", name="preds")(layers.Dropout(0.1)(x))
    return keras.Model(image, layers.Reshape((CLASSES,))(x))


def shared() -> keras.Model:
    """One layer called twice, one model called twice."""
    image = _image()
    conv = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")
    block = keras.Sequential([_image(), layers.Conv2D(3, 1, name="inner")], name="block")
    x = block(conv(block(conv(image))))
    return keras.Model(image, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def grey() -> keras.Model:
    """One channel, logits, no softmax anywhere."""
    image = _image(1)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    return keras.Model(image, layers.Dense(CLASSES)(layers.Flatten()(x)))


BUILDERS: dict[str, tuple[Callable[[], keras.Model], list[str]]] = {
    "linear": (linear, ["relu"]),
    "flat": (flat, ["conv"]),
    "deep": (deep, ["tap", "mid"]),
    "residual": (residual, ["start", "branch", "sum"]),
    "nested": (nested, ["backbone/conv_a", "backbone/relu_a", "backbone/conv_b"]),
    "sequential": (sequential, ["stem/conv"]),
    "sigmoid": (sigmoid, ["conv"]),
    "convolutional": (convolutional, ["conv"]),
    "shared": (shared, ["conv#0", "conv#1", "block#0/inner"]),
    "grey": (grey, ["conv"]),
}
"""Name to (builder, the layers worth tapping)."""


def build(builder: Callable[[], keras.Model], dtype: str = "float32", seed: int = 0) -> keras.Model:
    """The model with weights drawn from ``seed``, batch norms included, computing in ``dtype``."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = builder()
    finally:
        keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        shape = tuple(weight.shape)
        scale = 1 / np.sqrt(max(1, np.prod(shape[:-1])))
        value = rng.normal(0, scale, shape) if len(shape) > 1 else rng.uniform(0.2, 1.2, shape)
        weight.assign(value.astype("float32"))
    return model


def save(model: keras.Model, folder: Path, suffix: str = ".keras") -> str:
    path = str(folder / f"{model.name}{suffix}")
    model.save(path)
    return path


def opened(name: str, folder: Path, dtype: str = "float32", **options: object) -> Model:
    """One of :data:`BUILDERS`, saved and opened as a user's file would be; kept for the other tests."""
    key = (name, dtype, tuple(sorted(options.items())))
    if key not in _kept:
        options.setdefault("input_size", SIZE if name == "convolutional" else None)
        _kept[key] = open_model(ModelSpec(path=save(build(BUILDERS[name][0], dtype), folder), **options))
    return _kept[key]


_kept: dict[tuple, Model] = {}


def pixels(channels: int = 3, count: int = 3, size: int = SIZE, seed: int = 1) -> np.ndarray:
    """Random images in [0, 255]."""
    return np.random.default_rng(seed).uniform(0, 255, (count, size, size, channels)).astype("float32")
