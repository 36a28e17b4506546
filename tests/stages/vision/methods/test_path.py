"""Integrated and expected gradients: integrals on paper, completeness, and loops as in the papers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.model import Model
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import opened
from tests.stages.vision.methods.quadratic import WEIGHTS, gradient_on_paper, maps_of, photographs, powers, ready


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 2e-6) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("power", [1, 2])
def test_the_trapezoid_is_exact_where_the_gradient_is_linear(power, tmp_path):
    """w x^power from zero: each pixel's share is w x^power itself, with one interval as with many."""
    model = opened(powers(power), tmp_path)
    pixels = photographs(model)
    expected = (WEIGHTS * pixels.astype("float64")[:, None] ** power).sum(-1)
    for steps in (1, 6):
        found = maps_of(ready("integrated_gradients", model, steps=steps), pixels)
        close(found.values, expected)
        np.testing.assert_allclose(found.gap, 0, atol=1e-5 * np.abs(found.scores).max())


def test_a_cubic_is_as_on_paper(tmp_path):
    """w x^3 in two intervals: 3 w x^2 (0 / 2 + 1 / 4 + 1 / 2) / 2 x = 9 / 8 w x^3: the gap is an eighth."""
    model = opened(powers(3), tmp_path)
    pixels = photographs(model)
    found = maps_of(ready("integrated_gradients", model, steps=2), pixels)
    exact = (WEIGHTS * pixels.astype("float64")[:, None] ** 3).sum(-1)
    close(found.values, 9 / 8 * exact)
    close(found.gap, exact.sum((2, 3)) / 8, 1e-4)


def test_black_is_black_before_preprocessing(tmp_path):
    """Of values in [-1, 1] black is -1; of a quadratic, its share is w (x^2 - 1), and from zero w x^2."""
    model = opened(powers(2), tmp_path, range=(-1, 1))
    pixels = photographs(model)
    x = pixels[:, None] / 127.5 - 1
    black = maps_of(ready("integrated_gradients", model, steps=3), pixels)
    close(black.values, (WEIGHTS * (x**2 - 1)).sum(-1))
    zero = maps_of(ready("integrated_gradients", model, steps=3, baseline="zero"), pixels)
    close(zero.values, (WEIGHTS * x**2).sum(-1))
    np.testing.assert_array_equal(black.scores, zero.scores)


def test_black_itself_is_all_zero_without_a_gap(tmp_path):
    model = small.opened("nested", tmp_path)
    found = maps_of(ready("integrated_gradients", model, steps=2), np.zeros((1, 16, 16, 3), np.uint8))
    assert not found.values.any() and not found.gap.any()


def gradient_of(model: Model) -> Callable[[np.ndarray, int], np.ndarray]:
    """(x (h, w, c), target) -> d logit / d x at that one point, float64."""

    @tf.function(autograph=False)
    def apply(x: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = model.scores(model.forward()(x)[1])[0, target]
        return tape.gradient(score, x)

    return lambda x, target: apply(tf.constant(x[None], tf.float32), tf.constant(target)).numpy()[0].astype("float64")


@pytest.mark.parametrize(
    "name", ["grey", *(pytest.param(n, marks=pytest.mark.slow) for n in ("deep", "residual", "sigmoid"))]
)
def test_the_map_adds_up_to_the_change_of_the_score(name, tmp_path):
    """Completeness: the gap says by how much it does not, and more intervals close it."""
    model = small.opened(name, tmp_path)
    pixels = photographs(model, 2)
    black = model.scores(model.forward()(model.to_input(np.zeros_like(pixels)))[1]).numpy()[:, :2]
    gaps = []
    for steps in (2, 100):
        found = maps_of(ready("integrated_gradients", model, steps=steps), pixels)
        change = found.scores - black
        scale = np.abs(found.scores).max()
        np.testing.assert_allclose(found.values.sum((2, 3)) - found.gap, change, rtol=0, atol=1e-4 * scale)
        gaps.append(np.abs(found.gap).max())
    assert gaps[1] < 0.2 * gaps[0] or gaps[1] < 1e-3 * scale


def test_integrated_gradients_are_the_papers_sum(tmp_path):
    model = small.opened("nested", tmp_path)
    pixels = photographs(model, 1)
    found = maps_of(ready("integrated_gradients", model, steps=4), pixels).values[0]
    gradient = gradient_of(model)
    x, black = (model.to_input(p).numpy()[0] for p in (pixels, np.zeros_like(pixels)))
    for target in (0, 1):
        points = [gradient(black + share * (x - black), target) for share in (0, 0.25, 0.5, 0.75, 1)]
        average = (points[0] / 2 + points[1] + points[2] + points[3] + points[4] / 2) / 4
        close(found[target], ((x - black) * average).sum(-1), 1e-5)


def test_expected_gradients_are_the_papers_mean(tmp_path):
    model = opened(powers(3), tmp_path, range=(-1, 1))
    pixels, background = photographs(model), photographs(model, 5, seed=9)
    found = maps_of(ready("expected_gradients", model, seed=2, background=background, samples=7), pixels)
    assert found.gap is None
    for row, photograph in enumerate(pixels):
        total = 0.0
        for share, place in generator(2, f"{row:016x}").random((7, 2)):
            x, other = photograph / 127.5 - 1, background[int(place * 5)] / 127.5 - 1
            point = other + share * (x - other)
            total = total + ((x - other) * gradient_on_paper(point[None], 3)[0]).sum(-1)
        close(found.values[row], total / 7, 1e-5)


def test_expected_gradients_from_black_alone_are_integrated_in_expectation(tmp_path):
    """Of a linear model exactly; and from the image itself there is nowhere to go."""
    model = opened(powers(1), tmp_path)
    pixels = photographs(model, 1)
    black = maps_of(ready("expected_gradients", model, background=np.zeros_like(pixels), samples=5), pixels)
    close(black.values, maps_of(ready("integrated_gradients", model, steps=1), pixels).values)
    itself = maps_of(ready("expected_gradients", model, background=pixels, samples=5), pixels)
    assert not itself.values.any()


def test_every_background_image_is_drawn():
    drawn = np.concatenate([generator(0, str(i)).random((50, 2))[:, 1] for i in range(20)])
    counts = np.bincount((drawn * 8).astype(int), minlength=8)
    assert counts.min() > 85 and counts.max() < 165  # of 125, standard deviation 10.5
