"""Superpixels: connected, numbered, no more than are asked for, and the same every time."""

import numpy as np
import pytest
from scipy.ndimage import label

from activation_atlas.stages.vision.attribution.superpixels import grid, joined, means, numbered, superpixels
from tests.quick import first


def scene(size=(48, 64), channels=3):
    """A disc, a bar and a slope with some noise, uint8."""
    rows, cols = np.mgrid[: size[0], : size[1]]
    image = np.stack([rows * 3 % 200, cols * 2, 90 + 0 * rows], 2).astype(float)
    image[(rows - 20) ** 2 + (cols - 20) ** 2 < 120] = [220, 30, 30]
    image[30:34] = [20, 20, 200]
    image += np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)[..., :channels]


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("how", first(["slic", "quickshift", "felzenszwalb", "grid"], "slic", "grid"))
def test_segments_are_connected_and_no_more_than_asked(how, channels):
    image = scene(channels=channels)
    for count in (2, 12):
        found = superpixels(image, how, count)
        assert found.shape == image.shape[:2] and found.dtype == np.int32
        numbers = np.unique(found)
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)))
        assert 2 <= len(numbers) <= count
        assert how == "quickshift" or all(label(found == n, np.ones((3, 3)))[1] == 1 for n in numbers)
        np.testing.assert_array_equal(superpixels(image.copy(), how, count), found)


def test_a_disc_is_a_segment_of_its_own():
    image = np.full((40, 40, 3), 200, np.uint8)
    rows, cols = np.mgrid[:40, :40]
    disc = (rows - 18) ** 2 + (cols - 22) ** 2 < 80
    image[disc] = [200, 0, 0]
    found = superpixels(image, "felzenszwalb", 4)
    assert found.max() == 1 and set(found[disc]) != set(found[~disc])


@pytest.mark.parametrize("how", first(["slic", "quickshift", "felzenszwalb"]))
def test_what_has_no_parts_is_cut_into_a_grid(how):
    blank, noise = np.full((16, 16, 3), 90, np.uint8), np.random.default_rng(2).integers(0, 256, (16, 16, 3), np.uint8)
    assert superpixels(blank, "felzenszwalb", 6).max() == 5
    assert all(1 <= superpixels(image, how, 6).max() <= 5 for image in (blank, noise))


def test_a_grid_is_of_equal_cells():
    np.testing.assert_array_equal(grid((4, 6), 6), np.repeat([[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5]], 2, 0))
    counts = [np.bincount(grid((224, 224), n).ravel()) for n in (2, 49, 50)]
    assert [len(c) for c in counts] == [2, 49, 49] and counts[1].tolist() == [1024] * 49
    assert grid((1, 9), 3).tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2]]
    assert grid((3, 3), 50).max() == 8


def test_the_most_alike_neighbours_are_joined():
    labels = np.repeat([[0, 1, 2, 3]], 2, 0)
    colour = np.array([10, 200, 220, 10], np.uint8)[labels][..., None]
    np.testing.assert_array_equal(means(labels, colour), [[10], [200], [220], [10]])
    # 0 and 3 are of one colour, and no neighbours.
    found = joined(labels, colour, 3)[0]
    assert found[1] == found[2] and sorted(set(found)) == [0, 1, 2]
    assert joined(labels, colour, 4) is labels


def test_numbers_are_those_of_the_values_in_rising_order():
    np.testing.assert_array_equal(numbered(np.array([[7, 7], [300, -1]])), [[1, 1], [2, 0]])
