"""Attributions equal per-class backprop, whichever way they are computed."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.attribution.affine import is_affine
from activation_atlas.stages.vision.attribution.choice import choose
from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.attribution.proof import disagreement
from tests import quick
from tests.stages.vision import small_models as small

CASES = [(name, layer) for name, (_, layers) in small.BUILDERS.items() for layer in layers]
QUICK = [next(case for case in CASES if case[0] == name) for name in ("residual", "linear", "shared")]
AFFINE = {
    ("linear", "relu"),
    ("flat", "conv"),
    ("nested", "backbone/conv_b"),
    ("convolutional", "conv"),
    ("shared", "conv#1"),
    ("grey", "conv"),
}


def _everywhere(info, images=2):
    """Every position of every image."""
    grid = np.indices((images, info.height, info.width)).reshape(3, -1)
    return Positions(*(tf.constant(axis, tf.int32) for axis in grid))


def _attributions(model, layer, way, x):
    mode = ForwardMode(model, layer, way)
    places = _everywhere(mode.info)

    @tf.function(autograph=False)
    def apply(x):
        return mode(model.values(model.to_input(x), mode.slots), places)

    activation, attribution = (t.numpy() for t in apply(tf.constant(x)))
    shape = (len(x), mode.info.height, mode.info.width, -1)
    return activation.reshape(shape), attribution.reshape(shape)


def _backprop(model, layer, x):
    """The slow twin: for each class, activation times gradient, summed over channels."""
    trunk, head = model.trunk(layer), model.head(layer)

    @tf.function(autograph=False)
    def gradients(x):
        tensors = trunk(model.to_input(x))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tensors[0])
            scores = tf.unstack(tf.reduce_sum(head(tensors), 0))
        found = [tape.gradient(score, tensors[0], unconnected_gradients="zero") for score in scores]
        return tensors[0], tf.stack(found, -1)

    activation, gradient = (t.numpy() for t in gradients(tf.constant(x)))
    return np.einsum("nhwc,nhwck->nhwk", activation, gradient)


@pytest.mark.parametrize(("name", "layer"), quick.first(CASES, *QUICK))
def test_equal_to_backprop_per_class(name, layer, tmp_path):
    """Float32 against a float64 twin of the same weights, at every position, the borders included."""
    model, twin = small.opened(name, tmp_path), small.opened(name, tmp_path, "float64")
    x = small.pixels(model.channels, count=2)
    expected = _backprop(twin, layer, x)
    slot = model.slot(layer)
    shapes = [model.shapes[s][1:] for s in (slot, *model.program.frontier(slot))]
    affine = is_affine(model.head(layer), shapes, "float32")
    assert affine == ((name, layer) in AFFINE)
    for way in ["affine", "windows"] if affine else ["windows"]:
        _, found = _attributions(model, layer, way, x)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max(), way
    _, exact = _attributions(twin, layer, "windows", x)
    np.testing.assert_allclose(exact, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_a_bend_far_from_zero_behind_a_mean_of_many_positions_is_no_affine_head():
    """Noise of mean zero would never reach it: its mean over 4,096 positions is as good as 0."""
    weights = tf.constant(np.random.default_rng(1).normal(size=(8, 3)), "float32")
    head = lambda tensors: tf.nn.relu(tf.reduce_mean(tensors[0], (1, 2)) @ weights + 20)  # noqa: E731
    assert not is_affine(head, [(64, 64, 8)], "float32")
    assert is_affine(lambda tensors: tf.reduce_mean(tensors[0], (1, 2)) @ weights + 20, [(64, 64, 8)], "float32")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layer"), [("deep", "mid"), ("residual", "branch"), ("nested", "backbone/conv_b")])
def test_the_accumulator_and_the_choice(name, layer, tmp_path):
    model = small.opened(name, tmp_path)
    x = small.pixels(count=2)
    expected = _backprop(model, layer, x)
    _, found = _attributions(model, layer, "accumulator", x)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert choose(model, layer) == ("affine" if (name, layer) in AFFINE else "windows")


@pytest.mark.parametrize(("name", "layer"), [("linear", "relu"), ("flat", "conv"), ("nested", "backbone/conv_b")])
def test_complete_where_the_logits_are_linear(name, layer, tmp_path):
    """Attributions summed over all positions, plus the bias, are the logits."""
    model = small.opened(name, tmp_path)
    x = small.pixels(count=2)
    _, found = _attributions(model, layer, "affine", x)
    logits = model.forward()(model.to_input(x))[1]
    tensors = model.trunk(layer)(model.to_input(x))
    bias = model.head(layer)([tf.zeros_like(tensors[0]), *tensors[1:]])
    total = found.sum((1, 2), dtype="float64") + bias
    assert np.abs(total - logits).max() <= 1e-6 * np.abs(logits).max()


@pytest.mark.parametrize("way", ["windows", "accumulator"])
def test_a_position_does_not_depend_on_its_companions(way, tmp_path):
    """Alone, among others or in another order: the same bytes."""
    model = small.opened("deep", tmp_path)
    mode = ForwardMode(model, "mid", way)
    values = model.values(model.to_input(small.pixels()), mode.slots)
    apply = tf.function(lambda i, r, c: mode(values, Positions(i, r, c))[1], autograph=False)
    at = np.array([[0, 1, 2], [1, 7, 0], [2, 3, 3], [0, 0, 7], [2, 3, 4]], "int32")
    together = apply(*tf.constant(at.T)).numpy()
    reversed_ = apply(*tf.constant(at[::-1].T)).numpy()[::-1]
    alone = np.concatenate([apply(*tf.constant(np.repeat(row[:, None], 5, 1))).numpy()[:1] for row in at])
    assert together.tobytes() == np.ascontiguousarray(reversed_).tobytes() == alone.tobytes()


@pytest.mark.slow
def test_a_rule_that_is_wrong_is_found_out(monkeypatch, tmp_path, caplog):
    from activation_atlas.stages.vision.attribution import tangents

    monkeypatch.setitem(tangents.RULES, "MaxPooling2D", lambda step, changed, push: None)
    model = small.opened("deep", tmp_path)
    assert choose(model, "mid") == "windows", "what no rule covers is differentiated by TensorFlow"
    monkeypatch.setitem(tangents.RULES, "BatchNormalization", lambda step, changed, push: changed[0])
    assert choose(model, "tap") == "accumulator"
    assert "layer tap: attributions by the accumulator (windows off by" in caplog.text


@pytest.mark.parametrize("dtype", quick.first(["mixed_float16", "mixed_bfloat16"]))
def test_half_precision_models(dtype, tmp_path):
    model, twin = small.opened("nested", tmp_path, dtype), small.opened("nested", tmp_path, "float64")
    expected = _backprop(twin, "backbone/conv_a", small.pixels(count=2))
    _, found = _attributions(model, "backbone/conv_a", choose(model, "backbone/conv_a"), small.pixels(count=2))
    assert np.abs(found - expected).max() < 0.15 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [
        ("InceptionV3", 128, "mixed7"),
        ("MobileNetV3Small", 96, "activation_10"),
        ("ResNet50", 64, "conv4_block6_out"),
        ("EfficientNetB0", 64, "block6a_expand_activation"),
        ("DenseNet121", 64, "pool4_relu"),
        ("ConvNeXtTiny", 64, "convnext_tiny_stage_2_block_8_identity"),
        ("Xception", 96, "block13_sepconv2_act"),
        ("NASNetMobile", 64, "normal_concat_11"),
        ("VGG16", 64, "block4_conv3"),
    ],
)
def test_applications(name, size, layer):
    """Every rule, and what no rule covers, on the real graphs (random weights)."""
    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.vision.model import open_model

    spec = ModelSpec(application=name, weights=None, input_size=size) if name != "VGG16" else None
    model = open_model(spec or ModelSpec(application=name, weights=None))
    assert disagreement(model, layer if layer in model.program.names else model.layers()[-8].name, "windows") < 1e-4
