"""Small vision transformers of every shape that users bring."""

from __future__ import annotations

import keras
from keras import layers, ops

from tests.stages.vision.small_models import CLASSES, SIZE

WIDTH, HEADS = 8, 2


def _image() -> keras.KerasTensor:
    """A float64 twin is float64 from the first value to the last."""
    return keras.Input((SIZE, SIZE, 3), name="image", dtype=keras.config.dtype_policy().variable_dtype)


def patches(image: keras.KerasTensor, size: int = 4) -> keras.KerasTensor:
    """Tokens of 4 x 4 pixels each, (n, 16, 8)."""
    x = layers.Conv2D(WIDTH, size, strides=size, name="patches")(image)
    return layers.Reshape((-1, WIDTH), name="tokens")(x)


def classed(x: keras.KerasTensor) -> keras.KerasTensor:
    """A class token before them."""
    own = layers.Embedding(1, WIDTH, name="class_token")(ops.zeros_like(x[:, :1, 0], dtype="int32"))
    return layers.Concatenate(axis=1, name="sequence")([own, x])


def placed(x: keras.KerasTensor) -> keras.KerasTensor:
    """What tells the tokens' places: a bias for each."""
    return layers.EinsumDense("ntc,cd->ntd", (x.shape[1], WIDTH), bias_axes="td", name="places")(x)


def block(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Norm, attention, skip; norm, Dense, Dense, skip."""
    y = layers.LayerNormalization(name=f"{name}_norm_1")(x)
    y = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dropout=0.1, name=f"{name}_attention")(y, y)
    x = layers.Add(name=f"{name}_sum_1")([x, y])
    y = layers.LayerNormalization(name=f"{name}_norm_2")(x)
    y = layers.Dense(2 * WIDTH, activation="gelu", name=f"{name}_dense_1")(y)
    y = layers.Dense(WIDTH, name=f"{name}_dense_2")(y)
    return layers.Add(name=f"{name}_out")([x, y])


def class_token() -> keras.Model:
    """A vision transformer whose class token is read."""
    image = _image()
    x = placed(classed(patches(layers.Rescaling(1 / 127.5, offset=-1)(image))))
    for k in (1, 2):
        x = block(x, f"block_{k}")
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="predictions")(x[:, 0]))


def pooled() -> keras.Model:
    """One without a class token: the mean of its patches is read."""
    image = _image()
    x = placed(patches(layers.Rescaling(1 / 127.5, offset=-1)(image)))
    for k in (1, 2):
        x = block(x, f"block_{k}")
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(
        image, layers.Dense(CLASSES, activation="softmax", name="predictions")(layers.GlobalAveragePooling1D()(x))
    )
