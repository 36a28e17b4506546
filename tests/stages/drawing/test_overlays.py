"""Pictures of maps: enlarging, spreading, colours, and where on the photograph they lie."""

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.drawing import overlays
from activation_atlas.stages.vision.images import Fit, fit_size
from activation_atlas.stages.vision.place import Place, enlarged, spread

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(7, 7), (3, 5), (1, 1), (1, 4)])
@pytest.mark.parametrize("how", ["bilinear", "nearest"])
def test_enlarging_equals_tensorflow(shape, how):
    values = RNG.normal(size=shape).astype("float32")  # at 40 x 24 no pixel's centre falls between two values
    twin = tf.image.resize(values[..., None], (40, 24), how)[..., 0].numpy()
    assert enlarged(values, (40, 24), how) == pytest.approx(twin, abs=2e-6)


def test_half_pixel_centres_by_hand():
    found = enlarged(np.array([[0.0, 4.0]]), (1, 4))
    assert found.tolist() == [[0, 1, 3, 4]]
    assert enlarged(np.array([[0.0, 4.0]]), (1, 4), "nearest").tolist() == [[0, 0, 4, 4]]


def test_what_is_not_finite_does_not_reach_further_than_its_neighbours():
    values = np.zeros((1, 4), np.float32)
    values[0, 0] = np.nan
    assert np.isnan(enlarged(values, (1, 16))).tolist() == [[True] * 6 + [False] * 10]


def test_windows_spread_by_hand():
    values = np.array([[1.0, 3.0]])  # pixels 0 to 3 and 2 to 5 of six
    mean = spread(values, (2, 6), (2, 4), (2, 2))
    assert mean.tolist() == [[1, 1, 2, 2, 3, 3]] * 2
    total = spread(values, (2, 6), (2, 4), (2, 2), reduce="sum")
    assert total.tolist() == [[1, 1, 4, 4, 3, 3]] * 2


@pytest.mark.parametrize("edges", ["whole", "clip"])
def test_windows_spread_as_one_by_one(edges):
    size, patch, stride = (11, 14), (4, 3), (3, 5)
    ends = size if edges == "clip" else (size[0] - patch[0] + 1, size[1] - patch[1] + 1)
    tops, lefts = range(0, ends[0], stride[0]), range(0, ends[1], stride[1])
    values = RNG.normal(size=(len(tops), len(lefts)))
    values[1, 1] = np.nan
    total, count = np.zeros(size), np.zeros(size)
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            total[top : top + patch[0], left : left + patch[1]] += values[i, j]
            count[top : top + patch[0], left : left + patch[1]] += 1
    total[count == 0] = np.nan
    found = spread(values, size, patch, stride, edges)
    np.testing.assert_allclose(found, total / np.maximum(count, 1), rtol=1e-6)
    assert np.isnan(found).any() and np.isfinite(found).any()


def test_as_many_values_as_windows():
    with pytest.raises(ValueError, match="2 x 2 windows"):
        spread(np.zeros((3, 3)), (4, 4), (2, 2), (2, 2))


def test_the_scale():
    many = np.linspace(-2, 1, 301)
    assert overlays.scale(many, signed=True) == pytest.approx(2.0)  # the 99th percentile, 1.98, up to two digits
    assert overlays.scale(many, signed=False) == pytest.approx(0.97)
    assert overlays.scale([np.zeros((2, 2)), np.full((2, 2), np.nan)], signed=True) == 1
    sparse = np.zeros(1000)
    sparse[3] = 0.5
    assert overlays.scale(sparse, signed=False) == 0.5


def test_colours_at_the_ends_and_at_zero():
    painted = overlays.coloured(np.array([[-9.0, -1, 0, 1, 9, np.nan]]), 1.0, signed=True)[0].astype(int)
    assert (painted[0] == painted[1]).all() and (painted[3] == painted[4]).all()
    assert painted[1, 2] > painted[1, 0] + 80 and painted[3, 0] > painted[3, 2] + 80  # blue against, red for
    assert painted[2, 3] == 0 and painted[1, 3] == painted[3, 3] == 255
    assert len(set(painted[5, :3])) == 1 and painted[5, 3] > 0  # grey
    unsigned = overlays.coloured(np.linspace(-1, 1, 101)[None], 1.0, signed=False)[0].astype(int)
    assert (unsigned[:51, 3] == 0).all() and (np.diff(unsigned[:, 3]) >= 0).all()
    luma = unsigned[50:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(luma) >= -1).all()  # ordered by lightness alone


def test_a_map_of_zeros_leaves_the_photograph_alone():
    photo = RNG.integers(0, 256, (12, 9, 3), np.uint8)
    for signed in (True, False):
        assert (overlays.overlay(photo, np.zeros((12, 9)), 1.0, signed, 1.0, contour=0.5) == photo).all()


def test_a_map_of_nan_shows_no_colour():
    photo = np.full((20, 20, 3), 90, np.uint8)
    drawn = overlays.overlay(photo, np.full((20, 20), np.nan), 1.0, False, 0.55, contour=0.5).astype(int)
    assert (drawn == drawn[..., :1]).all()
    assert len(np.unique(drawn)) == 2  # hatched


def test_the_line_lies_around_what_reaches_the_share():
    photo, values = np.full((30, 30, 3), 100, np.uint8), np.zeros((30, 30))
    values[10:20, 10:20] = 1
    drawn = overlays.overlay(photo, values, 2.0, False, opacity=0, contour=0.5)
    assert (drawn[9, 10:20] == 255).all() and (drawn[8, 10:20] == 0).all() and (drawn[10:20, 10:20] == 100).all()
    assert (overlays.overlay(photo, values, 2.0, False, opacity=0, contour=0.51) == photo).all()


@pytest.mark.parametrize("crop", ["center", "none", "pad", Fit(share=0.875), Fit(share=0.6, antialias=False)])
@pytest.mark.parametrize("upright", [(30, 50), (64, 20), (16, 16), (5, 7)])
def test_a_map_lies_where_the_model_saw_it(crop, upright):
    """The photograph itself, brought to the model's size and laid back as a map, is the photograph."""
    rows, cols = np.indices(upright) / max(upright)
    photo = np.rint(100 + 100 * np.stack([rows, cols, rows * 0], -1)).astype(np.uint8)
    size = (60, 40)
    left, top, right, bottom = overlays.seen(upright, size, crop)
    shown = fit_size(photo, size, crop).astype("float32")
    drawn = [overlays.placed(shown[..., k], upright, size, crop) for k in range(3)]
    back = np.stack([surface for surface, _ in drawn], -1)
    assert all(covered.all() for _, covered in drawn)
    assert back.shape == (bottom - top, right - left, 3)
    inner = (slice(2, -2), slice(2, -2))  # the border takes a little of the grey of `pad`
    assert np.abs(back - photo[top:bottom, left:right])[inner].max(initial=0) < 12


def test_outside_the_crop_the_photograph_is_grey():
    photo = RNG.integers(0, 256, (20, 40, 3), np.uint8)
    drawn = overlays.laid(photo, np.zeros((2, 2)), (8, 8), "center", 1.0, False, 0.55)
    assert drawn.shape == photo.shape and (drawn[:, 10:30] == photo[:, 10:30]).all()
    for side in (drawn[:, :10], drawn[:, 30:]):
        assert (side == side[..., :1]).all() and side.min() >= 100


def test_where_a_map_covers_nothing_the_photograph_is_grey():
    photo = RNG.integers(0, 256, (40, 40, 3), np.uint8)
    place = Place((2.0, 2.0), (2.5, 4.5), (2, 4, 6, 8))  # of 8 x 8 pixels, five of the photograph's each
    drawn = overlays.laid(photo, np.full((2, 2), 9.0), (8, 8), "none", 9.0, False, 0.55, contour=0.5, place=place)
    inside = np.zeros((40, 40), bool)
    inside[10:30, 20:40] = True
    assert (np.ptp(drawn.astype(int), axis=-1) > 0)[inside].all() and not np.ptp(drawn[~inside], axis=-1).any()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_outside_the_crop_it_is_duller_than_on_the_light_print(shade):
    photo = np.full((20, 40, 3), shade, np.uint8)
    drawn = overlays.laid(photo, np.zeros((2, 2)), (8, 8), "center", 1.0, True, 0.55, fade=True).astype(int)
    assert drawn[:, :10].max() + 40 < drawn[:, 10:30].min()


def test_small_images_are_shown_larger():
    assert [overlays.magnification((h, 32)) for h in (32, 16, 224, 500)] == [7, 7, 1, 1]
    photo = RNG.integers(0, 256, (4, 6, 1), np.uint8)
    drawn = overlays.laid(photo, np.zeros((1, 1)), (4, 4), "none", 1.0, True, 0.55, factor=3)
    assert drawn.shape == (12, 18, 3) and (drawn[::3, ::3] == photo).all() and (drawn[2::3, 2::3] == photo).all()


def test_the_bar_and_its_numbers():
    assert overlays.ticks(2.0, signed=True) == [(0, "−2"), (0.25, "−1"), (0.5, "0"), (0.75, "+1"), (1, "+2")]
    assert overlays.ticks(0.0043, signed=False) == [(0, "0"), (0.5, "0.0022"), (1, "0.0043")]
    assert [words for _, words in overlays.ticks(2345, signed=True)] == ["−2,300", "−1,200", "0", "+1,200", "+2,300"]
    drawn = overlays.bar(3.0, True, 101, 10, 0.55).astype(int)
    assert drawn.shape == (10, 101, 3) and (np.ptp(drawn[:, 50], -1) == 0).all()
    assert (drawn[:, -1, 0] > drawn[:, -1, 2]).all() and (drawn[:, 0, 2] > drawn[:, 0, 0]).all()
