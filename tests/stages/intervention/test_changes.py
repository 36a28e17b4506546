"""Only what should change does, and becomes what it should."""

from __future__ import annotations

import numpy as np
import pytest

from activation_atlas.stages.intervention import around, beside, blur, cut, drawn, inpaint, noise_like, paste


def _image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)


@pytest.mark.parametrize("rect", [(3, 2, 7, 8), (0, 0, 4, 4), (8, 6, 12, 10), (0, 0, 12, 3)])
def test_nothing_outside_the_rectangle_changes(rect):
    image = _image()
    top, left, bottom, right = rect
    outside = np.ones(image.shape[:2], bool)
    outside[top:bottom, left:right] = False
    patch = np.zeros((bottom - top, right - left, 3), np.uint8)
    for changed in (inpaint(image, rect), blur(image, rect), paste(image, patch, rect)):
        assert changed.shape == image.shape and changed.dtype == np.uint8
        np.testing.assert_array_equal(changed[outside], image[outside])
    assert (paste(image, patch, rect)[top:bottom, left:right] == 0).all()


def test_its_own_pixels_pasted_back_change_nothing():
    image = _image()
    np.testing.assert_array_equal(paste(image, cut(image, (3, 2, 7, 8)), (3, 2, 7, 8)), image)


def test_a_ramp_is_filled_in_as_it_was():
    ramp = np.broadcast_to(np.arange(0, 100, 10, dtype=np.uint8)[None, :, None], (8, 10, 1)).copy()
    holed = paste(ramp, np.full((3, 4, 1), 255, np.uint8), (2, 3, 5, 7))
    np.testing.assert_array_equal(inpaint(holed, (2, 3, 5, 7)), ramp)


def test_one_pixel_is_the_mean_of_its_four_neighbours():
    image = np.zeros((3, 3, 1), np.uint8)
    image[0, 1], image[2, 1], image[1, 0], image[1, 2], image[1, 1] = 10, 20, 30, 60, 255
    assert inpaint(image, (1, 1, 2, 2))[1, 1, 0] == 30


def test_at_the_edge_the_opposite_border_stands():
    image = np.zeros((2, 3, 1), np.uint8)
    image[1, 0], image[0, 1] = 40, 80
    assert inpaint(image, (0, 0, 1, 1))[0, 0, 0] == 60


def test_noise_has_the_patchs_mean_and_spectrum():
    patch = (np.random.default_rng(1).normal(128, 8, (16, 16, 3))).clip(60, 200).astype(np.uint8)
    noise = noise_like(patch, np.random.default_rng(2))
    assert np.abs(noise.mean((0, 1)) - patch.mean((0, 1))).max() < 0.5
    own, theirs = (
        np.abs(np.fft.fft2(x - x.mean((0, 1)), axes=(0, 1))) for x in (patch.astype(float), noise.astype(float))
    )
    assert np.abs(own - theirs).max() < 0.1 * own.max()  # rounding to whole numbers
    assert (noise != patch).mean() > 0.8


def test_places_lie_within_the_image():
    assert around((0, 0), (4, 6), (12, 10)) == (0, 0, 4, 6)
    assert around((5, 4.5), (3, 4), (12, 10)) == (4, 3, 7, 7)
    rng = np.random.default_rng(3)
    for _ in range(50):
        top, left, bottom, right = drawn(rng, (4, 6), (12, 10))
        assert 0 <= top and bottom <= 12 and 0 <= left and right <= 10
    other = beside(rng, (0, 0, 6, 10), (12, 10))
    assert other == (6, 0, 12, 10) or other is None
    assert beside(rng, (0, 0, 12, 6), (12, 10)) is None
