"""Pieces of a batch side by side give what one call for each row gives, in order."""

import numpy as np
import pytest
import tensorflow as tf

from stages.vision.attribution.methods.abreast import abreast
from stages.vision.model import freeze


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 11])
def test_every_row_comes_back_in_its_place(rows):
    rng = np.random.default_rng(rows)
    images, targets = rng.normal(size=(rows, 3, 2)).astype("float32"), rng.integers(0, 9, (rows, 1)).astype("int32")
    specs = tf.TensorSpec((4, 3, 2), tf.float32), tf.TensorSpec((4, 1), tf.int32)
    call = freeze(lambda x, t: (tf.reduce_sum(x, 1), 2 * t), *specs)
    sums, doubled = abreast(call, 4, images, targets)
    np.testing.assert_allclose(sums, images.sum(1), rtol=1e-5)
    np.testing.assert_array_equal(doubled, 2 * targets)


def test_what_goes_wrong_in_a_piece_is_raised():
    def call(x):
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        abreast(call, 2, np.zeros((5, 1)))
