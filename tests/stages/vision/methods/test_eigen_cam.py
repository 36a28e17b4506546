"""Eigen-CAM: the first singular vector as a textbook finds it, with one sign, for one image at a time."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.vision.attribution.methods.eigen_cam import principal
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import IMAGE, built, explained, images, opened


def found(activation: np.ndarray, center: bool = False) -> np.ndarray:
    """Of one image."""
    return principal(tf.constant(activation)[None], center)[0].numpy()


SHAPES = [(4, 5, 30), (7, 6, 8), (3, 3, 1), (1, 5, 5)]
"""More channels than positions, fewer, one channel, one row."""


def slow(activation: np.ndarray, center: bool) -> np.ndarray:
    """As the paper writes it: A = U S V', the map is A v_1."""
    matrix = activation.reshape(-1, activation.shape[-1]).astype(float)
    mean = matrix.mean(0)
    matrix = matrix - mean * center
    _, _, rows = np.linalg.svd(matrix, full_matrices=True)
    map_ = matrix @ rows[0]
    return (map_ * np.sign(mean @ rows[0])).reshape(activation.shape[:2])


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_first_singular_vector_projected(shape, center):
    activation = np.random.default_rng(0).normal(0.3, 1, shape).astype("float32")
    values = found(activation, center)
    np.testing.assert_allclose(values, slow(activation, center), rtol=1e-9, atol=1e-12)
    assert abs(values.mean()) < 1e-12 if center else values.mean() > 0


def test_a_map_times_a_direction_is_found_again():
    channels = np.array([3.0, 0.0, -4.0])  # of length 5
    plain = found(IMAGE[..., None] * channels)
    np.testing.assert_allclose(plain, 5.0 * IMAGE, atol=1e-12)
    centred = found(IMAGE[..., None] * channels, center=True)
    np.testing.assert_allclose(centred, 5.0 * (IMAGE - 37 / 25), atol=1e-12)


@pytest.mark.parametrize("factor", [-1, 1e-30, 1e30])
def test_the_scale_and_the_sign_of_the_layer_change_nothing_else(factor):
    activation = np.random.default_rng(3).normal(0.2, 1, (4, 4, 6))
    np.testing.assert_allclose(found(activation * factor), abs(factor) * found(activation), rtol=1e-9)


def test_nothing_gives_zeros_and_what_is_not_finite_gives_nan():
    assert not found(np.zeros((3, 4, 5))).any()
    assert not found(np.ones((3, 4, 5)), center=True).any()
    activation = np.ones((2, 3, 4, 5))
    activation[0, 1, 2, 3] = np.inf
    broken, sound = principal(tf.constant(activation)).numpy()
    assert np.isnan(broken).all()
    np.testing.assert_allclose(sound, np.sqrt(5))


@pytest.mark.parametrize("center", [False, True])
def test_the_map_of_a_model_is_that_of_its_layer(center, tmp_path):
    model = small.opened("nested", tmp_path)
    pixels, layer = images(model, 5), "backbone/conv_b"
    explain = built("eigen_cam", model, batch=2, center=center)
    maps = explained(explain, pixels, [2, 0], 2)
    np.testing.assert_array_equal(maps.values[:, 0], maps.values[:, 1])
    activation = model.tap(layer)(model.to_input(pixels)).numpy()
    expected = np.stack([slow(a, center) for a in activation])
    np.testing.assert_allclose(maps.values[:, 0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    logits = model.forward()(model.to_input(pixels))[1].numpy()
    np.testing.assert_allclose(maps.scores, logits[:, [2, 0]], rtol=1e-5)


def test_a_map_has_no_companions(tmp_path):
    model = small.opened("deep", tmp_path)
    pixels = images(model, 5)
    whole = explained(built("eigen_cam", model, batch=2), pixels, [0, 1], 2)
    other = explained(built("eigen_cam", model, batch=5), pixels[::-1], [0, 1], 5)
    np.testing.assert_array_equal(other.values[::-1], whole.values)


def test_it_needs_no_gradient(tmp_path):
    image = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(image))
    model = opened(keras.Model(image, layers.Dense(3)(keras.ops.round(x))), tmp_path)
    assert explained(built("eigen_cam", model), images(model), [0, 1]).values.any()
