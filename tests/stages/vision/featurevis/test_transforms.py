"""The random views: geometry by hand, and a gradient that is exactly the transposed matrix."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.featurevis.transforms import IDENTITY, Jitter, affine


def slow_matrix(matrix: np.ndarray, size: int, frame: tuple[int, int]) -> np.ndarray:
    """The resampling as a dense matrix, pixel by pixel."""
    height, width = frame
    dense = np.zeros((height * width, size * size))
    for row in range(height):
        for col in range(width):
            x, y = col - (width - 1) / 2, row - (height - 1) / 2
            u, v = matrix @ [x, y, 1] + (size - 1) / 2
            for r in range(size):
                for c in range(size):
                    near = max(0, 1 - abs(u - c)) * max(0, 1 - abs(v - r))
                    dense[row * width + col, r * size + c] += near
    return dense


@pytest.mark.parametrize("frame", [(9, 9), (6, 8)])
def test_transform_equals_its_slow_twin_and_its_gradient_the_transpose(frame):
    rng = np.random.default_rng(0)
    matrix = np.array([[0.9, -0.3, 1.2], [0.25, 1.1, -0.7]])
    pixels, upstream = rng.uniform(size=(36, 4)), rng.normal(size=(frame[0] * frame[1], 4))
    dense = slow_matrix(matrix, 6, frame)
    look, held = affine(6, frame), tf.constant(pixels)
    with tf.GradientTape() as tape:
        tape.watch(held)
        seen = look(held, tf.constant(matrix))
    np.testing.assert_allclose(seen, dense @ (pixels - 0.5) + 0.5, atol=1e-12)
    np.testing.assert_allclose(tape.gradient(seen, held, upstream), dense.T @ upstream, atol=1e-12)


def test_seen_straight_on_it_is_the_image_in_a_grey_frame():
    pixels = np.random.default_rng(1).uniform(size=(16, 3)).astype(np.float32)
    seen = affine(4, (8, 8))(tf.constant(pixels), tf.constant(IDENTITY)).numpy().reshape(8, 8, 3)
    expected = np.full((8, 8, 3), 0.5, np.float32)
    expected[2:6, 2:6] = pixels.reshape(4, 4, 3)
    np.testing.assert_allclose(seen, expected, atol=1e-7)


def test_jitter_stays_in_its_range_and_depends_on_seed_and_step_alone():
    jitter = Jitter(rotate=10, scale=0.1, shift=8)
    views = np.stack([jitter.matrix(3, step) for step in range(500)])
    zoom = np.hypot(views[:, 0, 0], views[:, 1, 0])
    angle = np.rad2deg(np.arctan2(views[:, 1, 0], views[:, 0, 0]))
    for values, low, high in ((zoom, 0.9, 1.1), (angle, -10, 10), (views[:, 0, 2], -8, 8), (views[:, 1, 2], -8, 8)):
        assert low - 1e-5 <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high + 1e-5
    np.testing.assert_array_equal(views[7], jitter.matrix(3, 7))
    assert not np.array_equal(jitter.matrix(4, 7), views[7])
