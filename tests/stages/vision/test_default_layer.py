"""The layer explained where none is named: behind every branch, and over the image."""

from __future__ import annotations

import re

import keras
import pytest
from keras import layers

from activation_atlas.stages.explain.configured import warnings
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.default_layer import before_tokens, default_layer
from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.model import open_model
from tests.quick import first
from tests.stages.vision import small_models as small
from tests.stages.vision import small_transformers as transformers
from tests.stages.vision.methods.five import opened


def _conv(x: keras.KerasTensor, name: str, strides: int = 1, **options: object) -> keras.KerasTensor:
    return layers.Conv2D(4, 3, strides=strides, padding="same", activation="relu", name=name, **options)(x)


def _image() -> keras.KerasTensor:
    return keras.Input((16, 16, 3))


def _dense(*vectors: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Dense(3)(vectors[0] if len(vectors) == 1 else layers.Concatenate()(vectors))


def _pool(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.GlobalAveragePooling2D()(x)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("linear", "relu"),
        ("deep", "pool"),
        ("residual", "multiply"),
        ("nested", "backbone/conv_b"),
        ("sequential", "max_pooling2d"),
        ("convolutional", "conv"),
        ("shared", "block#1/inner"),
    ],
)
def test_it_is_the_last_with_positions(name, layer, tmp_path):
    # A layer without a name of its own is numbered by Keras.
    assert re.fullmatch(rf"{layer}(_\d+)?", default_layer(small.opened(name, tmp_path)))


def test_a_padding_at_the_end_does_not_lie_over_the_image(tmp_path):
    image = _image()
    x = layers.Dropout(0.5)(layers.ZeroPadding2D(1, name="pad")(_conv(image, "conv", strides=4)))
    assert default_layer(opened(keras.Model(image, _dense(_pool(x))), tmp_path)) == "conv"


def test_a_padding_on_the_way_does_not_matter(tmp_path):
    image = _image()
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(_conv(image, "conv"))
    x = layers.Conv2D(4, 3, strides=2, name="last")(x)
    assert default_layer(opened(keras.Model(image, _dense(_pool(x))), tmp_path)) == "last"


@pytest.mark.parametrize("late", [True, False])
def test_a_side_branch_does_not_win(late, tmp_path):
    """Its layers run before or after the trunk's; they part at `stem` and meet as vectors."""
    image = _image()
    stem = _conv(image, "stem", strides=2)
    side = _conv(stem, "side") if not late else None
    trunk = _conv(_conv(stem, "a"), "b")
    if side is None:
        side = _conv(_conv(_conv(stem, "c"), "d"), "side")
    assert default_layer(opened(keras.Model(image, _dense(_pool(trunk), _pool(side))), tmp_path)) == "stem"


def test_branches_that_meet_again_as_maps_are_behind_it(tmp_path):
    image = _image()
    stem = _conv(image, "stem", strides=2)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(stem))
    x = layers.Add(name="sum")([_conv(stem, "branch"), stem])
    x = layers.Multiply(name="gated")([x, gate])
    assert default_layer(opened(keras.Model(image, _dense(_pool(x))), tmp_path)) == "gated"


def test_branches_that_part_at_the_image_leave_the_one_with_most_of_the_computation(tmp_path):
    image = _image()
    scaled = layers.Rescaling(1 / 255, name="scaled")(image)
    colour = layers.Conv2D(2, 1, name="colour")(scaled)
    trunk = _conv(_conv(scaled, "a"), "b")
    assert default_layer(opened(keras.Model(image, _dense(_pool(trunk), _pool(colour))), tmp_path)) == "b"


def test_a_layer_the_logits_do_not_depend_on_is_none(tmp_path):
    image = _image()
    kept = _conv(image, "kept")
    _conv(kept, "unused")
    assert default_layer(opened(keras.Model(image, _dense(_pool(kept))), tmp_path)) == "kept"


def test_a_model_without_positions_is_refused(tmp_path):
    image = keras.Input((1, 1, 3))
    with pytest.raises(UserError, match="no layer has positions"):
        default_layer(opened(keras.Model(image, _dense(layers.Flatten()(layers.Conv2D(4, 1)(image)))), tmp_path))


def _transformer(blocks: int, convolutions: int = 0) -> keras.Model:
    """A patch embedding of 4 x 4, tokens with their places, blocks of attention, and a mean."""
    image = x = _image()
    for k in range(convolutions):
        x = layers.Conv2D(32, 3, padding="same", name=f"conv_{k}")(x)
    x = layers.Conv2D(8, 4, strides=4, name="patches")(x)
    x = layers.Reshape((16, 8), name="tokens")(x)
    for _ in range(blocks):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
        x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x))
    return keras.Model(image, _dense(layers.GlobalAveragePooling1D()(x)))


def _both() -> keras.Model:
    """Class token and mean of the patches are read, side by side."""
    image = keras.Input((16, 16, 3))
    x = transformers.placed(transformers.classed(transformers.patches(image)))
    x = transformers.block(transformers.block(x, "block_1"), "block_2")
    return keras.Model(image, _dense(x[:, 0], layers.GlobalAveragePooling1D()(x[:, 1:])))


@pytest.mark.parametrize(
    ("builder", "layer"),
    first(
        [
            (transformers.class_token, "block_2_norm_1"),  # behind it, nothing of the patches is read
            (transformers.pooled, "norm"),
            (_both, "block_2_out"),
        ]
    ),
)
def test_in_a_transformer_it_is_the_last_through_which_patches_reach_the_logits(builder, layer, tmp_path):
    model = open_model(ModelSpec(path=small.save(small.build(builder), tmp_path)))
    assert default_layer(model) == layer
    configured = METHODS["grad_cam"].configure(model, GradCam(), None)
    assert (configured["layer"], configured["height"], configured["width"]) == (layer, 4, 4)
    assert not warnings(GradCam(), configured)


def test_the_patch_embedding_of_a_transformer_is_told_from_a_last_layer(tmp_path):
    vision = opened(_transformer(2), tmp_path)
    assert before_tokens(vision, "patches") and vision.layer(default_layer(vision)).kind == "Add"
    hybrid = opened(_transformer(1, convolutions=2), tmp_path)  # attention over what convolutions found
    assert not before_tokens(hybrid, "patches")
    assert not before_tokens(small.opened("residual", tmp_path), "multiply")


def test_maps_at_a_patch_embedding_are_said_to_say_little(tmp_path):
    model = opened(_transformer(2), tmp_path)
    cam = METHODS["grad_cam"]
    at = GradCam(layer="patches")
    told = warnings(at, cam.configure(model, at, None))
    assert len(told) == 1 and told[0].startswith("grad_cam: at patches, the patch embedding, in front of all blocks")
    assert told[0].endswith("Leave layer out, or name that of a block")
    assert not warnings(Saliency(), METHODS["saliency"].configure(model, Saliency(), None))
