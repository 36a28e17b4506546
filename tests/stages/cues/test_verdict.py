"""Verdicts of trials made by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.cues.verdict import missing, needed, pasted, removed, verdict

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
                    "exemplar": k % 10,
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


def test_one_odd_patch_of_ten_is_no_cue():
    """It turns all ten images it is pasted on, the others none: over images that is more than the least."""
    rows = _trials({}, PASTES).to_pylist()
    for row in rows:
        row["pred_after"] = int(
            row["intervention"] == "paste" and row["exemplar"] == 0 and row["image_id"] != f"{0:016x}"
        )
    found = pasted(pa.Table.from_pylist(rows, schema=tables.trials()), 0.02, 0)
    assert found["tests"]["flips"] < 0.01 and found["tests"]["patches"] == pytest.approx(0.2, abs=0.05)
    assert found["gap"] == 0.09 and found["gap_low"] < 0 and found["gap_high"] > 0.25
    assert verdict(found, found["p_value"], 0.02) == "undecided"
    assert missing(found, 0.02).startswith("some of its patches turn images")


def test_the_interval_is_of_patches():
    """Means of ten patches, 2 to 4.7: by hand, Student's t of 9 degrees, 2.262."""
    rows = _trials({}, PASTES).to_pylist()
    for row in rows:
        row["logit_after"] = 2 + 0.3 * row["exemplar"] + (0.5 if int(row["image_id"], 16) // 10 % 2 else -0.5)
    found = pasted(pa.Table.from_pylist(rows, schema=tables.trials()), 0.05, 0)
    half = 2.2622 * np.std(2 + 0.3 * np.arange(10), ddof=1) / 10**0.5
    assert (found["low"], found["high"]) == (pytest.approx(3.35 - half, abs=1e-3), pytest.approx(3.35 + half, abs=1e-3))


@pytest.mark.parametrize("kind", ["random", "class"])
def test_without_a_control_nothing_is_tested(kind):
    trials = _trials({"paste": 60}, {name: by for name, by in PASTES.items() if name != kind})
    found = pasted(trials, 0.05, 0)
    assert "p_value" not in found and found["lacks"].startswith("0 ") and verdict(found, np.nan, 0.05) == "undecided"
    few = pasted(_trials({"paste": 0}, {name: by for name, by in PASTES.items() if name != kind}), 0.05, 0)
    assert verdict(few, np.nan, 0.05) == "refuted", "it turns none, whatever another control does"
    plain = pasted(_trials({"paste": 60}, {name: by for name, by in PASTES.items() if name != "noise"}), 0.05, 0)
    assert verdict(plain, plain["p_value"], 0.05) == "verified", "noise of a plain patch is the patch"


def test_few_patches_are_no_test():
    rows = [{**row, "exemplar": row["exemplar"] % 4} for row in _trials({"paste": 60}, PASTES).to_pylist()]
    found = pasted(pa.Table.from_pylist(rows, schema=tables.trials()), 0.05, 0)
    assert found["lacks"] == "4 patches of it; 5 are needed" and "low" not in found and "p_value" not in found


def test_of_three_controls_the_one_that_refutes_is_chosen_after_the_fact():
    """The bound leaves out a third as much as the interval of one control."""
    found = pasted(_trials({"paste": 10, "class": 8, "random": 8, "noise": 8}, PASTES), 0.05, 0)
    assert found["bound"] > found["gap_high"]


def test_more_images_decide_what_lies_near_the_least():
    found = pasted(_trials({"paste": 8}, PASTES), 0.05, 0)
    assert verdict(found, 0.3, 0.05) == "undecided"
    more = needed(found, 0.05)
    half = (found["gap_high"] - found["gap_low"]) / 2
    away = abs(found["gap"] - 0.05) / (1 + 0.84 / 1.96)  # so that it is seen in four cases of five
    assert more > N and half * (N / (more - 1)) ** 0.5 == pytest.approx(away, rel=0.01)


def test_why_it_is_undecided_goes_by_the_largest_p():
    tests, high = {"flips": 0.01, "logit": 0.01, "patches": 0.01}, {"gap_high": 0.5}
    fall = {"carriers": 50, "removal": 0.5, "removal_low": -0.5, "removal_high": 1.5}
    assert "among so many candidates" in missing({"tests": tests, **high}, 0.05)
    assert "raises the logit no more surely" in missing({"tests": tests | {"logit": 0.3}, **high}, 0.05)
    found = missing({"tests": tests | {"removal": 0.2}, **fall, **high}, 0.05)
    assert found.endswith("410 images that have it would tell, 50 were there")  # 50 (2 (1 + .84 / 1.96))^2 + 1
    assert missing({"tests": tests | {"removal": 0.2}, **fall, **high, "removal_low": 0.1}, 0.05).endswith(
        "no sure fall"
    )
    assert missing({"tests": tests | {"flips": 0.9}, "gap_high": 0.04}, 0.05).startswith("turns hardly more images")


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
    assert verdict({"gap": 0.5, "bound": 0.6} | other, 0.0, 0.05) == "refuted"
