"""Feature maps of an image: which channels are dead, what is in the table, that any number of channels is drawn."""

import numpy as np
import pytest

from activation_atlas.stages.drawing.tiles import across, crossed, painted, side_of
from activation_atlas.stages.look.maps import FeatureMaps
from activation_atlas.stages.look.photographs import Photograph

PHOTO = np.zeros((4, 4, 3), np.uint8)
IMAGE = Photograph("a/dog.jpg", "00ff", PHOTO, PHOTO, np.array([0.0, 2.0]), np.array([0.1, 0.9]))


def seen(values):
    return FeatureMaps("net", "relu_1", "ReLU", IMAGE, np.asarray(values, np.float32))


def test_the_table_says_of_each_channel_what_it_answers():
    values = np.zeros((2, 3, 4))
    values[..., 1] = 5  # the same everywhere is not dead
    values[0, 2, 2], values[1, 0, 3] = -2, np.nan
    rows = seen(values).table().to_pylist()
    assert [r["dead"] for r in rows] == [True, False, False, False]
    assert [r["zeros"] for r in rows] == pytest.approx([1, 0, 5 / 6, 5 / 6])
    assert [(r["low"], r["high"]) for r in rows] == [(0, 0), (5, 5), (-2, 0), (0, 0)]
    assert rows[2]["map"] == [0, 0, -2, 0, 0, 0] and (rows[2]["height"], rows[2]["width"]) == (2, 3)
    assert {(r["image_id"], r["layer"]) for r in rows} == {("00ff", "relu_1")}


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 5, 17])
def test_every_channel_has_a_tile(channels):
    """Also where the channels are no multiple of what stands in a row, and where a layer has no positions."""
    rng = np.random.default_rng(channels)
    sheet = seen(rng.uniform(1, 2, (6, 5, channels))).sheet()
    words = [text.get_text() for text in sheet.axes.texts]
    assert sum(word.startswith(tuple(f"{k}: " for k in range(channels))) for word in words) == channels
    maps = seen(rng.standard_normal((6, 5, channels)))
    assert maps.sheet("layer").pixels().shape == (maps.sheet("layer").height, maps.sheet("layer").width, 3)
    assert seen(rng.standard_normal(channels)).sheet().height > 200


def test_zero_has_one_colour_and_what_is_not_finite_has_none_of_them():
    grey = painted(np.array([[-1.0, 0.0, 1.0, 9.0, np.nan]]), -1, 1, "grey")[0]
    assert grey.tolist() == [[0] * 3, [128] * 3, [255] * 3, [255] * 3, [255, 0, 255]]


def test_tiles_fill_a_sheet():
    assert [across(n) for n in (1, 3, 24, 10_000)] == [1, 3, 6, 35]
    assert side_of(6, (7, 7)) == (154, 154)  # 22 pixels for each value
    assert side_of(35, (112, 56)) == (36, 18)
    assert (crossed(9, 9)[4, 4] != crossed(9, 9)[0, 4]).all()


def test_tiles_are_as_small_as_is_asked():
    values = np.arange(48, dtype=np.float32).reshape(6, 8, 1).repeat(24, 2)
    wide = [len(sheet.axes.images[0].get_array()[0]) for sheet in (seen(values).sheet(), seen(values).sheet(side=50))]
    # 20 and 6 pixels for each value: six beside one another, and as many as fill the width of the lettering.
    assert wide == [6 * (160 + 6) - 6, 15 * (48 + 6) - 6]
