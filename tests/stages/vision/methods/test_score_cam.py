"""Score-CAM: a case on paper, the paper's loops, and forwards that are neither wasted nor mixed up."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.attribution.methods.score_cam import ScoreCam, combined, most_varied
from activation_atlas.stages.vision.model import Model, open_model
from tests.stages.vision import small_models as small
from tests.stages.vision.laid import laid
from tests.stages.vision.methods.five import IMAGE, built, explained, images, on_paper, opened, pooled


def test_a_five_by_five_is_as_on_paper(tmp_path):
    # Logit 0 is 3 mean(x) - 9, of black -9. Seen through x / 9 the image is x^2 / 9: gain 3 x 181 / 225; through
    # (9 - x) / 9 it is x (9 - x) / 9: gain 3 x 152 / 225. Softmax of (2.41333, 2.02667): .59548 and .40452.
    # Logit 1 is 9 - 2 mean(x): gains -2 x 181 / 225 and -2 x 152 / 225; softmax of (-1.60889, -1.35111): .43591 and
    # .56409.
    maps = explained(built("score_cam", opened(pooled(), tmp_path)), IMAGE[None, ..., None], [0, 1])
    first = on_paper({0: 3.64068, 3: 4.21356, 4: 4.40452, 9: 5.35932}.get)
    second = on_paper({0: 5.07680, 3: 4.69226, 4: 4.56408, 9: 3.92320}.get)
    np.testing.assert_allclose(maps.values[0], [first, second], rtol=1e-4)


def slow(model: Model, layer: str, pixels: np.ndarray, target: int, chosen: list | None = None) -> np.ndarray:
    """The paper's loop over channels for one image, every channel with a forward pass of its own."""
    score = tf.function(lambda x: model.scores(model.forward()(model.to_input(x))[1]), autograph=False)
    activation = model.tap(layer)(model.to_input(pixels[None]))[0].numpy().astype(float)
    chosen = range(activation.shape[-1]) if chosen is None else chosen
    black, gains = score(tf.zeros((1, *pixels.shape)))[0, target], []
    for k in chosen:
        mask = laid(activation[..., k], model.placed(layer).place, model.input_size)
        span = np.nanmax(mask) - np.nanmin(mask)
        mask = np.nan_to_num((mask - np.nanmin(mask)) / span) if np.ptp(activation[..., k]) > 0 else np.zeros_like(mask)
        seen = tf.constant((mask[..., None] * pixels)[None], tf.float32)
        gains.append(float(score(seen)[0, target] - black))
    weights = np.exp(gains) / np.exp(gains).sum()
    return np.maximum(sum(w * activation[..., k] for w, k in zip(weights, chosen, strict=True)), 0)


def wide() -> keras.Model:
    """Nothing is square; channel 0 is always zero, channel 1 always 2, two see red alone and two the other colours."""
    image = keras.Input((10, 18, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv")(image)
    model = keras.Model(image, layers.Dense(3, name="dense")(layers.GlobalMaxPooling2D()(x)))
    rng = np.random.default_rng(4)
    kernel, bias = rng.normal(0, 0.02, (3, 3, 3, 6)), np.zeros(6)
    kernel[..., :2], bias[:2] = 0, (-1, 2)
    kernel[:, :, 1:, 2:4], kernel[:, :, 0, 4:] = 0, 0
    model.get_layer("conv").set_weights([kernel, bias])
    model.get_layer("dense").set_weights([rng.normal(0, 1, (6, 3)), np.zeros(3)])
    return model


class Counted:
    """A compiled function that counts its calls."""

    def __init__(self, function) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *tensors):
        self.calls += 1
        return self.function(*tensors)


@pytest.mark.parametrize("name", ["nested", "deep", "grey"])
def test_maps_are_those_of_the_papers_loop(name, tmp_path):
    model = small.opened(name, tmp_path)
    pixels, layer = images(model, 2), model.layers()[-1].name
    maps = explained(built("score_cam", model), pixels, [0, 2]).values
    expected = np.array([[slow(model, layer, image, target) for target in (0, 2)] for image in pixels])
    assert np.abs(expected[:, 0] - expected[:, 1]).max() > 1e-3 * expected.max()
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * expected.max())


def test_channels_that_are_constant_count_without_a_forward_pass(tmp_path):
    model = opened(wide(), tmp_path)
    pixels = images(model, 3)
    explain = built("score_cam", model, batch=4)
    explain.mask = Counted(explain.mask)
    maps = explained(explain, pixels, [0, 1], 4).values
    assert explain.mask.calls == 3, "4 of the 6 channels of 3 images, 4 at a time"
    expected = np.array([[slow(model, "conv", image, target) for target in (0, 1)] for image in pixels])
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * expected.max())


def test_a_black_image_needs_no_forward_and_weighs_all_channels_alike():
    activation = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    found = combined(activation, np.zeros((5, 2)))
    np.testing.assert_allclose(found, np.maximum([activation.mean(-1)] * 2, 0), rtol=1e-5, atol=1e-7)
    # A gain of 1,000 overflows an exponential, and not the softmax.
    np.testing.assert_allclose(
        combined(activation, np.array([[0], [1000], [0], [0], [0]]))[0], np.maximum(activation[..., 1], 0)
    )


def test_a_score_that_no_channel_changes_is_told(tmp_path):
    """Seen through nothing but black: the map is the mean of the channels, whatever the class."""
    model = opened(pooled(), tmp_path)
    black, shown = (np.full((1, 5, 5, 1), value, np.uint8) for value in (0, 0))
    shown[0, 2, 2] = 9
    explain = built("score_cam", model)
    maps = explain(np.concatenate([black, shown]), np.array([[0, 1]] * 2, np.int32), ["0", "1"])
    assert maps.idle.tolist() == [[True, True], [False, False]]


def test_only_the_channels_of_this_image_that_vary_most_are_used(tmp_path):
    model = opened(wide(), tmp_path)
    pixels = images(model, 4)
    pixels[::2, ..., 1:] = 0
    pixels[1::2, ..., 0] = 0
    activation = model.tap("conv")(model.to_input(pixels)).numpy().astype(float)
    chosen = [sorted(np.argsort(-a.var((0, 1)))[:2].tolist()) for a in activation]
    assert len({tuple(c) for c in chosen}) > 1, "the images agree, and the test would say nothing"
    maps = explained(built("score_cam", model, channels=2), pixels, [0, 1]).values
    expected = np.array([slow(model, "conv", image, 1, c) for image, c in zip(pixels, chosen, strict=True)])
    np.testing.assert_allclose(maps[:, 1], expected, rtol=0, atol=1e-4 * expected.max())


def test_the_channels_that_vary_most_in_rising_order():
    activation = np.zeros((2, 2, 5))
    activation[0, 0] = [1, 3, 0, 3, 2]
    assert most_varied(activation, 2).tolist() == [1, 3]
    assert most_varied(activation, 3).tolist() == [1, 3, 4]
    assert most_varied(np.zeros((2, 2, 5)), 2).tolist() == [0, 1]
    assert most_varied(activation, None).tolist() == most_varied(activation, 9).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("channels", [None, 3])
def test_a_map_has_no_companions(channels, tmp_path):
    model = small.opened("nested", tmp_path)
    pixels, targets = images(model, 5), np.array([[0, 1], [1, 2], [2, 0], [0, 2], [1, 0]])
    whole = explained(built("score_cam", model, batch=2, channels=channels), pixels, targets, 2)
    other = explained(built("score_cam", model, batch=7, channels=channels), pixels[::-1], targets[::-1], 7)
    np.testing.assert_array_equal(other.values[::-1], whole.values)
    np.testing.assert_array_equal(other.scores[::-1], whole.scores)


@pytest.mark.slow
def test_mobilenets_maps_have_no_companions(shared):
    model = open_model(ModelSpec(path=str(shared / "models" / "mobilenet_075_224_imagenet.keras"), range=(-1, 1)))
    assert METHODS["score_cam"].configure(model, ScoreCam(), lambda count: None)["layer"] == "conv_pw_13_relu"
    pixels = images(model, 3)
    whole = explained(built("score_cam", model, batch=8, channels=12), pixels, [3, 700], 8)
    other = explained(built("score_cam", model, batch=5, channels=12), pixels[::-1], [3, 700], 5)
    np.testing.assert_array_equal(other.values[::-1], whole.values)
    expected = slow(model, "conv_pw_13_relu", pixels[0], 700, _varied(model, pixels[0], 12))
    np.testing.assert_allclose(whole.values[0, 1], expected, rtol=0, atol=1e-4 * expected.max())


def _varied(model: Model, image: np.ndarray, count: int) -> list[int]:
    activation = model.tap("conv_pw_13_relu")(model.to_input(image[None]))[0].numpy().astype(float)
    return sorted(np.argsort(-activation.var((0, 1)))[:count].tolist())
