"""Guided backprop and deconvnet: every form of a ReLU, by a chain on paper; guided Grad-CAM is a product."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.guided import activations, deconv, guided, under_rule
from activation_atlas.stages.vision.model import Model
from tests import quick
from tests.stages.vision import small_models as small
from tests.stages.vision.laid import laid
from tests.stages.vision.methods.five import opened
from tests.stages.vision.methods.quadratic import maps_of, photographs, ready

FORMS: dict[str, Callable] = {
    "layer": lambda x: layers.ReLU()(before(x)),
    "layer_6": lambda x: layers.ReLU(6.0)(before(x)),
    "activation_layer": lambda x: layers.Activation("relu")(before(x)),
    "activation_layer_6": lambda x: layers.Activation("relu6")(before(x)),
    "function": lambda x: keras.activations.relu(before(x)),
    "function_6": lambda x: keras.activations.relu(before(x), max_value=6),
    "operation": lambda x: ops.relu(before(x)),
    "operation_6": lambda x: ops.relu6(before(x)),
    "of_conv": lambda x: layers.Conv2D(4, 1, activation="relu", name="signs")(x),
    "of_conv_6": lambda x: layers.Conv2D(4, 1, activation="relu6", name="signs")(x),
    "of_padded_conv": lambda x: layers.Conv2D(4, 1, activation="relu", name="signs")(layers.ZeroPadding2D(0)(x)),
    "of_unevenly_padded_conv_6": lambda x: layers.Conv2D(4, 1, strides=2, activation="relu6", name="signs")(
        layers.ZeroPadding2D(((0, 1), (0, 0)))(x)
    ),
    "layer_of_conv": lambda x: layers.Conv2D(4, 1, activation=layers.ReLU(), name="signs")(x),
    "layer_of_conv_6": lambda x: layers.Conv2D(4, 1, activation=layers.ReLU(6.0), name="signs")(x),
    "of_dense": lambda x: layers.Dense(4, activation="relu", name="signs")(x),
    "of_depthwise": lambda x: layers.DepthwiseConv2D(1, depth_multiplier=4, activation="relu", name="signs")(x),
    "of_separable": lambda x: layers.SeparableConv2D(4, 1, activation="relu", name="signs")(x),
    "nested": lambda x: keras.Sequential([keras.Input((1, 1, 1)), layers.Conv2D(4, 1, name="signs"), layers.ReLU()])(x),
}


def before(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Conv2D(4, 1, name="signs")(x)


def chain(form: str) -> keras.Model:
    """Logits of one value x: +- (1 r(x) - 2 r(x) + 4 r(-x) - 8 r(-x)), r the ReLU in one of its forms."""
    image = keras.Input((1, 1, 1))
    x = FORMS[form](image)
    model = keras.Model(image, layers.Dense(2, use_bias=False, name="sum")(layers.Flatten()(x)))
    inside = [layer for outer in model.layers for layer in (outer, *getattr(outer, "layers", ()))]
    (signs,) = [layer for layer in inside if layer.name == "signs"]
    signs_of = np.array([1.0, 1.0, -1.0, -1.0])
    weights = [
        w.reshape(s.shape)
        for w, s in zip(([np.ones(1)] if form == "of_separable" else []) + [signs_of], signs.weights[:-1], strict=True)
    ]
    signs.set_weights([*weights, np.zeros(4)])
    sums = np.array([1.0, -2.0, 4.0, -8.0])
    model.get_layer("sum").set_weights([np.stack([sums, -sums], 1)])
    return model


@pytest.mark.parametrize("form", quick.first(FORMS))
def test_each_form_of_a_relu_on_paper(form, tmp_path):
    """At x = 3 the first two channels are on, the other two off.

    Logit 0: the gradient is 1 - 2; guided keeps what is on and positive, 1; deconvnet what is positive, 1 - 4. Logit
    1, all signs turned: 2 - 1; 2; 2 - 8. At x = 8 a ReLU of at most 6 has no gradient of its own, so that guided
    backprop has none either, and deconvnet, which looks at the gradient alone, the same as before.
    """
    model = opened(chain(form), tmp_path)
    pixels = np.array([3, 8], np.uint8).reshape(2, 1, 1, 1)
    own = [0, 0] if form.endswith("6") else [1, 1]
    guided_own = [0, 0] if form.endswith("6") else [1, 2]
    expected = {"saliency": [[1, 1], own], "guided_backprop": [[1, 2], guided_own], "deconvnet": [[3, 6], [3, 6]]}
    for name, values in expected.items():
        found = maps_of(ready(name, model), pixels)
        np.testing.assert_allclose(found.values[..., 0, 0], values, atol=1e-6, err_msg=name)
        top = 6 if form.endswith("6") else 8
        np.testing.assert_allclose(found.scores, [[-3, 3], [-top, top]], atol=1e-5)


def test_two_relus_in_a_row_on_paper(tmp_path):
    """a = r(x), b = r(-a + 5), logit b - a: at x = 3 its gradient is -1 - 1.

    Guided: b passes 1, times -1 to a, plus -1: -2, which a does not pass: 0. So deconvnet. Of the logit a - b: b gets
    -1 and passes none, a gets 1 and passes it.
    """
    image = keras.Input((1, 1, 1))
    a = layers.ReLU()(image)
    b = layers.Conv2D(1, 1, activation="relu", name="turn")(a)
    x = layers.Flatten()(layers.Concatenate()([a, b]))
    net = keras.Model(image, layers.Dense(2, use_bias=False, name="sum")(x))
    net.get_layer("turn").set_weights([-np.ones((1, 1, 1, 1)), np.full(1, 5.0)])
    net.get_layer("sum").set_weights([np.array([[-1.0, 1.0], [1.0, -1.0]])])
    model, pixels = opened(net, tmp_path), np.full((1, 1, 1, 1), 3, np.uint8)
    for name, values in {"saliency": [2, 2], "guided_backprop": [0, 1], "deconvnet": [0, 1]}.items():
        np.testing.assert_array_equal(maps_of(ready(name, model), pixels).values[0, :, 0, 0], values)


def springenberg(model: Model, name: str, x: np.ndarray, target: int) -> np.ndarray:
    """Figure 1 of the paper, for `linear`: convolution, ReLU, mean over positions, Dense."""
    convolution, dense = (step.operation for step in model.program.steps if hasattr(step.operation, "kernel"))
    before_relu = convolution(x[None])
    passed = dense.kernel[:, target].numpy() / np.prod(before_relu.shape[1:3])
    passed = np.broadcast_to(np.maximum(passed, 0), before_relu.shape)
    passed = passed * (before_relu.numpy() > 0) if name == "guided_backprop" else passed
    return tf.nn.conv2d_transpose(passed.astype("float32"), convolution.kernel, (1, *x.shape), 2, "SAME").numpy()[0]


@pytest.mark.parametrize("name", ["guided_backprop", "deconvnet"])
def test_a_convolution_passes_on_what_the_rule_left(name, tmp_path):
    model = small.opened("linear", tmp_path)
    pixels = photographs(model)
    found = maps_of(ready(name, model), pixels)
    for row in range(len(pixels)):
        for target in (0, 1):
            expected = np.abs(springenberg(model, name, model.to_input(pixels).numpy()[row], target)).max(-1)
            np.testing.assert_allclose(found.values[row, target], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("rule", [guided, deconv])
@pytest.mark.parametrize("name", ["deep", "residual", "nested", "sequential", "convolutional", "shared"])
def test_values_forward_are_the_models_own(name, rule, tmp_path):
    model = small.opened(name, tmp_path)
    x = model.to_input(photographs(model))
    changed = under_rule(model, rule)
    np.testing.assert_allclose(changed.forward()(x)[1], model.forward()(x)[1], rtol=1e-6)
    count = sum(a is not b for a, b in zip(model.program.steps, changed.program.steps, strict=True))
    relus = {"deep": 2, "residual": 3, "nested": 2, "sequential": 1, "convolutional": 1, "shared": 2}
    assert count == relus[name]


def test_a_leaky_relu_is_left_alone_and_a_model_without_relus_refused(tmp_path):
    image = keras.Input((4, 4, 1))
    x = layers.LeakyReLU()(layers.Conv2D(2, 1, activation="tanh")(image))
    x = ops.gelu(layers.ReLU(negative_slope=0.1)(x))
    model = opened(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))), tmp_path)
    assert activations(model.program) == ["tanh", "LeakyReLU", "Gelu"]  # one with a slope is leaky, whatever its name
    for name in ("guided_backprop", "deconvnet", "guided_grad_cam"):
        with pytest.raises(UserError, match=f"{name}: .* has none \\(its activations: tanh, LeakyReLU"):
            ready(name, model)


@pytest.mark.slow
def test_the_models_own_gradient_stays_what_it_was(tmp_path):
    model = small.opened("residual", tmp_path)
    pixels = photographs(model)
    earlier = maps_of(ready("saliency", model), pixels).values
    assert not np.allclose(maps_of(ready("guided_backprop", model), pixels).values, earlier)
    np.testing.assert_array_equal(maps_of(ready("saliency", model), pixels).values, earlier)


@pytest.mark.parametrize("layer", [None, "backbone/relu_a"])
def test_guided_grad_cam_is_guided_backprop_times_grad_cam(layer, tmp_path):
    model = small.opened("nested", tmp_path)
    pixels = photographs(model)
    found, fine, coarse = (
        maps_of(ready(name, model, **options), pixels).values
        for name, options in (
            ("guided_grad_cam", {"layer": layer}),
            ("guided_backprop", {}),
            ("grad_cam", {"layer": layer}),
        )
    )
    place = model.placed(layer or "backbone/conv_b").place
    large = np.array([[laid(values, place, (16, 16)) for values in maps] for maps in coarse])
    np.testing.assert_allclose(found, fine * np.nan_to_num(large), rtol=1e-4, atol=1e-6 * found.max())
    assert found.any() and found.shape == fine.shape
