"""The textbook's recipe: its steps, its picture and what it asks, by hand."""

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.featurevis.objectives import interior_mean, tap_of
from activation_atlas.stages.vision.featurevis.plain import Plain, PlainAscent, deprocessed


def test_the_mean_leaves_the_border_out():
    maps = tf.reshape(tf.range(7 * 6 * 2, dtype=tf.float32), (1, 7, 6, 2))
    np.testing.assert_allclose(interior_mean(maps)[0], maps.numpy()[0, 2:5, 2:4].mean((0, 1)))
    np.testing.assert_allclose(interior_mean(maps[:, :3, :2])[0], maps.numpy()[0, 1:2, :2].mean((0, 1)))  # never empty
    np.testing.assert_allclose(tap_of("at:6,1")(maps)[0], maps.numpy()[0, 6, 1])


def test_every_step_is_of_one_length():
    """Of an answer that is linear, the slope is the same everywhere: steps add up to a straight line."""
    recipe = Plain(size=(8, 8), steps=3, rate=0.5, noise=0.1)
    weights = np.random.default_rng(0).standard_normal((8, 8, 3)).astype("float32")
    ascent = PlainAscent(lambda x: tf.reduce_sum(x * weights, (1, 2, 3))[:, None, None, None], 1, 3, recipe)
    seeds = [(0, k) for k in range(2)]
    found = ascent._climbed(np.ones((16, 1)), [seeds[k % 2] for k in range(16)])
    begin = [np.random.default_rng(list(seed)).uniform(-0.1, 0.1, (8, 8, 3)) for seed in seeds]
    np.testing.assert_allclose(found[:2], begin + 3 * 0.5 * weights / np.linalg.norm(weights), atol=1e-5)
    alone, answers = ascent.draw(np.ones((1, 1)), seeds[1:])
    both, _ = ascent.draw(np.ones((2, 1)), seeds)
    assert alone.shape == (1, 6, 6, 3) and answers.shape == (1, 1)  # round(8 * 25 / 180) = 1 is cut off at each side
    np.testing.assert_array_equal(alone[0], both[1])


def test_the_picture_has_a_mean_and_a_deviation():
    image = np.array([3.0, 5.0, 3.0, 5.0]).reshape(1, 2, 2, 1)  # mean 4, deviation 1
    assert deprocessed(image, 0.15).ravel().tolist() == [89, 166, 89, 166]  # 255 (0.5 -+ 0.15), rounded
    assert deprocessed(np.full((1, 2, 2, 1), 7.0), 0.15).ravel().tolist() == [128] * 4
