"""Where a map lies on the model's input, and the surface it makes there."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.place import Place
from tests.stages.vision.laid import laid

PLACES = {
    "a crop": ((5, 4), (24, 30), Place((3, 4), (6, 9), (5, 7, 20, 23))),
    "unpadded": ((4, 4), (24, 24), Place((4, 4), (5.5, 5.5), (2, 2, 22, 22))),
    "one-sided padding": ((3, 3), (24, 24), Place((8, 8), (7, 7), (0, 0, 24, 24))),
    "centres outside": ((9, 9), (12, 12), Place((2, 2), (-2, -2), (0, 0, 12, 12))),
    "finer than pixels": ((20, 20), (8, 8), Place((0.4, 0.4), (-0.3, -0.3), (0, 0, 8, 8))),
    "one row": ((1, 6), (8, 24), Place((8, 4), (3.5, 1.5), (0, 0, 8, 24))),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_surface_is_bilinear_between_the_centres(name):
    shape, size, place = PLACES[name]
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected, (down, right) = laid(values, place, size), place.matrices(shape, size)
    np.testing.assert_allclose(np.nan_to_num(expected), down @ values @ right.T, atol=1e-5)
    if min(place.stride) >= 1:  # else drawn antialiased
        np.testing.assert_allclose(place.on_input(values, size), expected, atol=1e-5)
    found = np.argwhere(np.isfinite(place.on_input(values, size)))
    assert (*found.min(0), *(found.max(0) + 1)) == place.covers


@pytest.mark.parametrize(
    ("shape", "size"), [((7, 7), (224, 224)), ((3, 5), (10, 16)), ((1, 4), (4, 4)), ((5, 5), (5, 5))]
)
def test_an_even_surface_is_tensorflows_resize(shape, size):
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = tf.image.resize(values[None, ..., None], size)[0, ..., 0]
    np.testing.assert_allclose(Place.even(shape, size).on_input(values, size), expected, atol=1e-5)


def test_parts_and_sizes_of_a_surface_agree():
    values, place = np.arange(20.0).reshape(5, 4), PLACES["a crop"][2]
    whole = place.surface(values, (0, 0, 30, 24), (24, 30))
    np.testing.assert_allclose(place.surface(values, (3, 6, 23, 16), (10, 20)), whole[6:16, 3:23], atol=1e-5)
    nearest = place.surface(values, (0, 0, 30, 24), (24, 30), "nearest")
    # Rows 6, 9 and 12 are centres; row 10 is nearer to the second.
    assert nearest[[0, 6, 7, 8, 10, 12], 9].tolist() == [0, 0, 0, 4, 4, 8]


def test_a_pooled_map_lies_where_the_map_does():
    place = Place((2, 2), (4, 10), (3, 9, 19, 25)).pooled((8, 8), (4, 2))
    # Cells of 2 rows and of 4 columns: rows 4 and 6 meet at 5, columns 10 to 16 at 13.
    assert place == Place((4, 8), (5, 13), (3, 9, 19, 25))


def test_a_place_is_kept_in_a_row():
    place = Place((2.5, 32.0), (0.75, 15.5), (0, 3, 20, 33))
    assert place.row() == {"stride": [2.5, 32.0], "offset": [0.75, 15.5], "covers": [0, 3, 20, 33]}
    assert Place.of(place.row()) == place
