"""The incremental way gives what whole passes give, wherever it cuts; where it cannot, the log says so."""

from __future__ import annotations

import logging
from collections.abc import Callable

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods import METHODS, Setting, crops
from activation_atlas.stages.vision.attribution.methods.ablation import Windows, starts
from activation_atlas.stages.vision.attribution.methods.crops import Margin, axis_crops
from activation_atlas.stages.vision.attribution.methods.incremental import Incremental
from activation_atlas.stages.vision.attribution.methods.occlusion import TOLERANCE, Full, Occlusion
from activation_atlas.stages.vision.images import decode_to
from activation_atlas.stages.vision.model import Model, open_model
from activation_atlas.stages.vision.model.geometry import Reach, Sliding, Window
from tests.stages.vision import small_models as small

# -- the arithmetic, along one axis -------------------------------------------------------------------


def windowed(x: np.ndarray, span: int, stride: int, padding: str) -> np.ndarray:
    """Every output is a hash of the values it sees, zeros outside, as in TensorFlow."""
    before, count = 0, (len(x) - span) // stride + 1
    if padding == "same":
        count = -(-len(x) // stride)
        before = max((count - 1) * stride + span - len(x), 0) // 2
    x = np.concatenate([np.zeros(before), x, np.zeros(span + stride)])
    return np.array([hash(tuple(x[p * stride : p * stride + span])) % 10007 for p in range(count)], np.float64)


operation = st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from(["same", "valid"]))


@settings(max_examples=300, deadline=None)
@given(st.lists(operation, min_size=1, max_size=4), st.integers(9, 60), st.data())
def test_crops_and_blocks_rebuild_every_hidden_map(operations, size, data):
    patch, stride = data.draw(st.integers(1, size)), data.draw(st.integers(1, 9))
    edges = data.draw(st.sampled_from(["whole", "clip"]))
    image = np.random.default_rng(size).integers(1, 99, size).astype(np.float64)

    def through(x: np.ndarray) -> np.ndarray:
        for each in operations:
            x = windowed(x, *each)
        return x

    reach, margin, inside = Reach(1, 0, 0), Margin(0, 0), size
    for span, step, padding in operations:
        slides = Sliding.over(inside, span, step, 1, padding)
        outside = slides.count(inside)
        if outside < 1:
            return
        margin = margin.through(slides.window, inside, outside)
        reach, inside = reach.through(slides.window, outside), outside
    begins = starts(size, patch, stride, edges)
    plan, clean = axis_crops(begins, patch, size, reach, margin, inside), through(image)
    for k, begin in enumerate(begins):
        hidden = image.copy()
        hidden[begin : begin + patch] = 0.5
        map_ = through(hidden[plan.first[k] : plan.first[k] + plan.crop])
        pasted = clean.copy()
        pasted[plan.at[k] : plan.at[k] + plan.block] = map_[plan.inside[k] : plan.inside[k] + plan.block]
        np.testing.assert_array_equal(pasted, through(hidden))


def test_a_small_window_needs_a_small_crop():
    # MobileNet's first convolution: 3 wide, every second pixel, zeros at the end only.
    reach, margin = Reach(2, 0, 2), Margin(0, 0).through(Window(2, 0, 2), 224, 112)
    assert margin == Margin(0, 1)
    plan = axis_crops(starts(224, 32, 16, "whole"), 32, 224, reach, margin, 112)
    # Outputs 2p to 2p + 2 meet pixels 16 to 47: p from 7 to 23.
    assert (plan.block, plan.at[1], plan.crop) == (17, 7, 36)


# -- models of every shape -----------------------------------------------------------------------------


def odd() -> keras.Model:
    """Odd sizes, not square, strides in every phase, both paddings, a branch, and one channel."""
    image = keras.Input((33, 27, 1))
    x = layers.Conv2D(4, 5, strides=2, activation="relu", name="valid")(image)
    x = start = layers.MaxPooling2D(3, strides=2, padding="same", name="pool")(x)
    x = layers.Conv2D(4, 3, padding="same", dilation_rate=2, name="dilated")(layers.ReLU()(x))
    x = layers.Add(name="add")([x, start])
    x = layers.ZeroPadding2D(((0, 1), (2, 0)))(x)
    x = layers.Cropping2D(((1, 0), (0, 1)), name="cropped")(x)
    x = layers.AveragePooling2D((2, 3), strides=(1, 2), padding="same", name="average")(x)
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


OWN = {"odd": odd}
HALF = ("mixed_float16", "mixed_bfloat16")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Callable[..., Model]:
    def opened(name: str, dtype: str = "float32") -> Model:
        if name in small.BUILDERS:
            return small.opened(name, tmp_path_factory.mktemp(name), dtype)
        return open_model(ModelSpec(path=small.save(small.build(OWN[name], dtype), tmp_path_factory.mktemp(name))))

    return opened


def drawn(model: Model, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng, classes = np.random.default_rng(3), len(model.classes)
    pixels = rng.integers(0, 256, (count, *model.input_size, model.channels), np.uint8)
    return pixels, np.stack([np.roll(np.arange(classes), i) for i in range(count)]).astype(np.int32)


def compare(model: Model, options: Occlusion, layer: str, tolerance: float = 1e-5) -> None:
    pixels, targets = drawn(model)
    setting = Setting(model, options, {"cut": layer}, 5, targets.shape[1])
    expected, found = (way(setting)(pixels, targets, ["", ""]) for way in (Full, Incremental))
    gap = np.abs(found.values - expected.values).max() / np.abs(expected.scores).max()
    assert gap <= tolerance, f"{layer}: {gap:.1e}"
    assert np.abs(expected.values).max() > 1e-3 * np.abs(expected.scores).max()


ODD = Occlusion(patch=(7, 4), stride=(5, 3), edges="clip")
TINY = Occlusion(patch=(3, 2), stride=(2, 3), fill=40)


def test_the_odd_model_may_be_cut_at_every_layer_that_alone_decides_what_follows(models):
    names = crops.layers(models("odd"))
    assert {"valid", "pool", "add", "cropped", "average"} <= set(names) and "dilated" not in names


@pytest.mark.parametrize("layer", ["pool", "average"])
def test_it_equals_whole_passes_at_odd_sizes(models, layer):
    compare(models("odd"), ODD, layer)


@pytest.mark.slow
def test_it_equals_whole_passes_behind_a_skip_connection(models):
    compare(models("residual"), TINY, "sum")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*small.BUILDERS, *OWN])
def test_it_equals_whole_passes_at_every_cut_of_every_model(models, name):
    model, options = models(name), ODD if name == "odd" else TINY
    for layer in crops.layers(model):
        compare(model, options, layer)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", HALF)
def test_a_model_of_half_precision_is_explained_one_way_or_the_other(models, dtype):
    model = models("nested", dtype)
    pixels, targets = drawn(model)
    configured = METHODS["occlusion"].configure(model, TINY, lambda count: pixels[:count])
    ways = [METHODS["occlusion"].build(Setting(model, TINY, s, 5, 3)) for s in (configured, {"mode": "full"})]
    found, expected = (way(pixels, targets, ["", ""]) for way in ways)
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=TOLERANCE * np.abs(expected.scores).max())


# -- the choice -----------------------------------------------------------------------------------------


def ending(x: keras.KerasTensor, image: keras.KerasTensor) -> keras.Model:
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="after")(x)
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def gated() -> keras.Model:
    """Squeeze-and-excite at once: nothing before it is local."""
    image = keras.Input((24, 24, 3))
    gate = layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(image))
    return ending(layers.Multiply()([image, gate]), image)


def gated_later() -> keras.Model:
    """Most of the work, then squeeze-and-excite."""
    image = keras.Input((24, 24, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="early")(image)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="last")(x)
    gate = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return ending(layers.Multiply(name="gate")([x, gate]), image)


def normalised() -> keras.Model:
    """A normalisation over positions, which its shape does not betray."""
    image = keras.Input((24, 24, 3))
    return ending(layers.LayerNormalization(axis=(1, 2, 3), name="norm")(image), image)


def grouped() -> keras.Model:
    """Another, that takes crops of any size."""
    image = keras.Input((24, 24, 3))
    return ending(layers.GroupNormalization(3, name="norm")(image), image)


OWN |= {"gated": gated, "gated_later": gated_later, "normalised": normalised, "grouped": grouped}


def configured_by(model: Model, mode: str, read: list | None = None) -> dict:
    def sample(count: int) -> np.ndarray:
        (read if read is not None else []).append(count)
        return drawn(model)[0][:count]

    return METHODS["occlusion"].configure(model, Occlusion(patch=4, stride=8, mode=mode), sample)


def test_it_is_chosen_where_it_pays_and_proves_exact(models):
    configured = configured_by(models("gated_later"), "auto")
    assert configured | {"height": 3, "width": 3, "mode": "incremental", "cut": "last"} == configured
    # Windows of 4 pixels, 8 apart.
    assert configured["place"] == {"stride": [8, 8], "offset": [1.5, 1.5], "covers": [0, 0, 20, 20]}
    assert max(configured["crop"]) < 24


@pytest.mark.parametrize(("name", "how"), [("normalised", "does not run"), ("grouped", "differs by")])
def test_a_normalisation_over_positions_is_found_out(models, caplog, name, how):
    with caplog.at_level(logging.WARNING):
        assert configured_by(models(name), "incremental")["mode"] == "full"
    (line,) = caplog.messages
    assert line.startswith(f"occlusion: full mode: the incremental way {how}") and "inf" not in line and " at " in line


def test_a_blank_first_image_proves_nothing(models):
    """Of the colour that hides: no window changes anything, neither way."""
    model = models("grouped")
    black = np.zeros((1, *model.input_size, model.channels), np.uint8)
    options = Occlusion(patch=4, stride=8, fill=0, mode="incremental")
    configured = METHODS["occlusion"].configure(model, options, lambda count: black)
    assert configured["mode"] == "full"


def test_where_nothing_is_local_it_says_so_when_asked(models, caplog):
    with caplog.at_level(logging.WARNING):
        assert configured_by(models("gated"), "auto")["mode"] == "full"
        assert not caplog.messages
        assert configured_by(models("gated"), "incremental")["mode"] == "full"
    assert "no layer with only local operations" in caplog.text


def test_full_mode_reads_no_image(models):
    read: list = []
    configured = configured_by(models("gated_later"), "full", read)
    assert configured | {"height": 3, "width": 3, "mode": "full"} == configured and "cut" not in configured and not read


@pytest.mark.slow
def test_on_mobilenet_it_equals_whole_passes(shared):
    model = open_model(ModelSpec(path=str(shared / "models/mobilenet_075_224_imagenet.keras"), range=(-1, 1)))
    files = sorted((shared / "data/imagenet_sample/images").rglob("*.jpg"))[:3]
    pixels = np.stack([decode_to(f.read_bytes(), (224, 224), "center", 3, 10**9) for f in files])
    options, targets = Occlusion(patch=32, stride=16), np.array([[1, 2], [3, 4], [5, 6]], np.int32)
    configured = METHODS["occlusion"].configure(model, options, lambda count: pixels[:count])
    assert configured["mode"] == "incremental" and configured["crop"] == [112, 112]
    assert Windows.of(model, options).shape == (configured["height"], configured["width"]) == (13, 13)
    setting = Setting(model, options, configured, 32, 2)
    expected, found = (way(setting)(pixels, targets, [""] * 3) for way in (Full, Incremental))
    largest = np.abs(expected.scores).max(1)[:, None, None, None]
    assert (np.abs(found.values - expected.values) <= TOLERANCE * largest).all()
