"""What removing or inserting positions does to every class equals the head run twice, whatever lies between."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.blocks import Block, Insertion, Removal, mode_of
from activation_atlas.stages.vision.attribution.blocks.proof import BlockTrial
from activation_atlas.stages.vision.attribution.choice import choose
from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.attribution.sampler import Sampler
from activation_atlas.stages.vision.attribution.tangents import FINITE
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.loading import Loaded
from tests import quick
from tests.stages.vision import small_models as small
from tests.stages.vision.heads import SIZE, network

CASES = [
    *(("residual", "start"), ("deep", "tap"), ("deep", "mid"), ("nested", "backbone/conv_a"), ("flat", "conv")),
    *(("sigmoid", "conv"), ("convolutional", "conv"), ("shared", "conv#0")),
]
HEADED = [
    *("argmax", "largest of few", "pooling", "upsampling bilinear", "resizing, padded", "center crop, enlarged"),
    *("take along", "groups", "strided, not square", "transposed convolution", "layer norm", "largest", "attention"),
    *("einsum dense", "top k", "lstm", "prelu", "silu, glu", "where", "absolute, floor", "straight through", "sign"),
    *("resize area", "stopped", "root of zero"),
]
"""What differs in how a change passes; the rest of the zoo differs in its slopes."""
HALVES = {"mixed_float16": 0.01, "mixed_bfloat16": 0.05}


@cache
def headed(name: str) -> Model:
    model = small.build(network(name))
    return Model(Loaded(name, model, lambda x: x), ModelSpec(path=name, output="logits"))


def rerun(model: Model, layer: str, x: np.ndarray, what: Block) -> np.ndarray:
    """The slow twin: the head with the map as it is, and once more for each position, (n, h, w, K)."""
    head = tf.function(model.head(layer), autograph=False)
    trunk = tf.function(lambda x: model.trunk(layer)(model.to_input(x)), autograph=False)
    maps = trunk(tf.constant(x))[0].numpy()
    puts, reach = isinstance(what, Insertion), what.window // 2
    begun, *rest = trunk(tf.fill(x.shape, tf.constant(127.5))) if puts else trunk(tf.constant(x))
    plain = head([begun, *rest]).numpy()
    found = np.zeros((*maps.shape[:3], plain.shape[1]))
    for row, col in np.ndindex(maps.shape[1:3]):
        changed = begun.numpy()
        block = (slice(None), slice(max(0, row - reach), row + reach + 1), slice(max(0, col - reach), col + reach + 1))
        changed[block] = maps[block] if puts else maps.mean((1, 2), keepdims=True) if what.fill == "mean" else 0
        effect = head([tf.constant(changed), *rest]).numpy() - plain
        found[:, row, col] = effect if puts else -effect
    return found


def everywhere(mode: ForwardMode, x: np.ndarray) -> np.ndarray:
    info = mode.info
    grid = np.indices((len(x), info.height, info.width)).reshape(3, -1)
    places = Positions(*(tf.constant(axis, tf.int32) for axis in grid))
    model = mode.model
    apply = tf.function(lambda x: mode(model.values(model.to_input(x), mode.slots), places)[1], autograph=False)
    return apply(tf.constant(x)).numpy().reshape(len(x), info.height, info.width, -1)


@pytest.mark.parametrize("block", quick.first([Insertion(3), Removal(3, "mean")]), ids=str)
@pytest.mark.parametrize(("name", "layer"), quick.first(CASES, ("flat", "conv")))
def test_equal_to_the_head_run_twice(name, layer, block, tmp_path):
    """Float32 against a float64 twin of the same weights, at every position, the borders included."""
    model, twin = small.opened(name, tmp_path), small.opened(name, tmp_path, "float64")
    x = small.pixels(model.channels, count=2)
    expected = rerun(twin, layer, x, block)
    way = choose(model, layer, block=block)
    assert way in ("affine", "windows")
    found = everywhere(mode_of(model, layer, way, None, block), x)
    logits = np.abs(model.forward()(model.to_input(x))[1]).max()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max() + 1e-6 * logits


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [*(Removal(w, f) for w in (1, 3, 5) for f in ("zero", "mean")), *map(Insertion, (1, 3, 5))], ids=str
)
def test_every_window_and_reference_by_every_way(block, tmp_path):
    x = small.pixels(count=2)
    for name, layer, ways in (("residual", "branch", ["windows", "whole"]), ("flat", "conv", ["affine", "windows"])):
        twin = small.opened(name, tmp_path, "float64")
        expected = rerun(twin, layer, x, block)
        for way in ways:
            exact = everywhere(mode_of(twin, layer, way, None, block), x)
            np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-12 * np.abs(expected).max(), err_msg=way)


@pytest.mark.parametrize(("name", "layer"), quick.first([("flat", "conv"), ("linear", "relu")]))
def test_where_the_logits_are_linear_a_removal_is_the_attribution(name, layer, tmp_path):
    model, x = small.opened(name, tmp_path), small.pixels(count=2)
    assert choose(model, layer, block=Removal(1)) == "affine"
    found = everywhere(mode_of(model, layer, "affine", None, Removal(1)), x)
    np.testing.assert_array_equal(found, everywhere(ForwardMode(model, layer, "affine"), x))
    rows, cols = found.shape[1:3]
    padded = np.pad(found.astype("float64"), ((0, 0), (1, 1), (1, 1), (0, 0)))
    block = sum(padded[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3))
    three = everywhere(mode_of(model, layer, "affine", None, Removal(3)), x)
    np.testing.assert_allclose(three, block, atol=1e-6 * np.abs(block).max())


@pytest.mark.parametrize("block", quick.first([Insertion(3), Removal(3, "mean")]), ids=str)
@pytest.mark.parametrize("name", quick.first(HEADED))
def test_whatever_the_head_does(name, block, caplog):
    """Also where there is no gradient, and where what changes is an index."""
    model, x = headed(name), small.pixels(count=2, size=SIZE)
    way = choose(model, "seen", 10, None, block)
    assert way in ("windows", "whole")
    assert "attributions by" not in caplog.text
    refused = (name, block) == ("attention", Insertion(3))  # so little happens on a plain map that rounding decides
    assert way == "whole" or not refused
    assert ("may all be 0" in caplog.text) == (name == "root of zero")
    expected = rerun(model, "seen", x, block)
    found = everywhere(mode_of(model, "seen", way if refused else "windows", None, block), x)
    logits = np.abs(model.forward()(tf.constant(x))[1]).max()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max() + 1e-6 * logits


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["swish", "relu"])
def test_a_model_without_numbers_for_a_grey_image_is_refused(activation):
    """Also where a ReLU makes 0 of them: nothing would be seen of it."""

    def build() -> keras.Model:
        image = keras.Input((SIZE, SIZE, 3))
        low, high = (f(image, axis=(1, 2, 3), keepdims=True) for f in (ops.min, ops.max))
        x = keras.layers.Conv2D(4, 3, activation=activation, name="seen")((image - low) / (high - low))
        return keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))

    model = Model(Loaded("own", small.build(build), lambda x: x), ModelSpec(path="own", output="logits"))
    with pytest.raises(UserError, match="gives NaN or infinite values for a plain grey image, .* set extract.by: remo"):
        choose(model, "seen", 10, None, Insertion())
    assert choose(model, "seen", 10, None, Removal(3)) in ("windows", "whole", "affine")


@pytest.mark.slow
def test_what_cannot_be_checked_is_the_head_run_twice(caplog):
    assert choose(headed("not a number"), "seen", 10, None, Removal()) == "whole"
    assert "by the head once for each position (windows cannot be checked: no logit on noise is finite)" in caplog.text


@pytest.mark.slow
def test_a_rule_that_is_wrong_is_found_out(monkeypatch, caplog, tmp_path):
    model = small.opened("deep", tmp_path)
    assert choose(model, "tap", block=Removal(3)) == "windows"
    monkeypatch.setitem(FINITE, "AveragePooling2D", lambda step, changed, push: None)
    trial = BlockTrial(model, "tap", Removal(3))
    assert trial.against("windows") is None, "what no rule covers is computed as it is"
    monkeypatch.setitem(FINITE, "BatchNormalization", lambda step, changed, push: changed[0])
    assert choose(model, "tap", block=Removal(3)) == "whole"
    assert "layer tap: attributions by the head once for each position (windows off by" in caplog.text


@pytest.mark.slow
def test_where_a_window_soon_holds_the_map_the_head_is_run_as_it_is(caplog):
    assert choose(headed("norm over everything"), "seen", block=Removal()) == "whole"
    assert not caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_models(dtype, tmp_path):
    """Changes keep what the difference of two runs loses in rounding."""
    model, twin = (small.opened("nested", tmp_path, d) for d in (dtype, "float64"))
    x = small.pixels(count=2)
    expected = rerun(twin, "backbone/conv_a", x, Removal())
    assert choose(model, "backbone/conv_a", block=Removal()) == "windows"
    by = [everywhere(mode_of(model, "backbone/conv_a", way, None, Removal(1)), x) for way in ("windows", "whole")]
    off, rerun_off = (np.abs(found - expected).max() / np.abs(expected).max() for found in by)
    assert off < HALVES[dtype] and off < rerun_off / 3


@pytest.mark.slow
@pytest.mark.parametrize("way", ["windows", "whole"])
def test_chosen_classes_and_a_sampler(way):
    model, removal = headed("where"), Removal(3, "mean")
    sampler = Sampler(model, {"seen": way}, [], 2, 64, [2, 0], "float32", removal)
    pixels = small.pixels(count=2, size=SIZE).astype(np.uint8)
    at = [x.astype(np.int32) for x in np.indices((2, SIZE, SIZE)).reshape(3, -1)]
    found = sampler.samples(sampler.forward(pixels), "seen", *at).attribution.reshape(2, SIZE, SIZE, 2)
    expected = rerun(model, "seen", pixels.astype(np.float32), removal)[..., [2, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
