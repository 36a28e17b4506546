"""Rows filled up to a batch, and jobs of several images packed into full ones, by hand."""

import numpy as np

from activation_atlas.stages.vision.batching import packed, padded, repeated


def test_rows_are_filled_up_with_zeros_of_their_kind():
    rows = np.arange(6, dtype=np.uint8).reshape(3, 2)
    filled = padded(rows, 5)
    assert filled.dtype == np.uint8 and filled.tolist() == [[0, 1], [2, 3], [4, 5], [0, 0], [0, 0]]
    assert padded(rows, 3) is rows
    assert repeated(rows, 4).tolist() == [*rows.tolist(), [4, 5]] and len(repeated(rows, 3)) == 3


def test_jobs_of_several_images_share_a_batch_and_the_last_repeats_its_first():
    batches = [(image.tolist(), job.tolist(), real) for image, job, real in packed([3, 0, 2, 1], 4)]
    assert batches == [([0, 0, 0, 2], [0, 1, 2, 0], 4), ([2, 3, 2, 2], [1, 0, 1, 1], 2)]
    assert list(packed([], 4)) == [] and list(packed([0, 0], 4)) == []
