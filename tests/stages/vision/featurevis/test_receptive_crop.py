"""The middle of a map, computed alone, equals the middle of the whole map."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.featurevis import receptive_crop as module
from activation_atlas.stages.vision.featurevis.objectives import centre
from activation_atlas.stages.vision.featurevis.receptive_crop import receptive_crop
from activation_atlas.stages.vision.featurevis.visualizer import proved_crop
from activation_atlas.stages.vision.model import Model, open_model
from tests.stages.vision import small_models


def winding() -> keras.Model:
    """Strides, then everything that is cut: both paddings, dilation, pooling, skips, a gate, two widths of kernel."""
    x = image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    a = layers.Conv2D(4, (3, 1), padding="same", activation="tanh")(x)
    b = layers.DepthwiseConv2D(5, padding="same", dilation_rate=2)(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(b)
    x = layers.Add()([layers.Multiply()([gate, a]), b])
    x = layers.AveragePooling2D(3, strides=1, padding="same")(layers.BatchNormalization()(x))
    x = layers.Concatenate()([layers.Conv2D(3, 3)(x), layers.Conv2D(3, (1, 3))(layers.Cropping2D(((1, 1), 0))(x))])
    x = layers.ReLU(name="last")(layers.SeparableConv2D(5, 2, padding="same")(x))
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


NAMES = ("linear", "deep", "residual", "nested", "sequential", "convolutional", "grey")


@pytest.mark.parametrize("frame", [(16, 16), (30, 21)])
def test_by_every_kind_of_step(frame, tmp_path):
    path = small_models.save(small_models.build(winding), tmp_path)
    _compare(open_model(ModelSpec(path=path)), "last", frame)


@pytest.mark.parametrize("name", NAMES)
def test_on_every_layer_of_small_models(name, tmp_path):
    model = small_models.opened(name, tmp_path)
    for info in model.layers():
        if model.accepts(info.name, 24, 24):
            _compare(model, info.name, (24, 24))


def _compare(model: Model, layer: str, frame: tuple[int, int]) -> None:
    x = tf.constant(np.random.default_rng(0).uniform(size=(2, *frame, model.channels)).astype(np.float32))
    values, slopes = [], []
    for respond in (model.tap(layer), receptive_crop(model, layer, frame)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            middle = centre(respond(x))
        values.append(middle.numpy())
        slopes.append(tape.gradient(middle, x).numpy())
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4, atol=1e-5, err_msg=layer)
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-3, atol=1e-5, err_msg=layer)


def test_a_middle_that_is_not_the_whole_maps_is_not_climbed(monkeypatch, tmp_path, caplog):
    """Where a step is wrongly taken to work on each position alone, as a norm over the whole map would be."""
    model = small_models.opened("deep", tmp_path)
    pixels = tf.constant(np.random.default_rng(3).uniform(size=(1, 24, 24, 3)).astype(np.float32))
    assert proved_crop(model, "mid", (24, 24))(pixels).shape[1] == 1
    assert not caplog.text
    monkeypatch.setattr(module, "POINTWISE", {*module.POINTWISE, "AveragePooling2D"})
    assert proved_crop(model, "mid", (24, 24))(pixels).shape[1] > 1
    assert "layer mid: icons by whole maps (its middle alone is off by" in caplog.text


def test_it_computes_less(tmp_path):
    x = image = keras.Input((16, 16, 3))
    for k in range(3):
        x = layers.Conv2D(4, 3, padding="same", name=f"conv{k}")(x)
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = open_model(ModelSpec(path=small_models.save(keras.Model(image, outputs), tmp_path)))
    spec = tf.TensorSpec((2, 16, 16, 3))
    graph = tf.function(receptive_crop(model, "conv2", (16, 16)), autograph=False).get_concrete_function(spec).graph
    heights = [op.outputs[0].shape[1] for op in graph.get_operations() if op.type == "Conv2D"]
    assert heights == [7, 5, 3]
