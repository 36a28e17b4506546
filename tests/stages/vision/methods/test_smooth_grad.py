"""SmoothGrad: without noise it is the gradient; with it, the statistics of a loop over noisy copies."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.attribution.methods.smooth_grad import normal
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import opened
from tests.stages.vision.methods.quadratic import gradient_on_paper, maps_of, photographs, powers, ready

STATISTICS = ("mean", "squared", "variance")


def test_one_sample_without_noise_is_the_gradient(tmp_path):
    model = small.opened("nested", tmp_path)
    pixels = photographs(model)
    saliency = maps_of(ready("saliency", model), pixels)
    found = maps_of(ready("smooth_grad", model, samples=1, noise=0), pixels)
    np.testing.assert_array_equal(found.values, saliency.values)
    np.testing.assert_array_equal(found.scores, saliency.scores)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_copies_without_noise_have_the_gradient_its_square_and_no_variance(statistic, tmp_path):
    model = opened(powers(2), tmp_path)
    pixels = photographs(model)
    found = maps_of(ready("smooth_grad", model, samples=4, noise=0, statistic=statistic), pixels).values
    gradient = np.abs(gradient_on_paper(pixels, 2)).max(-1)
    expected = {"mean": gradient, "squared": gradient**2, "variance": np.zeros_like(gradient)}[statistic]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_statistics_are_those_of_a_loop_over_noisy_copies(statistic, tmp_path):
    model = opened(powers(3), tmp_path, range=(-1, 1))
    pixels = photographs(model)
    found = maps_of(ready("smooth_grad", model, seed=5, samples=6, noise=0.3, statistic=statistic), pixels).values
    for row, photograph in enumerate(pixels):
        x = photograph / 127.5 - 1
        seeds = generator(5, f"{row:016x}").integers(2**63, size=(6, 2))
        copies = [x + 0.3 * (x.max() - x.min()) * normal(seed[None], x.shape).numpy()[0] for seed in tf.constant(seeds)]
        gradients = np.concatenate([gradient_on_paper(copy[None], 3) for copy in copies])
        if statistic == "mean":
            expected = np.abs(gradients.mean(0))
        else:
            expected = (gradients**2).mean(0) if statistic == "squared" else gradients.var(0)
        np.testing.assert_allclose(found[row], expected.max(-1), rtol=1e-4)


def test_a_variance_far_below_the_mean_is_not_lost(tmp_path):
    """Of 2 w x, the noise's deviation a twentieth of a grey level: in float32 sums of squares would drown it."""
    model = opened(powers(2), tmp_path)
    pixels = photographs(model)
    found = maps_of(ready("smooth_grad", model, samples=8, noise=0.0002, statistic="variance"), pixels).values
    for row, x in enumerate(pixels.astype("float32")):
        seeds = tf.constant(generator(0, f"{row:016x}").integers(2**63, size=(8, 2)))
        noise = normal(seeds, x.shape).numpy()
        deviation = np.float32(0.0002) * (x.max() - x.min())
        gradients = np.stack([gradient_on_paper(x[None] + deviation * n[None], 2)[0] for n in noise])
        np.testing.assert_allclose(found[row], gradients.var(0).max(-1), rtol=1e-3)


def test_noise_is_normal_and_each_seed_has_its_own():
    drawn = normal(tf.constant([[1, 2], [1, 3], [1, 2]], tf.int64), (101, 67, 3)).numpy()
    np.testing.assert_array_equal(drawn[0], drawn[2])
    one, other = drawn[0].ravel().astype("float64"), drawn[1].ravel().astype("float64")
    count = one.size  # 20,301, odd: standard errors below are 1 / sqrt(count) and multiples of it
    assert abs(one.mean()) < 4 / count**0.5
    assert abs(one.var() - 1) < 4 * (2 / count) ** 0.5
    assert abs((one**4).mean() - 3) < 4 * (96 / count) ** 0.5
    assert abs((one * other).mean()) < 4 / count**0.5
    half = count // 2 + 1  # a pair of values shares its radius: they must be independent all the same
    assert abs((one[: half - 1] * one[half:]).mean()) < 4 / (count / 2) ** 0.5
    assert abs(((one[: half - 1] * one[half:]) ** 2).mean() - 1) < 4 * (8 / (count / 2)) ** 0.5


def test_more_samples_begin_with_the_same_ones():
    few, many = (generator(3, "ab").integers(2**63, size=(n, 2)) for n in (4, 9))
    np.testing.assert_array_equal(many[:4], few)
