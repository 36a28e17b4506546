"""Small vision transformers of every shape that users bring."""

from __future__ import annotations

from typing import Any

import keras
import pytest
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
    """Norm, attention, skip; norm, Dense, Dense, skip. Without a shift, the first norm's tokens have both signs."""
    y = layers.LayerNormalization(center=False, name=f"{name}_norm_1")(x)
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


def _hub() -> Any:
    return pytest.importorskip("keras_hub", reason="KerasHub is optional: pip install 'activation-atlas[hub]'").models


def keras_hub_vit() -> keras.Model:
    """KerasHub's classifier, as it is saved: blocks inside an encoder layer, a class token."""
    own = {"num_layers": 2, "num_heads": HEADS, "hidden_dim": WIDTH, "mlp_dim": 2 * WIDTH}
    backbone = _hub().ViTBackbone(image_shape=(SIZE, SIZE, 3), patch_size=4, **own)
    return _hub().ViTImageClassifier(backbone, CLASSES, activation="softmax")


def keras_hub_dinov2() -> keras.Model:
    """KerasHub's DINOv2 with registers, and a head on the class token and the mean of the patches."""
    own = {"num_layers": 2, "num_heads": HEADS, "hidden_dim": WIDTH, "intermediate_dim": 2 * WIDTH}
    shape = {"image_shape": (SIZE, SIZE, 3), "position_embedding_shape": (SIZE, SIZE)}
    backbone = _hub().DINOV2Backbone(patch_size=4, num_register_tokens=2, **own, **shape)
    image = _image()
    tokens = backbone({"images": layers.Rescaling(1 / 127.5, offset=-1)(image)})
    x = layers.Concatenate()([tokens[:, 0], layers.GlobalAveragePooling1D()(tokens[:, 3:])])
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x))
