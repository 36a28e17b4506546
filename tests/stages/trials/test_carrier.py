"""The part of an image that carries a logit."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.trials.carrier import carrier
from activation_atlas.stages.trials.experiment import Patch, pastings, removals


def _reds(images: np.ndarray) -> np.ndarray:
    """Class 1: how much red there is, from 200 on; nothing else counts."""
    red = np.maximum(images[..., 0].astype(float) - 200, 0).sum((1, 2))
    return np.stack([np.zeros(len(images)), red], 1)


def test_it_lies_over_what_counts_and_is_small():
    image = np.full((32, 32, 3), 90, np.uint8)
    image[18:23, 6:11, 0] = 255
    rect, drop, most = carrier(image, (17, 12), 1, _reds)
    assert rect[0] <= 18 and rect[1] <= 6 and rect[2] >= 23 and rect[3] >= 11
    assert (rect[2] - rect[0]) * (rect[3] - rect[1]) <= 100 and drop >= 0.95 * most > 0


def test_where_nothing_counts_it_is_a_quarter_of_the_sides():
    rect, drop, most = carrier(np.full((32, 32, 3), 90, np.uint8), (16, 16), 1, _reds)
    assert (rect[2] - rect[0], rect[3] - rect[1]) == (8, 8) and drop == most == 0


def test_each_host_gets_every_kind_at_the_same_place():
    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 256, (16, 16, 3), np.uint8) for name in ("host", "cue", "other", "source")}
    patch = Patch("cue", 0, 0, (2, 3, 6, 9))
    made = {c.kind: c for c in pastings(["host"], [patch], [("other", (8, 8))], ["source"], pixels, rng)}
    assert set(made) == {"paste", "elsewhere", "random", "class", "noise"}
    np.testing.assert_array_equal(made["paste"].image[2:6, 3:9], pixels["cue"][2:6, 3:9])
    assert {made[kind].rect for kind in ("paste", "random", "class", "noise")} == {(2, 3, 6, 9)}
    for change in made.values():
        top, left, bottom, right = change.rect
        outside = np.ones((16, 16), bool)
        outside[top:bottom, left:right] = False
        np.testing.assert_array_equal(change.image[outside], pixels["host"][outside])


def test_the_same_seed_makes_the_same_changes():
    pixels = {name: np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8) for name in ("a", "b")}
    first, second = (list(removals([("a", (8, 8))], (4, 4), ["b"], pixels, np.random.default_rng(1))) for _ in range(2))
    assert [c.kind for c in first][:2] == ["inpaint", "inpaint_elsewhere"]
    for one, other in zip(first, second, strict=True):
        assert one.rect == other.rect
        np.testing.assert_array_equal(one.image, other.image)


def test_a_plain_patch_has_no_noise_of_its_own():
    pixels = {name: np.full((16, 16, 3), k * 60, np.uint8) for k, name in enumerate(("host", "cue", "source"))}
    made = pastings(["host"], [Patch("cue", 0, 0, (2, 3, 6, 9))], [], ["source"], pixels, np.random.default_rng(0))
    assert [c.kind for c in made] == ["paste", "elsewhere", "random"]
