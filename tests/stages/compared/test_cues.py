"""Verified cues of two audits: new, gone, worse, better, or the same."""

import numpy as np

from activation_atlas.stages.compared.cues import SCHEMA, Region, matched
from activation_atlas.stages.compared.described import COLUMNS


def region(held, verdict="verified", gap=0.5, half=0.1, name="horse"):
    row = {"candidate": len(held), "verdict": verdict, "flip_rate": gap + 0.1}
    row |= {"gap": gap, "gap_low": gap - half, "gap_high": gap + half}
    held = np.array(held)
    return Region(row, name, held, np.union1d(held, held + 1))


def states(before, after):
    return matched(before, after)["state"].to_pylist()


def test_states():
    here, there = list(range(10)), list(range(100, 110))
    assert states([region(here)], [region(here, gap=0.55)]) == ["same"]
    assert states([region(here)], [region(here, gap=0.7)]) == ["worse"]  # .2 more, and .14 is what both intervals hold
    assert states([region(here)], [region(here, gap=0.3)]) == ["better"]
    assert states([region(here)], [region(there)]) == ["new", "gone"]
    assert states([], [region(here)]) == ["new"] and states([region(here)], []) == ["gone"]
    assert states([region(here)], [region(here, "refuted")]) == ["gone"]
    assert states([region(here)], [region(here, "undecided")]) == ["undecided"]
    assert states([region(here, "refuted")], [region(here)]) == ["new"]
    assert states([region(here, "refuted")], [region(here, "undecided")]) == []


def test_a_cue_is_of_its_class_and_overlaps():
    here = list(range(12))
    assert states([region(here, name="deer")], [region(here)]) == ["new", "gone"]
    quarter, less = [*range(9, 12), *range(50, 59)], [*range(11, 12), *range(50, 61)]
    assert states([region(here)], [region(quarter)]) == ["same"]
    assert states([region(here)], [region(less)]) == ["new", "gone"]
    assert region(here).overlap(region([3])) == region([3]).overlap(region(here)) == 1  # and not 2
    assert region(here).overlap(region([])) == 0
    # Two regions of one cue: the second run's only one is neither new nor is the other gone.
    assert states([region(here[:6]), region(here[6:])], [region(here)]) == ["same"]


def test_columns_are_described():
    assert SCHEMA.names == list(COLUMNS["cues"])
