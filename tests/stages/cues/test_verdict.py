"""Verdicts of trials made by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.cues.verdict import needed, needed_without, pasted, removed, verdict

N = 100


def _trials(flips: dict[str, int], change: dict[str, float]) -> pa.Table:
    """N images: of each kind the first so many become class 1; logits change by so much, and a little noise."""
    rng, rows = np.random.default_rng(0), []
    for kind, by in change.items():
        for k in range(N):
            rows.append(
                {
                    "candidate": 0,
                    "class": 1,
                    "intervention": kind,
                    "image_id": f"{k:016x}",
                    "exemplar": k % 3,
                    **dict.fromkeys(("top", "left", "bottom", "right"), 0),
                    "logit_before": 0.0,
                    "logit_after": by + rng.normal() / 10,
                    "pred_before": 0,
                    "pred_after": 1 if k < flips.get(kind, 0) else 0,
                }
            )
    return pa.Table.from_pylist(rows, schema=tables.trials())


PASTES = {"paste": 3.0, "elsewhere": 2.0, "random": 0.0, "class": 1.0, "noise": 0.0}


def test_what_turns_many_more_than_any_control_is_verified():
    found = pasted(_trials({"paste": 60, "class": 10, "noise": 5}, PASTES), 0.05, 0)
    assert found["effect"] == pytest.approx(3, abs=0.05) and found["low"] < 3.05 and found["high"] > 2.95
    assert (found["flip_rate"], found["control"], found["control_rate"]) == (0.6, "class", 0.1)
    assert found["gap"] == 0.5 and found["gap_low"] > 0.35 and found["p_value"] < 1e-3
    assert verdict(found, found["p_value"], 0.05) == "verified"


def test_a_control_that_turns_as_many_refutes():
    found = pasted(_trials({"paste": 60, "noise": 59}, PASTES), 0.05, 0)
    assert found["control"] == "noise" and found["gap"] == pytest.approx(0.01)
    assert verdict(found, 1.0, 0.05) in ("refuted", "undecided")
    assert verdict(pasted(_trials({"paste": 2, "noise": 20}, PASTES), 0.05, 0), 1.0, 0.05) == "refuted"


def test_flips_alone_do_not_do_where_a_control_raises_the_logit_as_much():
    found = pasted(_trials({"paste": 60}, PASTES | {"random": 3.5}), 0.05, 0)
    assert found["p_value"] > 0.9


def test_more_images_decide_what_lies_near_the_least():
    found = pasted(_trials({"paste": 8}, PASTES), 0.05, 0)
    assert verdict(found, 0.3, 0.05) == "undecided"
    more = needed(found, 0.05)
    half = (found["gap_high"] - found["gap_low"]) / 2
    assert more > N and half * (N / (more - 1)) ** 0.5 == pytest.approx(abs(found["gap"] - 0.05), rel=0.01)


def test_too_few_images_are_no_test():
    few = _trials({"paste": 60}, PASTES).filter(pa.array([k % N < 5 for k in range(5 * N)]))
    found = pasted(few, 0.05, 0)
    assert found == {"images": 5} and verdict(found, 0.0, 0.05) == "undecided"


def test_taking_out_is_held_against_taking_out_beside():
    ways = {kind: -3.0 for kind in ("inpaint", "blur", "swap")} | {
        f"{k}_elsewhere": -1.0 for k in ("inpaint", "blur", "swap")
    }
    found = removed(_trials({}, ways), 0)
    assert found["carriers"] == N and found["removal"] == pytest.approx(2, abs=0.05)
    assert found["removal_low"] < 2.05 and found["removal_p"] < 1e-3
    other = removed(_trials({}, {k: -v for k, v in ways.items()}), 0)
    assert verdict({"gap": 0.5, "gap_high": 0.6} | other, 0.0, 0.05) == "refuted"


def test_more_images_that_have_it_show_a_fall_that_is_near_none():
    found = {"carriers": 50, "removal": 0.5, "removal_low": -0.5, "removal_high": 1.5}
    assert needed_without(found) == 50 * 4 + 1
    assert needed_without(found | {"removal_low": 0.1}) is None and needed_without({"carriers": 3}) is None
