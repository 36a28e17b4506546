"""Which operation keeps gradients from a layer, where one does."""

from __future__ import annotations

from collections.abc import Callable

import keras
import pytest
from keras import layers, ops

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.gradient_path import blocked_by, require_gradient
from activation_atlas.stages.vision.featurevis.visualizer import require_slope
from activation_atlas.stages.vision.model import Model
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import opened


def _gated(tmp_path, gate: Callable, skip: bool) -> Model:
    """Features times a gate of them; ``skip``: features plus a gate."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = (layers.Add() if skip else layers.Identity(name="same"))([x, gate(x)] if skip else gate(x))
    return opened(keras.Model(image, layers.Dense(3, name="dense")(x)), tmp_path)


@pytest.mark.parametrize("name", ["deep", "residual", "nested", "sigmoid"])
def test_gradients_reach_every_layer_and_the_image(name, tmp_path):
    model = small.opened(name, tmp_path)
    slots = [model.program.input, *(model.slot(layer.name) for layer in model.layers())]
    assert [blocked_by(model, slot) for slot in slots] == [None] * len(slots)


def test_a_way_around_is_enough(tmp_path):
    model = _gated(tmp_path, ops.stop_gradient, skip=True)
    assert blocked_by(model, model.slot("conv")) is None


def test_the_obstacle_nearest_the_logits_is_named(tmp_path):
    model = _gated(tmp_path, lambda x: ops.floor(ops.tanh(ops.round(x))), skip=False)
    assert blocked_by(model, model.slot("conv")).kind == "Floor"
    with pytest.raises(
        UserError, match=r"reaches the image, because floor\w* \(Floor\) has none; use a method without"
    ):
        require_gradient(model, model.program.input, "the image")


def test_behind_the_obstacle_there_is_none(tmp_path):
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, name="after")(ops.round(layers.Conv2D(4, 3, name="before")(image)))
    model = opened(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), tmp_path)
    assert blocked_by(model, model.slot("after")) is None
    assert blocked_by(model, model.slot("before")).kind == "Round"


def test_an_operation_that_tensorflow_knows_no_gradient_of_is_named(tmp_path):
    model = _gated(
        tmp_path, lambda x: ops.image.resize(x[:, None, :, None], (2, 2), interpolation="area")[:, 0, :, 0], skip=False
    )
    assert blocked_by(model, model.slot("conv")).kind == "Resize"


def test_icons_need_a_gradient_from_their_layer_to_the_image(tmp_path):
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, name="after")(ops.round(layers.Conv2D(4, 3, name="before")(image)))
    model = opened(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), tmp_path)
    require_slope(model, "before")
    with pytest.raises(
        UserError, match=r"layer after reaches the image, because round\w* \(Round\) has none, so no icons"
    ):
        require_slope(model, "after")
    image = keras.Input((16, 16, 3), dtype="uint8")
    x = layers.Conv2D(4, 3, name="conv")(layers.Rescaling(1 / 255)(image))
    model = opened(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), tmp_path)
    with pytest.raises(UserError, match="because it receives uint8, so no icons can be drawn; set render: null"):
        require_slope(model, "conv")
