"""Deletion and insertion: a linear model's closed form, ends, random order, batches."""

import keras
import numpy as np
import pytest
from keras import layers

from activation_atlas.stages.evaluate.pointing import energy, pointing
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.deletion import PixelCurves, area, gaussian
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.method import GREY
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.attribution.pixels import at_input, draw, order
from activation_atlas.stages.vision.model import open_model
from activation_atlas.stages.vision.place import Place
from tests.stages.vision import small_models

SIZE = 4


def curves(probability):
    """Area by hand: the mean of neighbours, over equal steps."""
    p = np.asarray(probability, float)
    return sum((a + b) / 2 for a, b in zip(p[:-1], p[1:], strict=True)) / (len(p) - 1)


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """The logit is a weighted sum of the 16 pixels, less what all grey gives; weights 15 ... 0 thousandths."""
    image = keras.Input((SIZE, SIZE, 1))
    model = keras.Model(image, layers.Dense(1, activation="sigmoid")(layers.Flatten()(image)))
    weights = np.arange(15, -1, -1, dtype="float32") / 1000
    model.layers[-1].set_weights([weights[:, None], np.float32([-GREY * weights.sum()])])
    path = tmp_path_factory.mktemp("linear") / "linear.keras"
    model.save(path)
    return open_model(ModelSpec(path=str(path))), weights


def test_area_by_hand():
    assert area(np.array([1.0, 0.5, 0.0])) == 0.5
    assert area(np.array([[1.0, 1.0], [0.0, 1.0]])).tolist() == [1.0, 0.5]


def test_deletion_of_a_linear_model_is_its_closed_form(linear):
    model, weights = linear
    pixels = np.full((1, SIZE, SIZE, 1), 255, np.uint8)
    ranks = np.arange(16, dtype=np.int32).reshape(1, SIZE, SIZE)
    found = PixelCurves(model, 4, 8).__call__(pixels, ranks)
    left = [weights[2 * s :].sum() * (255 - GREY) for s in range(9)]  # two pixels in a step, the heaviest first
    expected = 1 / (1 + np.exp(-np.array(left)))
    assert found.deletion.shape == (1, 9, 2)
    np.testing.assert_allclose(found.deletion[0, :, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(area(found.deletion[0, :, 1]), curves(expected), rtol=1e-6)
    # An image of one value is its own blur: nothing is missing that could come back.
    np.testing.assert_allclose(found.insertion[0, :, 1], expected[0], rtol=1e-5)


def test_a_perfect_map_is_better_than_random_and_random_than_the_worst(linear):
    model, weights = linear
    pixels = np.random.default_rng(0).integers(140, 256, (1, SIZE, SIZE, 1)).astype(np.uint8)
    effect = weights.reshape(SIZE, SIZE) * (pixels[0, :, :, 0] - GREY)
    curves = PixelCurves(model, 3, 16)
    random = draw("00ff", 0, (SIZE, SIZE))
    ranks = np.stack([order(v, random) for v in (effect, random, -effect)])
    perfect, chance, worst = area(curves(np.repeat(pixels, 3, 0), ranks).deletion[:, :, 1])
    assert perfect < chance < worst


def test_insertion_goes_from_the_blur_to_the_image(linear):
    model, _ = linear
    pixels = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 1)).astype(np.uint8)
    ranks = np.arange(16, dtype=np.int32).reshape(1, SIZE, SIZE)
    curves = PixelCurves(model, 2, 5)
    found = curves(pixels, ranks)
    blurs = gaussian(SIZE, 0.05 * SIZE)
    blurred = np.einsum("ij,jk,lk->il", blurs, pixels[0, :, :, 0].astype(float), blurs)
    for step, share in enumerate((0, 3, 6, 9, 12, 16)):  # floor(s x 16 / 5)
        shown = np.where(ranks[0] < share, pixels[0, :, :, 0], blurred)
        logit = shown.reshape(-1) @ (np.arange(15, -1, -1) / 1000) - GREY * 0.12
        assert found.insertion[0, step, 1] == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-4)
    assert found.insertion[0, -1, 1] == found.deletion[0, 0, 1]


def test_a_blur_keeps_what_is_even():
    blur = gaussian(9, 2.0)
    np.testing.assert_allclose(blur.sum(1), 1, rtol=1e-6)
    assert blur[4, 4] > blur[4, 5] > blur[4, 6] and blur[4, 3] == blur[4, 5]


@pytest.mark.parametrize("kinds", [(True, True), (True, False), (False, True)])
def test_curves_do_not_depend_on_their_companions(tmp_path_factory, kinds):
    model = small_models.opened("linear", tmp_path_factory.mktemp("models"))
    pixels = small_models.pixels().astype(np.uint8)
    ranks = np.stack([order(draw(f"{k:02x}", 0, (16, 16)), draw("00", 1, (16, 16))) for k in range(3)])
    curves = PixelCurves(model, 4, 3, *kinds)
    together = curves(pixels, ranks)
    for k in (2, 0):
        alone = curves(pixels[k : k + 1], ranks[k : k + 1])
        for name, asked in zip(("deletion", "insertion"), kinds, strict=True):
            if asked:
                assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[k])
                assert getattr(together, name).shape == (3, 4, 3)
            else:
                assert getattr(together, name) is None


# -- orders -------------------------------------------------------------------------


def test_the_largest_goes_first_and_ties_go_in_the_random_order():
    values = np.array([[0.0, 3.0], [0.0, 5.0]])
    random = np.array([[0.1, 0.9], [0.7, 0.2]])
    assert order(values, random).tolist() == [[3, 1], [2, 0]]


def test_a_map_of_one_value_is_the_random_map():
    random = draw("abcd", 3, (8, 8))
    assert np.array_equal(order(np.zeros((8, 8)), random), order(random, random))


def test_random_maps_belong_to_their_image_and_seed():
    assert np.array_equal(draw("0a", 1, (3, 3)), draw("0a", 1, (3, 3)))
    assert not np.array_equal(draw("0a", 1, (3, 3)), draw("0b", 1, (3, 3)))
    assert not np.array_equal(draw("0a", 1, (3, 3)), draw("0a", 2, (3, 3)))


def test_maps_at_the_input_by_hand():
    # Two windows of 2 x 4 in 2 x 6 pixels, two apart: the middle two pixels lie in both.
    even, nan = Place.even((1, 2), (1, 4)), np.nan
    found = at_input(np.array([[1.0, 3.0]]), Occlusion(patch=(2, 4), stride=2), (2, 6), even)
    assert found.tolist() == [[1, 1, 2, 2, 3, 3]] * 2
    # No window reaches the last pixel.
    found = at_input(np.array([[4.0]]), Occlusion(patch=(1, 2), stride=2), (1, 3), even)
    np.testing.assert_array_equal(found, [[4, 4, nan]])
    # Half-pixel centres: a quarter of the way, three quarters.
    assert at_input(np.array([[0.0, 4.0]]), GradCam(), (1, 4), even).tolist() == [[0, 1, 3, 4]]
    # Of a map of the middle alone, 2 pixels and 3: what it does not cover is neither for nor against.
    found = at_input(np.array([[1.0, -1.0]]), GradCam(), (1, 4), Place((1, 1), (0, 1), (0, 1, 1, 3)))
    np.testing.assert_array_equal(found, [[nan, 1, -1, nan]])
    assert order(found, np.array([[0.1, 0, 0, 0.9]])).tolist() == [[2, 0, 3, 1]]
    assert pointing(found, np.array([[False, True, False, False]])) == 1
    assert energy(found, np.array([[False, True, False, False]])) == 1
    same = np.float32([[1, 2], [3, 4]])
    assert np.array_equal(at_input(same, GradCam(), (2, 2), Place.whole((2, 2))), same)
