"""Small vision transformers of the forms that users bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model import Model, open_model

SIZE, CLASSES = 16, 3


@keras.saving.register_keras_serializable("tests")
class ClassToken(layers.Layer):
    """A learned token in front of the others."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal")

    def call(self, x):
        return ops.concatenate([self.token + 0 * x[:, :1], x], axis=1)


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A block of a transformer as people write it: layers inside a layer, some of them without a name."""

    def __init__(self, width: int, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.attention = layers.MultiHeadAttention(2, width // 2)
        self.mlp = keras.Sequential([layers.Dense(2 * width, activation="gelu"), layers.Dense(width)])
        self.norms = [layers.LayerNormalization() for _ in range(2)]

    def build(self, shape):
        self.attention.build(shape, shape)
        self.mlp.build(shape)
        for norm in self.norms:
            norm.build(shape)

    def call(self, x, training=None):
        found = self.norms[0](x)
        x = x + self.attention(found, found, training=training)
        return x + self.mlp(self.norms[1](x), training=training)

    def get_config(self):
        return super().get_config() | {"width": self.width}


def functional(blocks: int = 2, width: int = 8, token: bool = True, closed: bool = False) -> keras.Model:
    """A patch embedding of 4 x 4, tokens with their places, blocks of attention; read at the class token, or a mean.

    Args:
        token: a class token is in front, and read.
        closed: blocks are layers of their own.
    """
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(width, 4, strides=4, name="patches")(layers.Rescaling(1 / 127.5, -1)(image))
    x = layers.Reshape((16, width), name="tokens")(x)
    if token:
        x = ClassToken(name="class_token")(x)
    for k in range(blocks):
        if closed:
            x = Block(width, name=f"block_{k}")(x)
            continue
        found = layers.LayerNormalization(name=f"norm_{k}")(x)
        x = layers.Add(name=f"told_{k}")([x, layers.MultiHeadAttention(2, width // 2, name=f"mha_{k}")(found, found)])
        found = layers.Dense(2 * width, activation="gelu", name=f"mlp_{k}")(layers.LayerNormalization()(x))
        x = layers.Add(name=f"block_{k}")([x, layers.Dense(width)(found)])
    x = layers.LayerNormalization(name="normed")(x)
    x = x[:, 0] if token else layers.GlobalAveragePooling1D()(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="head")(x))


@keras.saving.register_keras_serializable("tests")
class Patches(layers.Layer):
    """As in Keras's example of a vision transformer."""

    def __init__(self, patch_size: int, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, images):
        count, height, width, channels = ops.shape(images)
        down, right = height // self.patch_size, width // self.patch_size
        patches = ops.image.extract_patches(images, size=self.patch_size)
        return ops.reshape(patches, (count, down * right, self.patch_size**2 * channels))

    def get_config(self):
        return super().get_config() | {"patch_size": self.patch_size}


@keras.saving.register_keras_serializable("tests")
class PatchEncoder(layers.Layer):
    """As in Keras's example of a vision transformer."""

    def __init__(self, num_patches: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.num_patches, self.width = num_patches, width
        self.projection = layers.Dense(width)
        self.position_embedding = layers.Embedding(num_patches, width)

    def build(self, shape):
        self.projection.build(shape)
        self.position_embedding.build((1, self.num_patches))

    def call(self, patch):
        positions = ops.expand_dims(ops.arange(0, self.num_patches, 1), axis=0)
        return self.projection(patch) + self.position_embedding(positions)

    def get_config(self):
        return super().get_config() | {"num_patches": self.num_patches, "width": self.width}


def example() -> keras.Model:
    """Keras's example of a vision transformer: patches cut out, no class token, all tokens read by a Dense head."""
    image = keras.Input((SIZE, SIZE, 3))
    x = PatchEncoder(16, 8, name="encoded")(Patches(4, name="cut")(layers.Rescaling(1 / 127.5, -1)(image)))
    for k in range(2):
        found = layers.LayerNormalization(epsilon=1e-6)(x)
        x2 = layers.Add()([layers.MultiHeadAttention(2, 8, dropout=0.1)(found, found), x])
        found = layers.Dense(16, activation=keras.activations.gelu)(layers.LayerNormalization(epsilon=1e-6)(x2))
        x = layers.Add(name=f"block_{k}")([layers.Dense(8)(layers.Dropout(0.1)(found)), x2])
    x = layers.Dropout(0.5)(layers.Flatten()(layers.LayerNormalization(epsilon=1e-6, name="normed")(x)))
    return keras.Model(image, layers.Dense(CLASSES)(layers.Dense(8, activation="gelu")(x)))


def windows(shift: int = 0) -> keras.Model:
    """Attention within windows of 2 x 2 positions of a map, which may be rolled before and back behind, as in Swin."""
    image = keras.Input((SIZE, SIZE, 3))
    x = start = layers.Conv2D(8, 4, strides=4, name="patches")(image)
    x = ops.roll(x, (-shift, -shift), axis=(1, 2)) if shift else x
    x = ops.transpose(ops.reshape(x, (-1, 2, 2, 2, 2, 8)), (0, 1, 3, 2, 4, 5))
    x = layers.LayerNormalization(name="windows")(ops.reshape(x, (-1, 4, 8)))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = ops.transpose(ops.reshape(x, (-1, 2, 2, 2, 2, 8)), (0, 1, 3, 2, 4, 5))
    x = ops.reshape(x, (-1, 4, 4, 8))
    x = ops.roll(x, (shift, shift), axis=(1, 2)) if shift else x
    x = layers.Add(name="joined")([start, x])
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def unfolded() -> keras.Model:
    """A MobileViT's block: of each patch of 2 x 2 positions the first attend to one another, the second, and so on."""
    image = keras.Input((SIZE, SIZE, 3))
    x = start = layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(image)
    x = ops.transpose(ops.reshape(x, (-1, 4, 2, 4, 2, 8)), (0, 2, 4, 1, 3, 5))
    x = layers.LayerNormalization(name="unfolded")(ops.reshape(x, (-1, 4, 16, 8)))
    x = layers.Add(name="told")([x, layers.MultiHeadAttention(2, 4)(x, x)])
    x = ops.transpose(ops.reshape(x, (-1, 2, 2, 4, 4, 8)), (0, 3, 1, 4, 2, 5))
    x = layers.Conv2D(8, 1, name="folded")(ops.reshape(x, (-1, 8, 8, 8)))
    x = layers.Conv2D(8, 3, padding="same", name="fused")(layers.Concatenate()([start, x]))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def opened(model: keras.Model, folder: Path, **options: Any) -> Model:
    """The model as a user's file would be opened."""
    path = folder / f"{model.name}.keras"
    model.save(path)
    return open_model(ModelSpec(path=str(path), **options))


def noise(count: int = 2) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (count, SIZE, SIZE, 3)).astype("float32")
