"""Concepts, a repair and the figure: what is put first, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.audit import beside
from activation_atlas.stages.audit.forest import TOP, _ticks, forest, measured
from tests.stages.cues.test_verdict import PASTES
from tests.stages.cues.test_verdict import _trials as made_trials

CLASSES = [f"class {k}" for k in range(20)]


def effect(of: int, size: float | None, q: float | None, **more: Any) -> dict[str, Any]:
    row = dict.fromkeys(tables.concept_effects().names) | {"concept": "tag", "class": of, "effect": size, "q_value": q}
    return row | more


def test_sure_effects_come_first_and_the_rest_is_counted():
    concept = dict.fromkeys(tables.concepts().names) | {"concept": "tag", "cells": [{}, {}]}
    effects = [effect(k, 5.0, 0.5) for k in range(15)] + [effect(15, -0.2, 0.01), effect(16, 0.3, 0.01)]
    effects += [effect(17, None, None, about="too few")]
    (found,) = beside.concepts([concept], effects, CLASSES)
    assert [row["name"] for row in found["effects"]][:3] == ["class 16", "class 15", "class 0"]
    assert found["surely"] == ["class 16", "class 15"] and len(found["effects"]) == 12 and found["more"] == 5
    assert found["untold"] == ["too few"] and found["id"] == "concept-0" and "direction" not in found


def change(shown: str, low: float, high: float, of: int | None = None, candidate: int | None = None) -> dict[str, Any]:
    row = dict.fromkeys(tables.repair().names) | {"shown": shown, "class": of, "candidate": candidate}
    return row | {"change": (low + high) / 2, "change_low": low, "change_high": high}


def test_what_gets_worse_is_listed_as_what_gets_better():
    rows = [
        change("with", 0.2, 0.4, candidate=3), change("all", -0.01, 0.02), change("without", -0.3, -0.1, of=2),
        change("without", -0.4, -0.3, of=4), change("pasted", -0.9, -0.8, of=4, candidate=3),
        change("without", 0.1, 0.2, of=1), change("pasted", 0.5, 0.6, candidate=3),
    ]  # fmt: skip
    made = beside.repair(rows, [{"candidate": 3, "class": 7, "verdict": "verified"}], CLASSES, True)
    assert [(row["shown"], row["cue"]) for row in made["rows"]] == [
        ("all", None), ("with", "cue 3 of class 7"), ("pasted", "cue 3 of class 7"),
    ]  # fmt: skip
    assert [row["phrase"] for row in made["worse"]] == [
        "images labelled class 4 without a verified cue", "images labelled class 2 without a verified cue",
    ]  # fmt: skip
    assert [row["phrase"] for row in made["better"]][:2] == [
        "images with cue 3 of class 7 pasted on", "images that show cue 3 of class 7",
    ]  # fmt: skip
    assert len(made["better"]) == 3 and made["cues"] == 1


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (-0.2, 10.2, 5, [-5, 0, 5, 10, 15]),
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0, 4, [0]),
        (-3, 0, 4, [-3, -2, -1, 0]),
    ],
)
def test_ticks_are_round_and_hold_both_ends(low, high, most, ticks):
    np.testing.assert_allclose(_ticks(low, high, most), ticks)


def row(candidate: int, **of: Any) -> dict[str, Any]:
    told = {"verdict": "refuted", "effect": 3.0, "low": 2.5, "high": 3.4, "q_value": 0.5, "removal": None}
    return {"candidate": candidate, **told, "gap": -0.1, "gap_low": -0.2, "gap_high": 0.0, **of}


def test_a_cue_stands_beside_its_controls():
    made = measured(row(0), made_trials({"paste": 60, "class": 10}, PASTES), "cue 0")
    assert made.flips["paste"][0] == 0.6 and made.flips["class"][0] == 0.1 and made.removal is None
    assert made.changes["paste"] == (3.0, 2.5, 3.4), "as the table has it"
    for value, low, high in made.flips.values():
        assert low <= value <= high
    assert made.told == "gap −10 [−20, 0], q = 0.5"


@pytest.mark.slow
def test_the_figure_grows_with_its_cues_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("activation_atlas.stages.audit.forest.MOST", 3)
    trials = made_trials({"paste": 60, "class": 10}, PASTES)
    shown = [measured(row(k, verdict=verdict), trials, f"cue {k}") for k, verdict in enumerate(["verified", "refuted"])]
    one, two, many = (forest(each, "A run", 0.05, 200) for each in (shown[:1], shown, shown * 3))
    each = two.height - one.height
    assert each > 60 and many.height == one.height + 2 * each and one.height > TOP
