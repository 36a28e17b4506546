"""Occlusion against numbers written by hand, a loop over windows, and its exact special cases."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from pydantic import TypeAdapter, ValidationError

from activation_atlas.stages.methods import MethodSpec
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods import METHODS, Maps, Setting
from activation_atlas.stages.vision.attribution.methods.ablation import starts
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.model import Model, open_model
from tests.stages.vision import small_models as small

OCCLUSION = METHODS["occlusion"]


def explained(model: Model, options: Occlusion, pixels: np.ndarray, targets: np.ndarray, batch: int = 4) -> Maps:
    configured = OCCLUSION.configure(model, options, lambda count: pixels[:count])
    explain = OCCLUSION.build(Setting(model, options, configured, batch, targets.shape[1]))
    maps = explain(pixels, targets, [""] * len(pixels))
    assert maps.values.shape[2:] == (configured["height"], configured["width"])
    return maps


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> Model:
    """Logit 0 is the sum of a 5 x 5 image of one channel, logit 1 its last pixel less its first."""
    model = keras.Sequential([keras.Input((5, 5, 1)), layers.Flatten(), layers.Dense(2)])
    kernel = np.ones((25, 2), np.float32)
    kernel[:, 1] = 0
    kernel[0, 1], kernel[24, 1] = -1, 1
    model.layers[-1].set_weights([kernel, np.float32([100, 0])])
    path = small.save(model, tmp_path_factory.mktemp("sums"))
    return open_model(ModelSpec(path=path, output="logits"))


COUNTING = np.arange(25, dtype=np.uint8).reshape(1, 5, 5, 1)
"""0 to 24, row by row."""


@pytest.mark.parametrize(
    ("options", "of_the_sum", "of_the_ends"),
    [
        (
            {"patch": 3, "stride": 1, "fill": 0},
            [[54, 63, 72], [99, 108, 117], [144, 153, 162]],
            [[0, 0, 0], [0, 0, 0], [0, 0, 24]],
        ),
        ({"patch": 2, "stride": 2, "fill": 10}, [[-28, -20], [12, 20]], [[10, 0], [0, 0]]),
        (
            {"patch": 3, "stride": 2, "fill": 0, "edges": "clip"},
            [[54, 72, 27], [144, 162, 57], [63, 69, 24]],
            [[0, 0, 0], [0, 24, 24], [0, 24, 24]],
        ),
        ({"patch": (1, 5), "stride": (2, 1), "fill": 1}, [[5], [55], [105]], [[1], [0], [23]]),
    ],
)
def test_five_by_five_by_hand(sums, options, of_the_sum, of_the_ends):
    maps = explained(sums, Occlusion(**options), COUNTING, np.array([[0, 1]], np.int32))
    np.testing.assert_array_equal(maps.scores, [[400, 24]])
    np.testing.assert_array_equal(maps.values[0, 0], of_the_sum)
    np.testing.assert_array_equal(maps.values[0, 1], of_the_ends)
    np.testing.assert_array_equal(maps.idle, [[False, False]])


def test_a_score_that_is_the_same_whatever_is_hidden_is_told(sums):
    corner = COUNTING.copy()
    corner[0, 4, 4] = corner[0, 0, 0] = 7
    maps = explained(sums, Occlusion(patch=2, stride=1, fill=7), corner, np.array([[0, 1]], np.int32))
    np.testing.assert_array_equal(maps.idle, [[False, True]])


def test_windows_stand_at_multiples_of_the_stride():
    np.testing.assert_array_equal(starts(224, 32, 16, "whole"), range(0, 193, 16))
    np.testing.assert_array_equal(starts(10, 4, 3, "whole"), [0, 3, 6])
    np.testing.assert_array_equal(starts(10, 5, 3, "whole"), [0, 3])
    np.testing.assert_array_equal(starts(10, 5, 3, "clip"), [0, 3, 6, 9])


def test_a_window_as_large_as_the_image_is_one_score_drop(tmp_path):
    model = small.opened("nested", tmp_path)
    pixels, targets = small.pixels(count=2).astype(np.uint8), np.array([[0], [2]], np.int32)
    maps = explained(model, Occlusion(patch=16), pixels, targets)
    grey = np.full((1, 16, 16, 3), 127.5, np.float32)
    _, logits = model.forward()(model.to_input(grey))
    np.testing.assert_allclose(maps.values[:, 0, 0, 0], maps.scores[:, 0] - logits.numpy()[0, [0, 2]], rtol=1e-5)


def slow_occlusion(model: Model, options: Occlusion, image: np.ndarray, target: int) -> np.ndarray:
    """Hide, score, subtract: one window after another."""

    def score(pixels: np.ndarray) -> float:
        _, logits = model.forward()(model.to_input(pixels[None]))
        return float(model.scores(logits)[0, target])

    (height, width), (down, right), (dy, dx) = image.shape[:2], options.patch, options.stride
    rows = []
    for top in range(0, height, dy):
        row = []
        for left in range(0, width, dx):
            hidden = image.astype(np.float32)
            hidden[top : top + down, left : left + right] = options.fill
            row.append(score(image) - score(hidden))
        rows.append(row)
    return np.array(rows)


def test_it_equals_a_loop_over_windows_whatever_shares_the_batch(tmp_path):
    model = small.opened("nested", tmp_path)
    options = Occlusion(patch=(5, 3), stride=(4, 6), fill=(10, 200, 60.5), edges="clip", mode="full")
    pixels, targets = small.pixels(count=3).astype(np.uint8), np.array([[0, 1], [2, 1], [1, 0]], np.int32)
    maps = explained(model, options, pixels, targets, batch=5)
    for i in range(3):
        for k in range(2):
            expected = slow_occlusion(model, options, pixels[i], targets[i, k])
            np.testing.assert_allclose(maps.values[i, k], expected, atol=1e-5 * np.abs(maps.scores).max())
    turned = explained(model, options, pixels[[2, 0]], targets[[2, 0]], batch=7)
    np.testing.assert_array_equal(turned.values, maps.values[[2, 0]])


@pytest.mark.parametrize(
    ("side", "patch", "stride"),
    [(224, 32, 16), (32, 4, 2), (28, 4, 2), (8, 2, 1), (2, 1, 1), (1, 1, 1), (64, 8, 4), (96, 12, 6), (299, 46, 23)],
)
def test_windows_come_from_the_size_of_the_input(side, patch, stride):
    """About a seventh of the shorter side, half of that apart; the last ends at the border where that divides it."""
    found = Occlusion().at((side + 5, side))
    assert (found.patch, found.stride) == (patch, stride) and found.at((999, 999)) == found
    windows = starts(side, patch, stride, "whole")
    assert windows[-1] + patch == side and (len(windows) > 1 or side == 1)


def test_of_every_input_there_are_as_many_windows():
    counts = []
    for side in range(24, 1025):
        found = Occlusion().at((side, side))
        counts.append(len(starts(side, found.patch, found.stride, "whole")))
    assert (min(counts), max(counts)) == (11, 17)


def test_what_is_given_stays():
    assert Occlusion(patch=48).at((224, 224)).stride == 16, "as ever"
    assert Occlusion(patch=8).at((224, 224)).stride == 8, "no gap between windows"
    assert Occlusion(patch=(6, 20)).at((224, 224)).stride == (6, 16)
    found = Occlusion(patch=(5, 3), stride=(4, 6), fill=9).at((32, 32))
    assert (found.patch, found.stride, found.fill) == ((5, 3), (4, 6), 9)


def test_a_window_larger_than_the_image_is_refused(sums):
    with pytest.raises(UserError, match="occlusion.patch: a window of 6 x 2 pixels is larger than the 5 x 5 images"):
        OCCLUSION.configure(sums, Occlusion(patch=(6, 2)), lambda count: COUNTING)


def test_a_colour_for_a_model_of_one_channel_is_refused(sums):
    with pytest.raises(UserError, match="occlusion.fill: .* one channel; give one number"):
        OCCLUSION.configure(sums, Occlusion(patch=2, fill=(1, 2, 3)), lambda count: COUNTING)


@pytest.mark.parametrize("wrong", [{"stride": 0}, {"patch": 0}, {"stride": (4, 0)}, {"edges": "wrap"}])
def test_a_window_that_cannot_be_is_refused_with_the_configuration(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(MethodSpec).validate_python({"name": "occlusion", **wrong})
