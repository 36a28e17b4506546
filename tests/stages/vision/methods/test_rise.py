"""RISE against a loop over masks, TensorFlow's own enlargement, and models whose maps can be said beforehand."""

from __future__ import annotations

import math
from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods import METHODS, Maps, Setting, rise
from activation_atlas.stages.vision.attribution.methods.rise import Rise, draw, enlargement
from activation_atlas.stages.vision.model import Model, open_model
from tests.stages.vision import small_models as small

OPTIONS = Rise(masks=11, cells=3, keep=0.4)
IDS = ["00000000000000a1", "00000000000000b2", "00000000000000c3"]


def explained(
    model: Model, pixels: np.ndarray, targets: np.ndarray, ids: list[str], batch: int = 4, seed: int = 0
) -> Maps:
    explain = METHODS["rise"].build(Setting(model, OPTIONS, {}, batch, targets.shape[1], seed))
    return explain(pixels, targets, ids)


def masks_of(image_id: str, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """The masks as the paper makes them: enlarge the small grid, cut it at the shift; (masks, height, width)."""
    options = OPTIONS
    grids, shifts = draw(seed, image_id, options.masks, options.cells, options.keep, size)
    large = [(options.cells + 1) * math.ceil(side / options.cells) for side in size]
    found = tf.image.resize(grids[..., None], large, "bilinear").numpy()[..., 0]
    return np.stack([m[y : y + size[0], x : x + size[1]] for m, (y, x) in zip(found, shifts, strict=True)])


def test_enlargement_by_hand():
    # Two cells over four pixels: cells of two pixels, three of them with the shift.
    third = float(Fraction(1, 3))
    of_the_second = [0, 0, third, 2 * third, 1, 1]
    np.testing.assert_allclose(enlargement(2, 4)[:, 1], of_the_second, rtol=1e-6)
    np.testing.assert_allclose(enlargement(2, 4)[:, 0], 1 - np.array(of_the_second), rtol=1e-6)
    assert enlargement(8, 224).shape == (252, 8)


@pytest.mark.parametrize(("cells", "size"), [(8, 224), (3, 16), (5, 33), (4, 3), (1, 7)])
def test_enlargement_is_half_pixel_bilinear(cells, size):
    row = np.random.default_rng(0).random((1, cells, 1, 1)).astype(np.float32)
    large = (cells + 1) * math.ceil(size / cells)
    expected = tf.image.resize(row, (large, 1), "bilinear").numpy()[0, :, 0, 0]
    np.testing.assert_allclose(enlargement(cells, size) @ row[0, :, 0, 0], expected, atol=1e-6)


def test_what_is_drawn_belongs_to_seed_and_image():
    grids, shifts = draw(0, IDS[0], 4000, 8, 0.3, (224, 100))
    assert set(np.unique(grids)) == {0, 1} and abs(grids.mean() - 0.3) < 0.01
    assert shifts.min() == 0 and tuple(shifts.max(0)) == (27, 12)
    again, *others = (draw(s, i, 4000, 8, 0.3, (224, 100))[0] for s, i in ((0, IDS[0]), (1, IDS[0]), (0, IDS[1])))
    np.testing.assert_array_equal(again, grids)
    assert all((other != grids).any() for other in others)


def test_it_equals_a_loop_over_masks(tmp_path):
    model = small.opened("nested", tmp_path)
    pixels, targets = small.pixels(count=2).astype(np.uint8), np.array([[0, 2], [1, 0]], np.int32)
    maps = explained(model, pixels, targets, IDS[:2])
    for i in range(2):
        for k, target in enumerate(targets[i]):
            total = np.zeros((16, 16))
            for mask in masks_of(IDS[i], (16, 16)):
                _, logits = model.forward()(model.to_input(mask[..., None] * pixels[i])[None])
                total += mask * float(logits[0, target])
            expected = total / OPTIONS.masks / OPTIONS.keep
            np.testing.assert_allclose(maps.values[i, k], expected, atol=1e-5 * np.abs(expected).max())
    _, logits = model.forward()(model.to_input(pixels))
    np.testing.assert_allclose(maps.scores, np.take_along_axis(logits.numpy(), targets, 1), rtol=1e-5)


@pytest.fixture(scope="module")
def simple(tmp_path_factory) -> Model:
    """Images of 6 x 9 pixels, one channel: logit 0 is always 2, logit 1 the value of pixel (4, 7)."""
    model = keras.Sequential([keras.Input((6, 9, 1)), layers.Flatten(), layers.Dense(2)])
    kernel = np.zeros((54, 2), np.float32)
    kernel[4 * 9 + 7, 1] = 1
    model.layers[-1].set_weights([kernel, np.float32([2, 0])])
    path = small.save(model, tmp_path_factory.mktemp("simple"))
    return open_model(ModelSpec(path=path, output="logits"))


def test_a_score_that_never_changes_gives_the_mean_mask(simple):
    pixels = np.full((1, 6, 9, 1), 50, np.uint8)
    maps = explained(simple, pixels, np.array([[0, 1]], np.int32), IDS[:1])
    masks = masks_of(IDS[0], (6, 9))
    np.testing.assert_allclose(maps.values[0, 0], 2 * masks.mean(0) / OPTIONS.keep, rtol=1e-5)
    # A score of one pixel: 50 x how often each other pixel is shown together with it.
    together = (masks * masks[:, 4:5, 7:8]).mean(0)
    np.testing.assert_allclose(maps.values[0, 1], 50 * together / OPTIONS.keep, rtol=1e-5)
    np.testing.assert_allclose(maps.scores, [[2, 50]])
    np.testing.assert_array_equal(maps.idle, [[True, False]])


@pytest.mark.parametrize(("side", "cells"), [(224, 8), (1024, 8), (32, 8), (28, 7), (16, 4), (8, 2), (2, 2), (1, 2)])
def test_cells_come_from_the_size_of_the_input(side, cells):
    assert Rise().at((side + 3, side)).cells == cells and Rise(cells=5).at((side, side)).cells == 5


def test_a_map_is_the_same_bit_for_bit_whatever_its_batch_and_companions(tmp_path):
    model = small.opened("nested", tmp_path)
    pixels, targets = small.pixels(count=3).astype(np.uint8), np.array([[0, 1], [2, 1], [1, 0]], np.int32)
    together = explained(model, pixels, targets, IDS, batch=4)
    turned = explained(model, pixels[[2, 0]], targets[[2, 0]], [IDS[2], IDS[0]], batch=7)
    np.testing.assert_array_equal(turned.values, together.values[[2, 0]])
    np.testing.assert_array_equal(turned.scores, together.scores[[2, 0]])


def test_many_masks_are_summed_in_parts(simple, monkeypatch):
    pixels, targets = np.full((1, 6, 9, 1), 50, np.uint8), np.array([[1]], np.int32)
    whole = explained(simple, pixels, targets, IDS[:1])
    monkeypatch.setattr(rise, "CHUNK", 4)
    np.testing.assert_allclose(explained(simple, pixels, targets, IDS[:1]).values, whole.values, rtol=1e-5)
