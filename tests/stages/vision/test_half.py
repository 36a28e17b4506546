"""float16 gradients that would vanish are those of a float32 twin; what does not need it is left alone."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.choice import choose
from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.attribution.methods import METHODS, Setting
from activation_atlas.stages.vision.featurevis.receptive_crop import receptive_crop
from activation_atlas.stages.vision.model.classifier import Model
from activation_atlas.stages.vision.model.half import ScaledStep, powers
from activation_atlas.stages.vision.model.loading import Loaded
from activation_atlas.stages.vision.model.program import call, run
from tests.stages.vision import small_models as small

SIZE = 16
METHODS_OF_GRADIENTS = {
    "saliency": {},
    "gradient_x_input": {},
    "smooth_grad": {"samples": 2},
    "integrated_gradients": {"steps": 3},
    "expected_gradients": {"samples": 2, "background": 2},
    "guided_backprop": {},
    "deconvnet": {},
    "guided_grad_cam": {"layer": "maps"},
    "grad_cam": {"layer": "maps"},
    "grad_cam_plus_plus": {"layer": "maps"},
    "layer_cam": {"layer": "maps"},
}


def faint() -> keras.Model:
    """Pixels in [0, 255] and small weights: gradients at the image are under 1e-9, those of `maps` under 1e-6.

    Its only bend is one ReLU that all values are far above, so that rounding changes no state.
    """
    x = image = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255, name="range")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="tanh", name="first")(x)
    x = start = layers.ReLU(name="bend")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(6, 3, padding="same", activation="silu", name="maps")(x)
    x = layers.AveragePooling2D(2)(layers.Add()([x, start]))
    gate = layers.Dense(6, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))
    return keras.Model(image, layers.Dense(3, name="logits")(x))


@cache
def opened(dtype: str) -> Model:
    model = small.build(faint, dtype)
    for name, factor in (("first", 1e-2), ("maps", 0.3), ("gate", 0.1), ("logits", 1e-3)):
        kernel = model.get_layer(name).kernel
        kernel.assign(kernel * factor)
    model.get_layer("norm").beta.assign(np.full(6, 3.0))
    return Model(Loaded("faint", model, lambda x: x), ModelSpec(path="faint", output="logits"))


def _pixels(count: int = 3, seed: int = 4) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)


def _maps(model: Model, name: str, pixels: np.ndarray) -> np.ndarray:
    options = METHODS[name].options(name=name, **METHODS_OF_GRADIENTS[name])
    configured = METHODS[name].configure(model, options, lambda n: pixels[:n])
    explain = METHODS[name].build(Setting(model, options, configured, 3, 2, 0, _pixels(2, seed=5)))
    targets = np.tile(np.array([[0, 2]], np.int32), (len(pixels), 1))
    return explain(pixels, targets, [f"{k:016x}" for k in range(len(pixels))]).values


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS_OF_GRADIENTS)
def test_maps_are_those_of_the_float32_twin(name):
    found, expected = (_maps(opened(dtype), name, _pixels()) for dtype in ("mixed_float16", "float32"))
    assert expected.any((2, 3)).all()
    for one, other in zip(found.reshape(6, -1), expected.reshape(6, -1), strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.999
        assert np.abs(one - other).max() < 0.02 * np.abs(other).max()
    alone = _maps(opened("mixed_float16"), name, _pixels()[:1])
    np.testing.assert_array_equal(alone, found[:1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "layer"), [("windows", "maps"), ("windows", "first"), ("accumulator", "maps"), ("backprop", "first")]
)
def test_attributions_are_those_of_the_float32_twin(way, layer):
    at = Positions(*(tf.constant(x, tf.int32) for x in ([0, 1, 2, 2], [0, 8, 15, 3], [0, 5, 15, 9])))
    found = []
    for dtype in ("mixed_float16", "float32"):
        model, mode = opened(dtype), ForwardMode(opened(dtype), layer, way)
        apply = tf.function(lambda x, model=model, mode=mode: mode(model.values(model.to_input(x), mode.slots), at)[1])
        found.append(apply(tf.constant(_pixels())).numpy())
    assert 0 < np.abs(found[1]).max() < 1e-5
    assert np.abs(found[0] - found[1]).max() < 0.02 * np.abs(found[1]).max()
    assert choose(opened("mixed_float16"), layer) == "windows"


def test_icons_climb_as_those_of_the_float32_twin():
    slopes = []
    for dtype in ("mixed_float16", "float32"):
        respond = receptive_crop(opened(dtype), "maps", (SIZE, SIZE))
        x = tf.constant(_pixels(2) / np.float32(255))
        with tf.GradientTape() as tape:
            tape.watch(x)
            answer = tf.reduce_sum(respond(opened(dtype).from_unit(x)) * 1e-4)
        slopes.append(tape.gradient(answer, x).numpy())
    assert np.abs(slopes[0] - slopes[1]).max() < 0.02 * np.abs(slopes[1]).max()


def test_the_forward_pass_is_as_it_was():
    model, plain = opened("mixed_float16"), opened("float32")
    steps = model.program.before([model.program.output])
    x = model.to_input(_pixels())
    raw = run(steps, {model.program.input: x})
    slots = [slot for slot in raw if raw[slot].dtype.is_floating]
    for slot, value in zip(slots, model.values(x, slots), strict=True):
        np.testing.assert_array_equal(value, tf.cast(raw[slot], tf.float32))
    assert any(isinstance(step, ScaledStep) for step in model.simplify(steps, slots))
    assert not any(isinstance(step, ScaledStep) for step in plain.simplify(steps, slots))


def _slope(function, x: tf.Tensor, arriving: tf.Tensor) -> np.ndarray:
    step = ScaledStep(**vars(call("step", function, [0], 1)), native={0: "float16", 1: "float16"})
    values = {0: x}
    with tf.GradientTape() as tape:
        tape.watch(x)
        step(values)
    return tape.gradient(values[1], x, output_gradients=arriving).numpy()


def test_a_sum_that_overflows_is_taken_lower_for_its_image_alone():
    """d/dx of a sum of 512 products with 300: 153,600, past 65,504, where what arrives is 1; the other image has 1s."""
    x = tf.constant([[1.0], [1.0]])
    factor = tf.constant([[300.0] * 512, [1.0] * 512], tf.float16)
    function = lambda x: tf.broadcast_to(x, (2, 512)) * factor  # noqa: E731
    small_ones = tf.fill((2, 512), 1e-9)
    np.testing.assert_allclose(_slope(function, x, small_ones), [[1.536e-4], [5.12e-7]], rtol=5e-3)
    np.testing.assert_array_equal(_slope(function, x, tf.zeros((2, 512))), [[0], [0]])


def test_rows_that_are_no_images_have_one_scale():
    function = lambda x: tf.reshape(x, (-1, 2))  # noqa: E731
    arriving = np.array([[1e-9, 2e-9], [3e-9, 4e-9], [1e-9, 0], [5e-9, 6e-9]], np.float32)
    found = _slope(function, tf.ones((2, 4)), tf.constant(arriving))
    np.testing.assert_allclose(found, arriving.reshape(2, 4), rtol=1e-3)


def test_powers_of_two_are_exact():
    rows = tf.constant([[0.75, -3.9], [1e-30, 0], [0, 0], [np.inf, 1], [4, 2], [np.nan, 2]], tf.float32)
    np.testing.assert_array_equal(powers([rows], by_row=True), [2, 2.0**-100, 1, 1, 4, 1])
    assert powers([tf.constant([0.3]), tf.constant([[7.0]])], by_row=False) == 4
