"""Layers that hold their maps another way than the image lies are those of a twin that holds them as it lies."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.vision.attribution.choice import choose
from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.featurevis.receptive_crop import receptive_crop
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.geometry import upright
from tests import quick
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import built, explained, images, opened

SIZE = (13, 19)  # unpadded convolutions come out even: the same whichever end they begin at

TURNS = {
    "channels_first": (layers.Permute((3, 1, 2)), layers.Permute((2, 3, 1)), lambda kernel: kernel),
    "transposed": (layers.Permute((2, 1, 3)), layers.Permute((2, 1, 3)), lambda kernel: kernel.transpose(1, 0, 2, 3)),
    "flipped": (lambda x: ops.flip(x, 2), lambda x: ops.flip(x, 2), lambda kernel: kernel[:, ::-1]),
}
"""How a network turns the image, how it turns its map back, and a kernel that does the same to the image as it is."""


def _network(name: str, turn, back) -> keras.Model:
    form, axis = ("channels_first", 1) if name == "channels_first" else ("channels_last", -1)
    image = keras.Input((*SIZE, 3))
    x = turn(image)
    for k, filters in enumerate((4, 8)):
        x = layers.Conv2D(filters, 3, strides=1 + k, data_format=form, name=f"conv_{k}")(x)
        x = layers.BatchNormalization(axis, name=f"norm_{k}")(x)
    x = back(layers.ReLU(name="seen")(x))
    x = layers.Dense(6, activation="tanh", name="hidden")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(3, name="dense")(x), name=name)


@pytest.fixture(scope="module", params=TURNS)
def twins(request, tmp_path_factory) -> tuple[Model, Model]:
    turn, back, kernel = TURNS[request.param]
    turned = small.build(lambda: _network(request.param, turn, back))
    plain = _network(f"plain_{request.param}", lambda x: x, lambda x: x)
    for layer in (layer for layer in turned.layers if layer.weights):
        first, *others = layer.get_weights()
        weights = [kernel(first) if layer.name.startswith("conv") else first, *others]
        plain.get_layer(layer.name).set_weights(weights)
    folder = tmp_path_factory.mktemp(request.param)
    return opened(turned, folder), opened(plain, folder)


def _graph(function):
    """In eager mode TensorFlow 2.21 has convolutions with channels first off by some thousandths."""
    return tf.function(function, autograph=False)


def test_the_layer_lies_as_the_image_does(twins):
    turned, plain = (model.placed("seen") for model in twins)
    assert (turned.height, turned.width, turned.channels, turned.kind) == (5, 8, 8, "ReLU")
    assert (turned.place, turned.receptive_field) == (plain.place, plain.receptive_field)
    assert (turned.offset, turned.stride) == ((2, 2), (2, 2))


def test_its_values_and_what_follows_from_them_are_the_twins(twins):
    x = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)), tf.float32)
    found, expected = (_graph(lambda x, m=m: m.tap("seen")(m.to_input(x)))(x) for m in twins)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    found, expected = (_graph(lambda x, m=m: m.head("seen")(m.trunk("seen")(m.to_input(x))))(x) for m in twins)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", quick.first(["grad_cam", "layer_cam", "grad_cam_plus_plus", "score_cam"]))
def test_maps_are_the_twins(name, twins):
    found, expected = (explained(built(name, model, layer="seen"), images(model, 2), [0, 2]).values for model in twins)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_attributions_are_the_twins(twins):
    pixels, found = images(twins[0], 2), []
    grid = np.indices((2, 5, 8)).reshape(3, -1)
    places = Positions(*(tf.constant(axis, tf.int32) for axis in grid))
    for model in twins:
        mode = ForwardMode(model, "seen", choose(model, "seen"))
        apply = _graph(lambda x, m=model, mode=mode: mode(m.values(m.to_input(x), mode.slots), places)[1])
        found.append(apply(tf.constant(pixels)).numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-3 * np.abs(found[1]).max())


def test_icons_see_the_middle_of_the_turned_map(twins):
    x = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, 17, 21, 3)), tf.float32)
    model = twins[0]
    whole = model.tap("seen")(model.to_input(x))
    height, width = whole.shape[1:3]
    middle = receptive_crop(model, "seen", (17, 21))(model.to_input(x))
    np.testing.assert_allclose(middle[:, 0, 0], whole[:, height // 2, width // 2], rtol=1e-4, atol=1e-3)


def test_programs_of_other_models_stay_as_they_are(tmp_path):
    for name in ("deep", "residual", "nested"):
        model = small.opened(name, tmp_path)
        assert upright(model.program, model.shapes) is model.program
