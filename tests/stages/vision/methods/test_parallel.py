"""Pieces of a batch side by side give what one call for each row gives, in order."""

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.parallel import in_parallel
from activation_atlas.stages.vision.model import freeze


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 11])
def test_every_row_comes_back_in_its_place(rows):
    rng, sizes = np.random.default_rng(rows), []
    images, targets = rng.normal(size=(rows, 3, 2)).astype("float32"), rng.integers(0, 9, (rows, 1)).astype("int32")

    def one(x, t):
        sizes.append(x.shape[0])
        return tf.reduce_sum(x, 1), 2 * t

    specs = tf.TensorSpec(images.shape, tf.float32), tf.TensorSpec(targets.shape, tf.int32)
    call = freeze(lambda x, t: in_parallel(one, x, t, piece=4), *specs)
    sums, doubled = call(tf.constant(images), tf.constant(targets))
    assert sum(sizes) == rows and set(sizes[:-1]) <= {4}
    np.testing.assert_allclose(sums, images.sum(1), rtol=1e-5)
    np.testing.assert_array_equal(doubled, 2 * targets)
