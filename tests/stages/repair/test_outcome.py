"""The table of a repair, by hand."""

import numpy as np
import pytest

from activation_atlas.stages.repair.outcome import Told, fits, rows
from activation_atlas.stages.repair.telling import losses

TIMES = 20


def _told(label: list[int], before: list[int], after: list[int]) -> Told:
    """Each image so many times, for what is said where it is sure."""
    return Told(*(np.repeat(each, TIMES) for each in (label, before, after)))


def test_shares_by_hand():
    # Labels 0 0 0 0 1 1 1 1; the cue speaks for 0 and lies on the last of class 0 and the last two of class 1.
    told = _told([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1, 0])
    cues = np.repeat(np.array([0, 0, 0, 1, 0, 0, 1, 1], bool), TIMES)[:, None]
    pasted = _told([1, 1], [0, 0], [1, 0]), np.ones(2 * TIMES, int)
    found = {
        (r["candidate"], r["class"], r["shown"]): r for r in rows(told, cues, [pasted], [(5, 0, {None: "pasted"})])
    }
    assert len(found) == 3 + 3 + 3 + 2
    whole, plain = found[None, None, "all"], found[None, None, "without"]
    assert (whole["images"], whole["before"], whole["after"], whole["change"]) == (8 * TIMES, 5 / 8, 5 / 8, 0)
    assert (plain["images"], plain["before"], plain["after"], plain["reference"]) == (5 * TIMES, 0.8, 0.8, None)
    own = found[5, None, "with"]
    # Without the cue class 0 is right in 2 of 3 and class 1 always: (2/3 + 1 + 1) / 3.
    assert (own["images"], own["before"], own["after"], own["fit"]) == (3 * TIMES, 1 / 3, 1 / 3, "pasted")
    assert own["reference"] == pytest.approx(8 / 9) and own["recovered"] == 0
    assert (own["taken_before"], own["taken_after"]) == (1, 0.5)
    mine, other = found[5, 0, "with"], found[5, 1, "with"]
    assert mine["recovered"] is None and mine["taken_before"] is None and mine["change"] == -1
    assert other["recovered"] == 0.5 and other["reference"] == 1
    changed = found[5, 1, "pasted"]
    assert (changed["before"], changed["after"], changed["reference"], changed["recovered"]) == (0, 0.5, 1, 0.5)


def test_no_share_of_a_loss_that_may_be_chance():
    """Of 50 images with the cue pasted on 2 are lost, and 4 others come back: no repair of 200 %."""
    label = np.ones(50, int)
    was, before, after = np.r_[np.ones(46, int), np.zeros(4, int)], np.zeros(50, int), np.ones(50, int)
    before[2:46] = 1
    plain = Told(label, label, label), np.zeros((50, 1), bool)
    found = {(r["class"], r["shown"]): r for r in rows(*plain, [(Told(label, before, after), was)], [(0, 0, {})])}
    row = found[1, "pasted"]
    assert (row["reference"], row["before"], row["after"]) == (0.92, 0.88, 1.0) and row["recovered"] is None


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
