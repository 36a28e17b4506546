"""HiResCAM and XGrad-CAM where each position has a gradient of its own, and what their maps add up to."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.hires_cam import _share_of_sum
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import IMAGE, built, explained, images, opened, placed

MOVED = np.roll(IMAGE, -1, 0)
"""Up by a row: x is 0 3 4 3 0 on top and 4 at the centre. Of :func:`placed`, logit 0 is the top row of x minus the
centre's 9 - x, logit 1 the centre's x."""


def test_hires_cam_takes_each_positions_own_gradient(tmp_path):
    maps = explained(built("hires_cam", opened(placed(), tmp_path)), MOVED[None, ..., None], [0, 1])
    first, second = np.zeros((2, 5, 5))
    first[0], first[2, 2], second[2, 2] = [0, 3, 4, 3, 0], -5, 4
    np.testing.assert_allclose(maps.values[0], [first, second], atol=1e-6)


def test_xgrad_cam_weighs_a_channel_by_its_gradient_where_it_is_active(tmp_path):
    maps = explained(built("xgrad_cam", opened(placed(), tmp_path)), MOVED[None, ..., None], [0, 1])
    # x adds 10 of its 37 to logit 0, 9 - x takes 5 of its 188; x adds 4 to logit 1.
    x = MOVED.astype(float)
    np.testing.assert_allclose(maps.values[0], [10 / 37 * x - 5 / 188 * (9 - x), 4 / 37 * x], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_both_add_up_to_the_gradient_times_the_layer(tmp_path):
    """The axiom of conservation; of a piecewise linear head without biases that is the logit."""
    model = small.opened("residual", tmp_path)
    hires, xgrad = (explained(built(n, model), images(model), [0, 2]).values for n in ("hires_cam", "xgrad_cam"))
    assert np.abs(hires - xgrad).max() > 0.01 * np.abs(hires).max()
    np.testing.assert_allclose(xgrad.sum((2, 3)), hires.sum((2, 3)), rtol=1e-4)


def test_a_channel_whose_sum_is_rounding_has_no_weight():
    activation = np.zeros((1, 1, 2, 2, 3), np.float32)
    activation[..., 1], activation[..., 2] = [[1, -1], [0.3, -0.3 + 1e-8]], [[1, -1], [0.3, 0]]
    weights = _share_of_sum(tf.constant(activation), tf.constant(activation))[0, 0, 0, 0].numpy()
    np.testing.assert_allclose(weights, [0, 0, (1 + 1 + 0.09) / 0.3], rtol=1e-5)
