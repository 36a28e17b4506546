"""What the pages show of an audit, and how they lead to each other."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.audit import Params
from activation_atlas.stages.audit.chosen import address, chosen, pictured, sure_slices
from tests.memory import MemoryInputs

IDS = [f"{k:016x}" for k in range(12)]


def cue(candidate: int, verdict: str, rank: int, **of: Any) -> dict[str, Any]:
    exemplars = [dict(zip(tables.PATCH_FIELDS, (own, 0, 0, 0, 0, 2, 2), strict=True)) for own in of.pop("of", [])]
    cells = [{"grid": 4, "cell_x": 1, "cell_y": candidate}]
    row = {"rank": rank, "candidate": candidate, "class": 1, "verdict": verdict, "atlas": "all", "cells": cells}
    return {**row, "exemplars": exemplars, **of}


def slice_(rank: int, q: float | None, same: int | None = None, members: list[str] | None = None) -> dict[str, Any]:
    row = {"rank": rank, "q_value": q, "same_as": same, "members": members or [], "errors": 3, "labelled": 4}
    return {**row, "atlas": "all", "cells": [{"grid": 4, "cell_x": 0, "cell_y": 0}]}


def inputs(cues: list[dict[str, Any]], slices: list[dict[str, Any]]) -> MemoryInputs:
    """Twelve images, the odd ones wrong; image k shows cue 0 with strength k."""
    shown = [
        {"image_id": own, "candidate": 0, "class": 1, "strongest": None if k == 11 else float(k), "own": k < 7}
        | {"held_out": True, "correct": None if k == 10 else k % 2 == 0}
        for k, own in enumerate(IDS)
    ]
    found = {
        "cues": [pa.Table.from_pylist(cues, tables.cues())],
        "slices": [pa.Table.from_pylist(slices, tables.slices())],
        "evidence": [pa.table({"candidate": [0, 1], "typical": pa.array([5.0, None], pa.float32())})],
        "spuriosity": [pa.Table.from_pylist(part, tables.spuriosity()) for part in (shown[:5], shown[5:])],
        "predictions": [pa.table({"image_id": IDS, "correct": [k % 2 == 0 for k in range(12)]})],
        "trials": [pa.Table.from_pylist([], tables.trials())] * 3,
    }
    return MemoryInputs(found, {("extract", ""): {"classes": ["cat", "ox & yak"]}})


def params(*names: str, tried: bool = True) -> Params:
    return Params(title="A run", images={"path": "."}, tables=names, tried=tried, least=0.05)


def test_a_verified_cue_comes_with_the_mistakes_that_show_it():
    cues = [
        cue(0, "verified", 0, of=IDS[:2]), cue(2, "refuted", 1, of=IDS[2:4]), cue(1, "undecided", 2, of=IDS[3:5]),
    ]  # fmt: skip
    made = chosen(inputs(cues, [slice_(0, 0.01, members=IDS[8:10])]), params("cues", "slices"))
    # Of other classes, at least as strong as typical and with a label: 7, 8, 9. Of these 7 and 9 are wrong.
    (only,) = made["cues"]
    assert (only["candidate"], only["words"], only["images"], only["wrong"]) == (0, "cue 0 of ox & yak", 3, 2)
    # The strongest mistakes first, then the wrong ones among exemplars that are shown and members.
    assert made["mistakes"] == [IDS[k] for k in (9, 7, 1, 3)]
    assert [(one["id"], one["badge"]) for one in made["found"]] == [
        ("cue-0", "verified"), ("cue-1", "undecided"), ("cue-2", "refuted"), ("slice-0", "slice"),
    ]  # fmt: skip
    assert made["headline"][0] == "1 verified cue" and "3 candidates" in made["headline"][1]


def test_without_trials_or_cues_little_is_chosen():
    none = chosen(inputs([], []), params("slices"))
    assert none["found"] == none["cues"] == none["mistakes"] == [] and none["headline"][0] == "Groups"
    untried = chosen(inputs([cue(0, "undecided", 0, of=IDS[:2])], []), params("cues", tried=False))
    assert untried["headline"][0] == "0 verified cues" and not untried["mistakes"]


def test_slices_are_sure_and_shown_once():
    rows = [slice_(0, 0.01), slice_(1, 0.01, same=0), slice_(2, 0.2), slice_(3, None), slice_(4, 0.04)]
    assert [row["rank"] for row in sure_slices(rows)] == [0, 4]


def test_an_address_names_atlas_cell_and_class():
    found = {"id": "cue-3", "atlas": "a & b", "class": 7, "cells": [[20, 3, 11], [20, 4, 11]]}
    assert address(found) == "index.html#atlas=a+%26+b&mark=cue-3&cell=20%2C3%2C11&class=7"
    assert "class" not in address({**found, "class": None})


@pytest.mark.parametrize("known", [True, False])
def test_a_cue_that_no_image_shows(known):
    made = inputs([cue(0 if known else 1, "verified", 0)], [])
    made.tables["evidence"] = [pa.table({"candidate": [0, 1], "typical": pa.array([50.0, None], pa.float32())})]
    (only,) = chosen(made, params("cues"))["cues"]
    assert only["images"] == only["wrong"] == 0


def test_of_a_slice_mistakes_are_shown_first_and_the_strongest_before_others():
    slices = [{"members": [str(k) for k in range(14)]}, {"members": []}]
    assert pictured(slices, {"3", "12"}) == [["3", "12", "0", "1", "2", "4", "5", "6", "7", "8"], []]
