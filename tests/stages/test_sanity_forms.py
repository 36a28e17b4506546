"""What stands beside the cascade: maps averaged over noisy copies, a random map's scores, the curves of ROAD."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from activation_atlas.stages import tables
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.sanity.chance import chance, set_against
from activation_atlas.stages.sanity.curves import curves
from activation_atlas.stages.sanity.smooth import averaged, copies
from activation_atlas.stages.vision.attribution.methods.method import Maps
from activation_atlas.stages.vision.attribution.pixels import random_map
from tests.memory import MemoryInputs


def image(seed=0, low=100, high=180):
    return np.random.default_rng(seed).integers(low, high, (9, 7, 3)).astype(np.uint8)


# -- noisy copies --------------------------------------------------------------------


def test_the_first_copy_is_the_image_and_the_noise_of_the_others_a_tenth_of_its_range():
    pixels = np.full((60, 60, 3), 120, np.uint8)
    pixels[0, 0], pixels[0, 1] = 70, 170
    first, *others = copies(pixels, "0a", 0, 9)
    assert np.array_equal(first, pixels) and len(others) == 8
    noise = np.stack(others).astype(float) - pixels
    assert abs(noise.mean()) < 0.2 and noise.std() == pytest.approx(10, rel=0.02)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05, "each has noise of its own"


def test_copies_are_images_and_follow_from_seed_and_id():
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20] = 255
    one, two = (list(copies(pixels, "0a", 0, 3)) for _ in range(2))
    assert all(np.array_equal(a, b) and a.dtype == np.uint8 for a, b in zip(one, two, strict=True))
    # Cut at 255, not wrapped around: half of the white pixels stay white.
    assert 0.4 < (one[1][:20] == 255).mean() < 0.6 and one[1][:20].min() > 120
    for image_id, seed in (("0b", 0), ("0a", 1)):
        assert not np.array_equal(one[1], list(copies(pixels, image_id, seed, 3))[1])


@pytest.mark.parametrize("batch", [1, 2, 5, 16])
def test_maps_are_averaged_one_by_one(batch):
    """As the paper writes it: for each image, the mean of the maps of its copies; whatever the batches are."""
    calls = []

    def explain(pixels, targets, ids):
        calls.append(len(pixels))
        values = pixels.astype("float32").mean(-1) ** 2 * targets[:, 0, None, None]
        return Maps(values[:, None], np.zeros((len(pixels), 1), "float32"))

    images, targets = {"0a": image(0), "0b": image(1), "0c": image(2)}, {"0a": 1, "0b": -2, "0c": 3}
    found = averaged(explain, images, targets, 7, 4, batch)
    for i, pixels in images.items():
        twin = np.zeros((9, 7))
        for copy in copies(pixels, i, 7, 4):
            twin += targets[i] * copy.astype("float32").mean(-1).astype(float) ** 2 / 4
        np.testing.assert_allclose(found[i], twin, rtol=1e-5)
    assert max(calls) <= batch and sum(calls) == 12


def test_noise_that_passes_for_forgetting_is_averaged_out():
    """Maps of a thing that both models see, each under a gradient's noise: their correlation comes back."""
    thing, rng = np.random.default_rng(0).normal(size=(20, 20)), np.random.default_rng(1)

    def explain(pixels, targets, ids):
        values = thing + 3 * rng.normal(size=(len(pixels), 20, 20))
        return Maps(values[:, None].astype("float32"), np.zeros((len(pixels), 1), "float32"))

    given = {"0a": np.random.default_rng(2).integers(0, 256, (20, 20, 3)).astype(np.uint8)}, {"0a": 0}
    once, many = (
        spearmanr(*(averaged(explain, *given, 0, n, 16)["0a"].ravel() for _ in range(2))).statistic for n in (1, 64)
    )
    assert once < 0.3 and many > 0.8


# -- a map that knows nothing --------------------------------------------------------


def shuffled(*rows) -> list[pa.Table]:
    """A part for each depth of two, of rows (image_id, depth)."""
    common = {"layers": 2, "layer": "first", "left_out": 0, "place": 0, "correlation": 0.9}
    made = [[common | {"image_id": i, "depth": d} for i, d in rows if d == depth] for depth in (1, 2)]
    return [pa.Table.from_pylist(part, schema=tables.shuffled()) for part in made]


@pytest.mark.parametrize("random", ["random", "random_pixels"])
def test_a_random_map_is_held_against_another_draw(random):
    held = {"shuffled/a": shuffled(("0a", 1), ("0a", 2), ("0b", 2)), "shuffled/b": shuffled(("0c", 2))}
    (row,) = chance(MemoryInputs(held), ["a", "b"], random, (24, 20), 3)
    smooth = random == "random"
    twin = [
        spearmanr(*(random_map(i, seed, (24, 20), smooth).ravel() for seed in (3, 4))).statistic
        for i in ("0a", "0b", "0c")
    ]
    assert row["mean"] == pytest.approx(np.mean(twin), abs=1e-6) and row["low"] < row["mean"] < row["high"]
    assert [row[name] for name in ("depth", "layers", "layer", "images", "n", "left_out")] == [2, 2, "first", 3, 3, 0]
    assert row["mean_abs"] is None and row["n_abs"] == 0 and row["copies"] is None
    assert pa.Table.from_pylist([row], schema=tables.randomization()).num_rows == 1


def test_where_nothing_was_compared_there_is_no_row_of_chance():
    assert chance(MemoryInputs({"shuffled/a": shuffled()}), ["a"], "random", (8, 8), 0) == []
    assert set_against({"b": "random", "a": "random", "c": "random_pixels"}, "random") == ["a", "b"]


# -- the curves of ROAD --------------------------------------------------------------


def removals(rows) -> pa.Table:
    """Of (image_id, kinds, percent, morf_first, lerf_first)."""
    names = ("image_id", "target_kinds", "percent", "morf_first", "lerf_first")
    about = {"target": 1, "morf": 0.5, "lerf": 0.5}
    return pa.Table.from_pylist([about | dict(zip(names, row, strict=True)) for row in rows], schema=tables.road())


def test_the_curves_of_road_by_hand():
    both = ["predicted", "label"]
    parts = [
        removals([("0a", both, 10, True, True), ("0a", both, 90, False, True), ("0b", ["label"], 10, False, True)]),
        # An image with two labels counts once; one without finite probabilities does not.
        removals([("0c", ["label"], 10, True, True), ("0c", ["label"], 10, False, True)]),
        removals([("0d", both, 10, None, True), ("0d", both, 90, False, None)]),
    ]
    found = {(r["kind"], r["percent"]): r for r in curves(MemoryInputs({"road/a": parts}), ["a"])}
    assert list(found) == [("label", 10), ("label", 90), ("predicted", 10), ("predicted", 90)]
    row = found["label", 10]
    assert (row["variant"], row["n"], row["morf"], row["lerf"]) == ("a", 3, 0.5, 1.0)
    assert (row["morf_low"], row["morf_high"]) == pytest.approx(wilson(1.5, 3))
    assert row["lerf_high"] == 1 and 0 < row["lerf_low"] < 1, "of three images seen, not of all"
    assert (found["predicted", 90]["n"], found["predicted", 90]["morf"]) == (1, 0.0)
    assert pa.Table.from_pylist([*found.values()], schema=tables.road_curves()).num_rows == 4
