"""The optimiser on a layer small enough to check."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.featurevis.image_param import Spectrum
from activation_atlas.stages.vision.featurevis.optimise import ActivationMaximization, Adam, Recipe
from activation_atlas.stages.vision.featurevis.transforms import Jitter
from activation_atlas.stages.vision.featurevis.visualizer import of_own_size
from tests import quick

RECIPE = Recipe(size=12, frame=(16, 16), steps=12, jitter=Jitter(10, 0.1, 1), spectrum=Spectrum(finest=0.5))
KERNELS = np.random.default_rng(5).normal(size=(5, 5, 3, 6))


def respond(images: tf.Tensor) -> tf.Tensor:
    """A smooth layer of six channels."""
    return tf.nn.softplus(tf.nn.conv2d(images * 2 - 1, tf.constant(KERNELS, images.dtype), 2, "SAME"))


def make(recipe: Recipe = RECIPE) -> ActivationMaximization:
    return ActivationMaximization(respond, np.eye(3), 6, recipe)


@pytest.fixture(scope="module")
def maximization() -> ActivationMaximization:
    return make()


def towards(n: int) -> np.ndarray:
    v = np.random.default_rng(6).normal(size=(n, 6))
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("tap", quick.first(["centre", "mean"]))
def test_gradient_by_finite_differences(tap):
    maximization = make(dataclasses.replace(RECIPE, tap=tap))
    rng = np.random.default_rng(0)
    at, v = rng.normal(size=(2, 3, 12, 12)), towards(2).astype(np.float64)
    view = tf.constant(RECIPE.jitter.matrix(0, 3).astype(np.float64))
    slope = maximization.slope(tf.constant(at), tf.constant(v), view).numpy()

    def value(coefficients: np.ndarray) -> float:
        return float(tf.reduce_sum(maximization.value(tf.constant(coefficients), tf.constant(v), view)))

    for index in map(tuple, rng.integers((0, 0, 0, 0), (2, 3, 12, 12), size=(20, 4))):
        bump = np.zeros_like(at)
        bump[index] = 1e-5
        numeric = (value(at + bump) - value(at - bump)) / 2e-5
        assert slope[index] == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_the_objective_rises(maximization):
    seeds = [(0, k) for k in range(4)]
    few, many = (make(dataclasses.replace(RECIPE, steps=n)).draw(towards(4), seeds, 0) for n in (1, 60))
    assert (maximization.answer(many, towards(4))[1] > maximization.answer(few, towards(4))[1] + 0.1).all()


def test_an_icon_does_not_depend_on_its_companions(maximization):
    v, seeds = towards(7), [(0, k) for k in range(7)]
    together = maximization.draw(v, seeds, 0)
    apart = [maximization.draw(v[k : k + n], seeds[k : k + n], 0) for k, n in ((0, 1), (1, 2), (3, 4))]
    np.testing.assert_array_equal(together, np.concatenate(apart))
    np.testing.assert_array_equal(together[::-1], maximization.draw(v[::-1], seeds[::-1], 0))
    assert not np.array_equal(together, maximization.draw(v, seeds, 1)), "another seed shows other views"


def test_what_is_measured_is_the_stored_icon(maximization):
    icons = np.random.default_rng(1).integers(0, 256, (2, 12, 12, 3)).astype(np.uint8)
    framed = np.full((2, 16, 16, 3), 0.5, np.float32)
    framed[:, 2:14, 2:14] = icons / np.float32(255)
    expected = respond(tf.constant(framed)).numpy()[:, 4, 4]
    np.testing.assert_allclose(maximization.answer(icons, towards(2))[0], expected, rtol=1e-5, atol=1e-5)


def test_adam_equals_the_paper():
    rng = np.random.default_rng(2)
    x = rng.normal(size=5).astype(np.float32)
    slopes, rates = rng.normal(size=(4, 5)).astype(np.float32), (0.05, 0.04, 0.02, 0.01)
    adam, m, v, expected = Adam(x), np.zeros(5), np.zeros(5), x.astype(np.float64)
    for t, (g, rate) in enumerate(zip(slopes, rates, strict=True), 1):
        adam.ascend(tf.constant(g), rate)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected = expected + rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(adam.value, expected, rtol=1e-4)


def test_the_learning_rate_settles():
    rates = [RECIPE.rate(step) for step in range(RECIPE.steps)]
    assert rates[0] == RECIPE.learning_rate and rates == sorted(rates, reverse=True) and 0 < rates[-1] < 0.002


def test_views_of_a_model_of_one_size_are_shifted_by_the_same_share():
    own = of_own_size(RECIPE, (36, 48))
    assert (own.size, own.frame, own.jitter) == (36, (36, 48), Jitter(10, 0.1, 3))
