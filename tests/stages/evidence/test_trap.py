"""Traps: what finds candidates reads neither what the held-out half says nor any column that tells the truth."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activation_atlas.stages import evidence, slices
from activation_atlas.stages.halves import held_out
from activation_atlas.stages.tables import from_numpy, to_numpy
from tests.memory import CountedInputs, MemoryInputs
from tests.stages.adversarial.test_patch import run_folder
from tests.stages.rows import view
from tests.stages.slices.test_stage import QUICK
from tests.stages.slices.world import World, params

FOUND = (
    "candidate",
    "class",
    "origin",
    "cells",
    "tested",
    "suspicion",
    "foreign",
    "won",
    "typical",
    "exemplars",
    "others",
)
"""What a candidate is; how many images of both halves have it, and how they do, is told besides."""


def inputs(poison: float = 0.0, truth: bool = False, kind: type[MemoryInputs] = MemoryInputs) -> MemoryInputs:
    """160 images of two positions, each in a cell of its own, where the later one speaks for class 0; in the held-out
    half attributions are ``poison`` more and labels others, where that is not 0."""
    made = run_folder([0, 1, 2, 3] * 40)
    layer = {"height": 6, "width": 6, "offset": [0.5, 0.5], "stride": [1, 1]}
    made.states["extract", ""] = made.states["extract", ""] | {"layers": {"deep": layer}}
    for k, (said, about, rows) in enumerate(
        zip(*(made.tables[name] for name in ("predictions", "images", "activations/deep")), strict=True)
    ):
        held = held_out(about["sha256"].to_pylist(), 0)
        if poison:
            mine = dict(zip(about["image_id"].to_pylist(), held.tolist(), strict=True))
            out = np.array([mine[own] for own in rows["image_id"].to_pylist()])
            values = (to_numpy(rows["attribution"]) + np.where(out, poison, 0)[:, None]).astype(np.float16)
            place = rows.schema.get_field_index("attribution")
            made.tables["activations/deep"][k] = rows.set_column(place, "attribution", from_numpy(values))
            label = np.where(held, (said["label"].to_numpy() + 1) % 4, said["label"].to_numpy())
            place = said.schema.get_field_index("label")
            made.tables["predictions"][k] = said.set_column(place, "label", pa.array(label, pa.int32()))
        if truth:
            made.tables["images"][k] = about.append_column("meta.truth", pa.array([True] * len(about)))
    return kind(made.tables, made.states)


def found(made: MemoryInputs) -> list[dict]:
    given = evidence.Params(view=view(), grid=2, candidates=5, exemplars=6)
    rows = made.run(evidence.STAGE, given)["evidence"].to_pylist()
    return [{name: row[name] for name in FOUND} for row in rows if row["origin"] == "foreign"]


def test_the_held_half_names_no_candidate():
    plain, poisoned = found(inputs()), found(inputs(poison=7.0))
    assert plain == poisoned and any(row["tested"] and row["exemplars"] for row in plain)
    made = inputs()
    held = {
        own
        for part in made.tables["images"]
        for own, out in zip(part["image_id"].to_pylist(), held_out(part["sha256"].to_pylist(), 0), strict=True)
        if out
    }
    lent = {own["image_id"] for row in plain for own in (*row["exemplars"], *row["others"])}
    assert lent and not lent & held


def test_no_column_beside_the_content_is_read():
    made = inputs(truth=True, kind=CountedInputs)
    assert found(made) == found(inputs())
    asked = {name for table, _, names in made.read if table == "images" for name in names or ("meta.truth",)}
    assert asked == {"image_id", "sha256"}


def test_a_column_that_tells_the_truth_finds_no_slice():
    world = World()
    rows, others = (
        world.inputs(hue=hue).run(slices.STAGE, params(finders=QUICK))["slices"].drop_columns("about")
        for hue in (True, False)
    )
    assert rows.equals(others) and len(rows) > 3
