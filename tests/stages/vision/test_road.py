"""ROAD: what is hidden is the mean of its neighbours, against a dense system; what is removed; who is read."""

import numpy as np
import pytest

from activation_atlas.stages.vision.attribution.pixels import draw, order
from activation_atlas.stages.vision.attribution.road import NOISE, PERCENT, Road, filled, noise, removed
from tests.stages.vision import small_models


def dense(pixels, hidden):
    """The paper's system, an equation for each hidden pixel, written out: its neighbours' weights add up to 1."""
    places = [tuple(p) for p in np.argwhere(hidden)]
    left, right = np.zeros((len(places), len(places))), np.zeros((len(places), pixels.shape[2]))
    for row, (y, x) in enumerate(places):
        around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
        around = [(v, u) for v, u in around if 0 <= v < hidden.shape[0] and 0 <= u < hidden.shape[1]]
        weights = np.array([1 / 6 if v == y or u == x else 1 / 12 for v, u in around])
        left[row, row] = 1
        for place, weight in zip(around, weights / weights.sum(), strict=True):
            if hidden[place]:
                left[row, places.index(place)] -= weight
            else:
                right[row] += weight * pixels[place]
    found = pixels.astype(float)
    found[hidden] = np.linalg.solve(left, right)
    return found


@pytest.mark.parametrize("count", [1, 4, 12, 24])
def test_five_by_five_is_the_dense_system(count):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    hidden = order(draw("0a", count, (5, 5)), draw("0b", 0, (5, 5))) < count
    np.testing.assert_allclose(filled(pixels, hidden), dense(pixels, hidden), rtol=1e-10)
    assert np.array_equal(filled(pixels, hidden)[~hidden], pixels[~hidden])


def test_one_pixel_by_hand():
    pixels = np.array([[60, 0, 0], [120, 255, 0], [0, 0, 240]], np.uint8)[..., None]
    middle, corner = np.zeros((2, 3, 3), bool)
    middle[1, 1] = corner[0, 0] = True
    assert filled(pixels, middle)[1, 1, 0] == pytest.approx(60 / 12 + 120 / 6 + 240 / 12)
    # Three neighbours, of weights 1/6, 1/6 and 1/12: 2/5, 2/5 and 1/5.
    assert filled(pixels, corner)[0, 0, 0] == pytest.approx(0.4 * 120 + 0.2 * 255)
    assert np.array_equal(filled(pixels, middle & False), pixels)


def test_a_ramp_is_filled_in_as_it_was():
    ramp = np.add.outer(3.0 * np.arange(8), 5.0 * np.arange(9))[..., None]
    hidden = np.zeros((8, 9), bool)
    hidden[2:6, 3:8] = True
    np.testing.assert_allclose(filled(ramp, hidden), ramp, rtol=1e-12)


def test_the_highest_go_first_then_the_lowest():
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, 1)).astype(np.uint8)
    ranks, added = np.arange(20, dtype=np.int32).reshape(5, 4), np.full((5, 4, 1), 1000.0)
    found = removed(pixels, ranks, added)
    assert found.shape == (2, len(PERCENT), 5, 4, 1)
    for k, percent in enumerate(PERCENT):
        gone = found[:, k, :, :, 0] > 500  # the noise is where pixels are filled in, and there alone
        assert gone[0].reshape(-1).tolist() == [i < 20 * percent // 100 for i in range(20)]
        assert gone[1].reshape(-1).tolist() == [i >= 20 - 20 * percent // 100 for i in range(20)]


def test_noise_belongs_to_its_image_and_seed():
    drawn = noise("0a", 1, (60, 60, 3))
    assert np.array_equal(drawn, noise("0a", 1, (60, 60, 3))) and drawn.std() == pytest.approx(NOISE, rel=0.05)
    assert not np.array_equal(drawn, noise("0b", 1, (60, 60, 3)))
    assert not np.array_equal(drawn, noise("0a", 2, (60, 60, 3)))


def test_what_is_read_is_the_models_own_of_each_image(tmp_path):
    model = small_models.opened("linear", tmp_path)
    pixels = small_models.pixels().astype(np.uint8)[0]
    ranks = order(draw("0a", 0, (16, 16)), draw("0b", 0, (16, 16)))
    found = Road(model, 32)(pixels, ranks, ("0a", 7))
    shown = removed(pixels, ranks, noise("0a", 7, pixels.shape)).reshape(-1, 16, 16, 3)
    (logits,) = model.values(model.to_input(shown), [model.program.output])
    expected = np.asarray(model.probabilities(logits)).reshape(found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(
        Road(model, 3)(pixels, ranks, ("0a", 7)), expected, rtol=1e-5
    )  # the last batch is of two
