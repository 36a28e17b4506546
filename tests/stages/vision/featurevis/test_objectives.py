"""The objective against NumPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.featurevis.objectives import centre, cosine, direction, spatial_mean


def slow_objective(a: np.ndarray, v: np.ndarray, power: float, floor: float) -> float:
    """As the paper writes it, one vector at a time."""
    return float(a @ v * max(floor, a @ v / (np.linalg.norm(a) * np.linalg.norm(v))) ** power)


def test_direction_is_what_the_paper_says():
    rng = np.random.default_rng(0)
    a, v = rng.normal(size=(2, 50, 7))
    got = direction(4.0, 0.1)(tf.constant(a), tf.constant(v)).numpy()
    np.testing.assert_allclose(got, [slow_objective(x, y, 4.0, 0.1) for x, y in zip(a, v, strict=True)], rtol=1e-9)
    assert (got < 0).any(), "an activation that points away counts as its floor says, it is not cut to zero"


def test_by_hand():
    a, v = tf.constant([[3.0, 4.0]], tf.float64), tf.constant([[1.0, 0.0]], tf.float64)
    assert cosine(a, v).numpy()[0] == pytest.approx(0.6)
    assert direction(2.0)(a, v).numpy()[0] == pytest.approx(3 * 0.36)


def test_the_cosine_does_not_depend_on_length():
    a, v = np.random.default_rng(1).normal(size=(2, 5, 6))
    np.testing.assert_allclose(cosine(tf.constant(a), tf.constant(v)), cosine(tf.constant(1e4 * a), tf.constant(v)))


def test_zero_activation_has_a_finite_slope():
    zero, v = tf.zeros((1, 3)), tf.constant([[1.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(zero)
        value = direction()(zero, v)
    assert np.isfinite(tape.gradient(value, zero).numpy()).all() and value.numpy()[0] == 0


def test_taps():
    maps = np.random.default_rng(2).normal(size=(2, 4, 5, 3))
    np.testing.assert_array_equal(centre(tf.constant(maps)), maps[:, 2, 2])
    np.testing.assert_allclose(spatial_mean(tf.constant(maps)), maps.mean(axis=(1, 2)))
