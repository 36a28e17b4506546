"""Classes that are called as Keras' and compute something else: every fast path finds out, and the maps are right."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.choice import choose
from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.attribution.methods import METHODS, Setting
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.featurevis.visualizer import proved_crop
from activation_atlas.stages.vision.model import Model, freeze, open_model
from activation_atlas.stages.vision.model.agreement import agree
from activation_atlas.stages.vision.model.folding import Folding, Padded
from activation_atlas.stages.vision.model.grouped import by_group
from activation_atlas.stages.vision.model.program import flatten
from tests.stages.vision import small_models as small

own = keras.saving.register_keras_serializable("impostors")


@own
class Conv2D(layers.Conv2D):
    """Twice a convolution."""

    def call(self, inputs):
        return 2 * super().call(inputs)


@own
class BatchNormalization(layers.BatchNormalization):
    """A norm that adds noise of its own at each position."""

    def call(self, inputs, training=None, mask=None):
        rows, cols = (ops.arange(n, dtype=inputs.dtype) for n in inputs.shape[1:3])
        noise = ops.sin(7 * rows[:, None] + 3 * cols**2)
        return super().call(inputs, training=training) + noise[None, :, :, None]


@own
class LeakyReLU(layers.LeakyReLU):
    """Bends the other way."""

    def call(self, inputs):
        return -super().call(-inputs) + 0.1


@pytest.fixture(scope="module")
def built() -> keras.Model:
    keras.utils.set_random_seed(5)
    image = keras.Input((16, 16, 3))
    x = Conv2D(4, 3, padding="same", use_bias=False, name="conv")(layers.Rescaling(1 / 255, offset=-0.5)(image))
    x = layers.ReLU(name="relu")(BatchNormalization(name="norm")(x))
    x = LeakyReLU(0.3, name="leaky")(Conv2D(6, 3, strides=2, name="strided")(layers.ZeroPadding2D(((0, 1), (0, 1)))(x)))
    x = layers.ReLU(name="late")(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="tanh", padding="same", name="last")(x))
    return keras.Model(image, layers.Dense(3)(x))


@pytest.fixture(scope="module")
def model(built, tmp_path_factory) -> Model:
    return open_model(ModelSpec(path=small.save(built, tmp_path_factory.mktemp("impostors")), output="logits"))


def near(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_maps_and_logits_are_those_of_the_layers(built, model):
    x = tf.constant(small.pixels(), tf.float32)
    names = ["conv", "norm", "leaky", "last"]
    expected = keras.Model(built.input, [*(built.get_layer(name).output for name in names), built.output])(x)
    graph = freeze(lambda x: model.values(x, [*map(model.slot, names), model.program.output]), tf.TensorSpec(x.shape))
    for found, map_ in zip(graph(x), expected, strict=True):
        near(found.numpy(), map_.numpy())


@pytest.mark.slow
def test_attributions_are_those_of_the_layers(built, model):
    layer, way = "conv", choose(model, "conv")
    assert way != "windows", "its rule for convolutions knows of no doubling"
    mode, info = ForwardMode(model, layer, way), model.layer(layer)
    pixels = tf.constant(small.pixels()[:1], tf.float32)
    places = Positions(*(tf.constant(x, tf.int32) for x in np.indices((1, info.height, info.width)).reshape(3, -1)))
    _, found = tf.function(lambda x: mode(model.values(x, mode.slots), places), autograph=False)(pixels)
    maps = keras.Model(built.input, built.get_layer(layer).output)(pixels)
    head = keras.Model(built.get_layer(layer).output, built.output)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(maps)
        logits = tf.unstack(head(maps), axis=1)
    expected = [tf.reduce_sum(tape.gradient(logit, maps) * maps, 3) for logit in logits]
    near(found.numpy(), np.stack([x.numpy().ravel() for x in expected], 1))


def test_occlusion_is_that_of_whole_passes(built, model, caplog):
    options = Occlusion(patch=4, stride=4, fill=0, mode="incremental")
    pixels = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 3), np.uint8)
    with caplog.at_level(logging.WARNING):
        configured = METHODS["occlusion"].configure(model, options, lambda count: pixels[:count])
    assert configured["mode"] == "full" and "the incremental way differs by" in caplog.text
    targets = np.array([[0, 1, 2]], np.int32)
    found = METHODS["occlusion"].build(Setting(model, options, configured, 4, 3))(pixels, targets, [""])
    hidden = np.repeat(pixels, 16, 0).astype(np.float32)
    for k in range(16):
        hidden[k, k // 4 * 4 : k // 4 * 4 + 4, k % 4 * 4 : k % 4 * 4 + 4] = 0
    drops = built(pixels.astype(np.float32)).numpy() - built(hidden).numpy()
    near(found.values, drops.T.reshape(1, 3, 4, 4))


def test_icons_see_whole_maps(model, caplog):
    with caplog.at_level(logging.WARNING):
        respond = proved_crop(model, "relu", (24, 24))
    assert "icons by whole maps" in caplog.text
    assert respond(tf.zeros((1, 24, 24, 3))).shape[1:3] == (24, 24)


# -- two steps in one -------------------------------------------------------------------


def _called_otherwise(layer: layers.Layer) -> layers.Layer:
    """One of Keras' own, with a call of another kind put into it."""
    plain = layer.call
    layer.call = lambda *args, **kwargs: plain(*args, **kwargs) + 1
    return layer


def _opened(image: keras.KerasTensor, x: keras.KerasTensor) -> list[str]:
    program = flatten(keras.Model(image, x), "test")
    return [step.kind for step in Folding(program)(program.steps, [])]


@pytest.mark.parametrize("turn", [lambda layer: layer, _called_otherwise], ids=["as they are", "otherwise"])
def test_a_norm_is_folded_where_numbers_speak_for_it(turn):
    image = keras.Input((16, 16, 4))
    norm = layers.BatchNormalization()
    x = norm(layers.Conv2D(6, 3, strides=2)(image))
    turn(norm)
    assert ("BatchNormalization" in _opened(image, x)) == (turn is _called_otherwise)


def test_a_padding_is_taken_over_where_numbers_speak_for_it():
    padding, layer = layers.ZeroPadding2D(1), layers.Conv2D(2, 3)
    x = np.ones((1, 5, 6, 2), np.float32)
    layer(padding(x))
    assert Padded(padding, layer).is_same(x.shape)
    other = _called_otherwise(padding)
    both = Padded(other, layer)
    assert not both.is_same(x.shape)
    np.testing.assert_array_equal(both(x), layer(other(x)))


def test_groups_are_taken_one_by_one_where_numbers_speak_for_it():
    plain, other = layers.Conv2D(4, 3, groups=2), layers.Conv2D(4, 3, groups=2)
    for layer in (plain, other):
        layer.build((None, 8, 8, 4))
    convolve = other.convolution_op
    other.convolution_op = lambda x, kernel: convolve(x, kernel) * (2 if x.shape[3] == 4 else 1)
    assert type(by_group(plain)) is not layers.Conv2D and type(by_group(other)) is layers.Conv2D


def test_agreement_by_hand():
    shape = (2, 4, 5, 3)
    assert agree(lambda x: x + x, lambda x: 2 * x, shape, "float32")
    assert not agree(lambda x: 2.01 * x, lambda x: 2 * x, shape, "float32")
    assert not agree(lambda x: x[:1], lambda x: x, shape, "float32"), "another shape"
    assert not agree(lambda x: tf.reshape(x, (7,)), lambda x: x, shape, "float32"), "does not run"
    assert not agree(lambda x: x, lambda x: x / 0, shape, "float32"), "nothing to go by"
    gated = tf.constant([1.0, 1.0, np.nan])
    assert agree(lambda x: x, lambda x: x * gated, shape, "float32"), "nan in the plain way: any number will do"
    assert not agree(lambda x: x * gated, lambda x: x, shape, "float32")
