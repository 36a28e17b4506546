"""Patches of a cue, and what they are pasted on."""

import numpy as np

from activation_atlas.stages.repair.known import Known
from activation_atlas.stages.repair.pasting import LEAST, Patch, lacking, parted, patches, to_fit, to_report


def known(label, cues, held):
    n = len(label)
    label, held = np.array(label), np.array(held, bool)
    return Known([""] * n, [""] * n, label, held, np.array(cues, bool).reshape(n, -1), np.zeros(n), np.arange(n) / n)


def test_a_patch_changes_its_rectangle_and_nothing_else():
    image = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    exemplar = {"image_id": "a", "row": 0, "col": 0, "top": 1, "left": 2, "bottom": 3, "right": 5}
    (patch,) = patches([exemplar, {**exemplar, "image_id": "gone"}], {"a": image})
    under = np.full((5, 5, 3), 200, np.uint8)
    changed = patch.on(under)
    np.testing.assert_array_equal(changed[1:3, 2:5], image[1:3, 2:5])
    changed[1:3, 2:5] = 200
    assert (changed == 200).all() and (under == 200).all()
    np.testing.assert_array_equal(patch.on(image), image)  # its own pixels put back


def test_no_patch_is_fitted_on_and_reported_with_but_a_single_one():
    five = [Patch(np.zeros((1, 1, 3)), (k, 0, k + 1, 1)) for k in range(5)]
    fitted, reported = parted(five)
    assert [p.rect[0] for p in fitted] == [0, 2, 4] and [p.rect[0] for p in reported] == [1, 3]
    assert parted(five[:1]) == (five[:1], five[:1]) and parted([]) == ([], [])


def test_classes_with_few_carriers_are_pasted_on():
    # Class 0 is the cue's; 1 has enough carriers, but for those that are held out; 2 has one too few.
    label = [0] * 5 + [1] * 2 * LEAST + [2] * 2 * LEAST
    cues = [1] * 5 + [1] * LEAST + [0] * LEAST + [1] * (LEAST - 1) + [0] * (LEAST + 1)
    held = [0] * len(label)
    some = known(label, cues, held)
    assert lacking(some, [0]) == [(0, 0), (0, 2)] and lacking(some, [2]) == [(0, 0), (0, 2)]
    held[5] = 1
    some = known(label, cues, held)
    assert lacking(some, [0]) == [(0, 0), (0, 1), (0, 2)]
    rows = np.flatnonzero(~some.held)
    patch = Patch(np.zeros((1, 1, 3)), (0, 0, 1, 1))
    pasted = to_fit(some, lacking(some, [0]), rows, [[patch]], most=15)
    assert np.bincount(some.label[list(pasted)]).tolist() == [0, 5, 5]  # all of class 0 carry it
    assert not some.cues[list(pasted)].any() and all(own == [(0, patch)] for own in pasted.values())
    assert to_fit(some, lacking(some, [0]), rows, [[]], most=10) == {}


def test_no_image_of_the_cues_class_is_reported_pasted_on():
    some = known([0, 1, 1, 1], [[0, 0], [0, 0], [0, 1], [0, 0]], [1, 1, 1, 1])
    first, second = (Patch(np.zeros((1, 1, 3)), (k, 0, k + 1, 1)) for k in (1, 2))
    pasted = to_report(some, [0, 1], np.arange(4), [[first], [second]], most=5)
    assert pasted == {1: [(0, first)], 3: [(0, first)], 0: [(1, second)]}
