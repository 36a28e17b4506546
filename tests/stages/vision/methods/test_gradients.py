"""Saliency and gradient x input: cases on paper, finite differences, and what has no gradient."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from activation_atlas.stages.stage import UserError
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import opened
from tests.stages.vision.methods.quadratic import (
    SIZE,
    gradient_on_paper,
    maps_of,
    photographs,
    powers,
    ready,
    rounded,
)


@pytest.mark.parametrize("power", [1, 2])
def test_on_paper(power, tmp_path):
    model = opened(powers(power), tmp_path)
    pixels = photographs(model)
    gradient = gradient_on_paper(pixels, power)
    found = maps_of(ready("saliency", model), pixels)
    np.testing.assert_allclose(found.values, np.abs(gradient).max(-1), rtol=1e-6)
    np.testing.assert_allclose(found.scores, (gradient * pixels[:, None]).sum((2, 3, 4)) / power, rtol=1e-5)
    found = maps_of(ready("gradient_x_input", model), pixels)
    expected = (gradient * pixels[:, None]).sum(-1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert found.values.min() < 0 and found.gap is None


def test_gradients_are_those_of_what_the_model_receives(tmp_path):
    model = opened(powers(2), tmp_path, range=(-1, 1))
    pixels = photographs(model)
    gradient = gradient_on_paper(pixels / 127.5 - 1, 2)
    found = maps_of(ready("saliency", model), pixels).values
    np.testing.assert_allclose(found, np.abs(gradient).max(-1), rtol=1e-5, atol=1e-6)


def test_it_is_the_finite_difference(tmp_path):
    """In float64, every pixel and colour a little up and a little down."""
    model = small.opened("nested", tmp_path, "float64")
    pixels = photographs(model, 1)
    step = 2**-7  # exact beside a pixel in float32
    eye = np.eye(pixels.size).reshape(-1, *pixels.shape[1:]) * step
    forward = model.forward()
    up, down = (forward(model.to_input((pixels + sign * eye).astype("float32")))[1].numpy() for sign in (1, -1))
    gradient = ((up - down) / (2 * step)).T.reshape(-1, *pixels.shape[1:])
    found = maps_of(ready("saliency", model), pixels, (0, 2)).values[0]
    expected = np.abs(gradient[[0, 2]]).max(-1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * expected.max())
    found = maps_of(ready("gradient_x_input", model), pixels, (0, 2)).values[0]
    expected = (gradient[[0, 2]] * pixels).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())


def test_both_classes_of_one_sigmoid_are_explained(tmp_path):
    model = small.opened("sigmoid", tmp_path)
    found = maps_of(ready("gradient_x_input", model), photographs(model))
    assert found.values.any()
    np.testing.assert_array_equal(found.values[:, 0], -found.values[:, 1])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_near_float32(dtype, tmp_path):
    (tmp_path / "half").mkdir()
    model, half = small.opened("nested", tmp_path), small.opened("nested", tmp_path / "half", dtype)
    pixels = photographs(model)
    expected, found = (maps_of(ready("gradient_x_input", m), pixels) for m in (model, half))
    assert found.values.dtype == found.scores.dtype == np.float32
    correlation = np.corrcoef(expected.values.ravel(), found.values.ravel())[0, 1]
    assert correlation > 0.99


@pytest.mark.parametrize("name", ["saliency", "smooth_grad", "integrated_gradients", "expected_gradients"])
def test_what_stops_the_gradient_is_named(name, tmp_path):
    said = r"no gradient of the logits reaches the image.*\(Round\).*without gradients: .*occlusion"
    with pytest.raises(UserError, match=said):
        ready(name, opened(rounded(), tmp_path))


def test_a_model_that_receives_integers_has_no_gradient(tmp_path):
    image = keras.Input(SIZE, dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    model = opened(keras.Model(image, layers.Dense(2)(x)), tmp_path)
    with pytest.raises(UserError, match="receives uint8, so its logits have no gradient.*gradients: .*eigen_cam"):
        ready("saliency", model)
