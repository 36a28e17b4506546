"""Whatever lies between a layer and the logits, attributions equal per-class backprop or are refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution import proof
from activation_atlas.stages.vision.attribution.affine import is_affine
from activation_atlas.stages.vision.attribution.choice import choose
from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.attribution.methods.input_gradient import Source, gradients
from activation_atlas.stages.vision.attribution.sampler import Sampler
from activation_atlas.stages.vision.attribution.tangents import RULES
from activation_atlas.stages.vision.model import freeze, freezing
from activation_atlas.stages.vision.model.classifier import Model
from activation_atlas.stages.vision.model.loading import Loaded
from tests import quick
from tests.stages.vision import small_models as small
from tests.stages.vision.heads import CLASSES, HEADS, REFUSED, SIZE, UNCHECKED, network

QUICK = ["upsampling bilinear", "resize bicubic", "one position", "sign"]
"""Of each kind one; all others take a minute, and are tried by the slow tests."""
KINDS = quick.first(HEADS, *QUICK, *REFUSED)


def opened(name: str, dtype: str = "float32") -> Model:
    keras_model = small.build(network(name), dtype)
    return Model(Loaded(name, keras_model, lambda x: x), ModelSpec(path=name, output="logits"))


def everywhere(model: Model, way: str, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Attributions of every position by a way and by backprop of one class after another, (n, h, w, K) both."""
    mode = ForwardMode(model, "seen", way)
    at = Positions(*(tf.constant(x, tf.int32) for x in np.indices((len(pixels), SIZE, SIZE)).reshape(3, -1)))

    @tf.function(autograph=False)
    def both(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = model.to_input(pixels)
        tensors = model.trunk("seen")(x)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tensors[0])
            scores = tf.unstack(tf.reduce_sum(model.head("seen")(tensors), 0))
        slopes = [tape.gradient(score, tensors[0], unconnected_gradients="zero") for score in scores]
        expected = tf.stack([tf.reduce_sum(tensors[0] * slope, -1) for slope in slopes], -1)
        return mode(model.values(x, mode.slots), at)[1], expected

    found, expected = (x.numpy() for x in both(tf.constant(pixels)))
    return found.reshape(expected.shape), expected


@pytest.mark.parametrize("name", KINDS)
def test_equal_to_backprop_or_refused(name, caplog):
    model = opened(name)
    if name in REFUSED:
        with pytest.raises(
            UserError, match=rf"no gradient .* layer seen, because {REFUSED[name]}\w* .*attribution: none"
        ):
            choose(model, "seen")
        return
    way = choose(model, "seen")
    found, expected = everywhere(model, way, small.pixels(count=2, size=SIZE))
    if name in UNCHECKED:
        assert way == "backprop"
        assert "cannot be checked: no gradient on noise is finite" in caplog.text
        np.testing.assert_array_equal(found, expected)
        return
    # Where channels cancel (a norm that undoes any scale) the sum is its rounding: 1e-6 of its parts.
    assert np.abs(found - expected).max() <= max(1e-4 * np.abs(expected).max(), 1e-7)
    assert (way == "backprop") == ("attributions by backprop" in caplog.text)
    assert ("may all be 0" in caplog.text) == (name == "sign")


@pytest.mark.slow
def test_what_has_no_rule_goes_another_road_and_says_what_it_costs(monkeypatch, caplog):
    """As if a resize were unknown: forward mode gives zero by both its ways, or fails."""
    for kind in ("UpSampling2D", "Resize"):
        monkeypatch.delitem(RULES, kind)
    model = opened("upsampling bilinear")
    assert choose(model, "seen", 10) == "backprop"
    assert "(windows off by 1.0e+00, accumulator off by 1.0e+00); for an image" in caplog.text
    found, expected = everywhere(model, "backprop", small.pixels(count=2, size=SIZE))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    caplog.clear()
    assert choose(opened("resize bicubic"), "seen", 10) == "backprop"
    assert "windows cannot be computed (gradient registry has no entry for: ResizeBicubicGrad)" in caplog.text


@pytest.mark.slow
def test_a_loop_is_followed_backwards_twice_where_classes_are_many(caplog):
    model = opened("lstm")
    assert choose(model, "seen", positions=100) == "backprop"
    assert "windows in two reverse passes for each position, through lstm" in caplog.text
    caplog.clear()
    assert choose(model, "seen", positions=1) == "windows"
    assert "attributions by windows (in two reverse passes for each position, through lstm" in caplog.text
    found, expected = everywhere(model, "windows", small.pixels(count=1, size=SIZE))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_chosen_classes_alone_are_gone_back_for():
    model = opened("upsampling bilinear")
    x = model.to_input(small.pixels(count=2, size=SIZE))
    places = Positions(*(tf.constant(x, tf.int32) for x in ([1, 0, 1, 1], [0, 3, 7, 2], [7, 3, 0, 5])))

    def found(way: str, classes: list[int] | None = None) -> np.ndarray:
        mode = ForwardMode(model, "seen", way, classes)
        return mode(model.values(x, mode.slots), places)[1].numpy()

    every = found("windows")
    for classes in ([2], [2, 0], list(range(CLASSES))):
        np.testing.assert_allclose(found("backprop", classes), every[:, classes], atol=1e-5 * np.abs(every).max())
        np.testing.assert_array_equal(found("windows", classes), every[:, classes])


def test_a_way_that_is_not_finite_or_fails_is_told(monkeypatch):
    model = opened("pooling")
    trial = proof.Trial(model, "seen")
    assert trial.gap("windows") < 1e-5
    plain = ForwardMode.__call__
    monkeypatch.setattr(ForwardMode, "__call__", lambda *given: (None, plain(*given)[1] * np.nan))
    assert trial.gap("windows") == np.inf
    assert trial.against("windows") == "off by inf"

    def broken(*given):
        raise ValueError("what it says\nand more")

    monkeypatch.setattr(ForwardMode, "__call__", broken)
    assert trial.against("accumulator") == "cannot be computed (what it says)"


def test_a_bend_that_no_draw_reaches_is_no_affine_head():
    model = opened("a bend far away")
    assert not is_affine(model.head("seen"), [model.shapes[model.slot("seen")][1:]], "float32")
    assert choose(model, "seen") == "windows"
    model = opened("bilinear alone")
    assert choose(model, "seen") == "affine", "the gradient of a resize reads its input's shape alone"


@pytest.mark.parametrize(
    "name", ["where", "groups", *(pytest.param(name, marks=pytest.mark.slow) for name in ("take along", "lstm"))]
)
def test_what_is_chosen_runs_frozen_with_what_a_pass_holds(name):
    """Truth values and indices among what the head reads; loops and grouped convolutions in graphs that are kept."""
    model = opened(name)
    way = choose(model, "seen", positions=64)
    sampler = Sampler(model, {"seen": way}, [], 2, 64, [2, 0], "float32")
    pixels = small.pixels(count=2, size=SIZE).astype(np.uint8)
    at = [x.astype(np.int32) for x in np.indices((2, SIZE, SIZE)).reshape(3, -1)]
    found = sampler.samples(sampler.forward(pixels), "seen", *at).attribution.reshape(2, SIZE, SIZE, 2)
    _, expected = everywhere(model, way, pixels.astype(np.float32))
    np.testing.assert_allclose(found, expected[..., [2, 0]], atol=1e-5 * np.abs(expected).max())


def test_gradients_pass_grouped_convolutions(caplog):
    model = opened("groups")
    apply = freeze(lambda x: gradients(Source(model), [x], tf.constant([[0, 2]]))[1], tf.TensorSpec((1, SIZE, SIZE, 3)))
    x = small.pixels(count=1, size=SIZE)
    found = apply(tf.constant(x)).numpy()[0]
    assert not caplog.text
    step = np.zeros_like(x)
    step[0, 3, 4, 1] = 4.0
    high, low = (model.forward()(tf.constant(x + sign * step))[1].numpy()[0] for sign in (1, -1))
    np.testing.assert_allclose(found[:, 3, 4, 1], (high - low)[[0, 2]] / 8, rtol=0.05)


def test_a_frozen_graph_that_does_not_run_runs_unfrozen(monkeypatch, caplog):
    def lost(*tensors):
        raise tf.errors.InvalidArgumentError(None, None, "Failed to find function\nand more")

    monkeypatch.setattr(freezing, "with_constants", lambda traced, given: lost)
    apply = freeze(lambda x: 2 * x, tf.TensorSpec((2,)))
    for _ in range(2):
        np.testing.assert_array_equal(apply(tf.constant([1.0, 2.0])), [2, 4])
    assert caplog.text.count("runs unfrozen (Failed to find function)") == 1
