"""The table of a repair, by hand."""

import numpy as np
import pytest

from activation_atlas.stages.repair.outcome import Told, fits, rows
from activation_atlas.stages.repair.telling import losses


def test_shares_by_hand():
    # Labels 0 0 0 0 1 1 1 1; the cue speaks for 0 and lies on the last of class 0 and the last two of class 1.
    label, before = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 0, 1, 1, 0, 0]
    told = Told(np.array(label), np.array(before), np.array([0, 0, 1, 1, 1, 1, 1, 0]))
    cues = np.array([0, 0, 0, 1, 0, 0, 1, 1], bool)[:, None]
    pasted = Told(np.array([1, 1]), np.array([0, 0]), np.array([1, 0])), np.array([1, 1])
    found = {
        (r["candidate"], r["class"], r["shown"]): r for r in rows(told, cues, [pasted], [(5, 0, {None: "pasted"})])
    }
    assert len(found) == 3 + 3 + 3 + 2
    whole, plain = found[None, None, "all"], found[None, None, "without"]
    assert (whole["images"], whole["before"], whole["after"], whole["change"]) == (8, 5 / 8, 5 / 8, 0)
    assert (plain["images"], plain["before"], plain["after"], plain["reference"]) == (5, 0.8, 0.8, None)
    own = found[5, None, "with"]
    # Without the cue class 0 is right in 2 of 3 and class 1 always: (2/3 + 1 + 1) / 3.
    assert (own["images"], own["before"], own["after"], own["fit"]) == (3, 1 / 3, 1 / 3, "pasted")
    assert own["reference"] == pytest.approx(8 / 9) and own["recovered"] == 0
    assert (own["taken_before"], own["taken_after"]) == (1, 0.5)
    mine, other = found[5, 0, "with"], found[5, 1, "with"]
    assert mine["recovered"] is None and mine["taken_before"] is None and mine["change"] == -1
    assert other["recovered"] == 0.5 and other["reference"] == 1
    changed = found[5, 1, "pasted"]
    assert (changed["before"], changed["after"], changed["reference"], changed["recovered"]) == (0, 0.5, 1, 0.5)


def test_what_got_worse_is_said():
    label, cues = np.zeros(40, int), np.zeros((40, 0), bool)
    told = rows(Told(label, label, np.repeat([0, 1], 20)), cues, [], [])
    lines = list(losses(told, [], ["cat", "dog"]))
    assert "of 40 images without a verified cue labelled cat, 100.0% were right and 50.0% are" in lines[-1]
    assert not list(losses(rows(Told(label, label, label), cues, [], []), [], ["cat", "dog"]))


def test_how_classes_were_fitted():
    pairs = [(0, 0), (0, 1), (0, 2)]
    assert fits(pairs, [0, 1, 2], 0, 0) == {0: "both", 1: "pasted", 2: "pasted", None: "pasted"}
    assert fits([(0, 0), (0, 1), (1, 2)], [0, 1, 2], 0, 0)[None] == "both"
    assert fits([], [0, 1], 0, 0)[None] == "as they are"
