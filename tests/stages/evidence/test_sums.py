"""Foreign evidence beside a slow twin, and regions on a grid drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from activation_atlas.stages.audited import Images, Rows
from activation_atlas.stages.evidence import chosen
from activation_atlas.stages.evidence.occurrences import constancy
from activation_atlas.stages.evidence.regions import Region, regions
from activation_atlas.stages.evidence.sums import Sums


def _rows(seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    images, m = 30, 400
    own = np.zeros((images, 3), bool)
    own[np.arange(images), rng.integers(0, 3, images)] = True
    held, flags = rng.random(images) < 0.5, np.zeros(images, bool)
    known = Images(
        [f"{k:016x}" for k in range(images)], own, own, ~flags, flags, held, [f"{k:016x}" for k in range(images)]
    )
    cell = rng.integers(0, 4, m)
    place = np.zeros(m, np.int64)
    return Rows(known, np.sort(rng.integers(0, images, m)), cell, place, place, rng.normal(size=(m, 3)))


def test_what_other_classes_images_say():
    rows = _rows(0)
    sums = Sums(4, 3)
    sums.add(rows)
    own, foreign = sums.sides()
    for cell in range(4):
        for kind in range(3):
            for side, mine in ((own, True), (foreign, False)):
                there = [
                    k
                    for k in range(len(rows.cell))
                    if rows.cell[k] == cell
                    and not rows.images.held[rows.image[k]]
                    and bool(rows.images.own[rows.image[k], kind]) is mine
                ]
                values, whose = rows.values[there, kind], rows.image[there]
                assert side.rows[cell, kind] == len(there) and side.images[cell, kind] == len(set(whose))
                assert side.mean[cell, kind] == pytest.approx(values.mean())
                off = [(values[whose == k] - values.mean()).sum() for k in set(whose)]
                g = len(off)
                error = np.sqrt(g / (g - 1) * np.square(off).sum()) / len(there)
                assert side.error[cell, kind] == pytest.approx(error)
                best = rows.values[there].argmax(1)
                won = np.mean((best == kind) & (rows.values[there].max(1) > 0))
                assert side.won[cell, kind] == pytest.approx(won)


def test_the_held_half_changes_nothing():
    rows = _rows(1)
    poisoned = rows.values.copy()
    poisoned[rows.images.held[rows.image]] = 1e6
    found = []
    for values in (rows.values, poisoned):
        sums = Sums(4, 3)
        sums.add(Rows(rows.images, rows.image, rows.cell, rows.row, rows.col, values))
        found.append(sums.sides()[1])
    np.testing.assert_array_equal(found[0].mean, found[1].mean)
    np.testing.assert_array_equal(found[0].won, found[1].won)


def test_a_region_grows_to_neighbours_of_half_its_strength():
    strong = np.array([4.0, 3.0, 1.0, 0.0, 2.5])[:, None]
    x, y = np.array([0, 1, 2, 3, 4]), np.zeros(5, np.int64)
    found = regions(strong, x, y, 2, True)
    assert [(r.cells, r.strength) for r in found] == [((0, 1), 4.0), ((4,), 2.5)]


def test_constancy_by_hand():
    sampled = np.full((2, 2), 1000)
    whole = np.log(4) + 3 / 8000
    assert constancy(np.array([[5, 0], [0, 0]]), sampled) == 1
    assert constancy(np.array([[3, 3], [3, 3]]), sampled) == 0
    assert constancy(np.array([[2, 2], [0, 0]]), sampled) == pytest.approx(1 - (np.log(2) + 1 / 8) / whole)
    assert np.isnan(constancy(np.zeros((2, 2)), sampled))


def test_few_rows_anywhere_are_not_at_one_place():
    rng, sampled = np.random.default_rng(0), np.full((8, 8), 1000)
    drawn = [np.bincount(rng.integers(0, 64, 100), minlength=64).reshape(8, 8) for _ in range(200)]
    assert np.mean([constancy(places, sampled) for places in drawn]) < 0.03  # uncorrected .08


def test_what_is_tested_of_a_classs_own():
    """Foreign ones by strength; then own ones at one place or outside the object, by strength times that."""
    found = [Region(0, (k,), 12.0 - k, k < 6) for k in range(12)]
    places = [0.0] * 6 + [0.1, 0.9, 0.5, None, 0.39, 0.0]
    away = [None] * 6 + [0.2, None, 0.1, None, 0.95, 0.89]
    assert chosen(found, places, away, 4) == ([0, 1, 2, 3, 7, 4, 5, 6, 8, 9, 10, 11], 5)
    order, count = chosen(found, places, away, 20)
    assert order[:count] == [*range(6), 7, 8, 10]  # 5 x .9, 4 x .5, 2 x .95
    assert chosen(found, places, away, 3)[1] == 3
