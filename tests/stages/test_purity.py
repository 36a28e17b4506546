"""How pure class and pair atlases are: whose photographs their rows come from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.steps import steps
from activation_atlas.stages.intervals import clustered_share
from activation_atlas.stages.purity import STAGE, Params
from activation_atlas.stages.tables import layouts
from tests.memory import MemoryInputs
from tests.stages.rows import blobs, memory, view

PRED = [0, 1, 0, 2, 1, 0, 2, 2]
LABELS = [0, None, 0, 2, 0, None, 0, 2]
OWN = [5, 5, 1, 2, 0, 0, 1, 0]
"""Rows of each of the eight photographs that the atlas shows, of the five it has in the layer."""


def laid_out(
    x: list[float] | None = None, labels: list[int | None] = LABELS, shard_images: int = 3, argued: list | None = None
) -> MemoryInputs:
    inputs = memory(blobs(40), labels=labels, pred=PRED, shard_images=shard_images)
    rows = inputs.table("activations/deep", ["image_id", "row", "col"])
    rows = rows.filter(pa.array([k % 5 < OWN[k // 5] for k in range(40)]))
    place = pa.array(x or [0.2] * len(rows), pa.float32())
    whole = pa.table([*rows.columns, place, place], schema=layouts())
    parts = [said["image_id"] for said in inputs.tables["predictions"]]
    inputs.tables["layouts/atlas"] = [
        whole.filter(pc.is_in(whole["image_id"], value_set=own.combine_chunks())) for own in parts
    ]
    state: dict = {}
    if argued is not None:
        keys = {f"chosen_{n}": rows[n].to_numpy() for n in ("row", "col")}
        ids = np.array(rows["image_id"].to_pylist(), "S")
        state = {"chosen_image_id": ids, **keys, "chosen_argued": np.array(argued, np.float32).reshape(len(rows), -1)}
    inputs.states["reduce", "atlas"] = state
    return inputs


def purity(inputs: MemoryInputs, **options) -> list[dict]:
    assert inputs.run(STAGE, Params(view=view(**options)), "atlas") == {}
    return inputs.states["purity", "atlas"]["metrics"]["of"]


@pytest.mark.parametrize("shard_images", [3, 8])
def test_by_hand(shard_images):
    (found,) = purity(laid_out(shard_images=shard_images), class_="fireboat")
    assert (found["class"], found["rows"], found["photographs"]) == ("fireboat", 14, 5)
    # Photographs 0, 2 and 5 are predicted as it: 5 + 1 + 0 of 14 rows, 3 of 8 photographs of the layer.
    assert found["predicted"][0] == round(6 / 14, 4) and found["base"] == 0.375
    # Labelled: 0, 2, 4 and 6 of the six with a label, and 5 + 1 + 0 + 1 of the 9 rows that are theirs.
    assert found["label"][0] == round(7 / 9, 4) and found["label_base"] == round(4 / 6, 5)
    expected = clustered_share(np.array(PRED) == 0, np.array(OWN))
    assert found["predicted"] == [round(v, 4) for v in expected[:3]]


def test_the_weakest_fifth_tells_what_the_last_chosen_are():
    argued = [9.0] * 5 + [1.0, 2.0, 9.0, 9.0, 9.0] + [9.0] * 4  # two of 14: photograph 1's, which is not predicted so
    (found,) = purity(laid_out(argued=argued), class_="fireboat")
    expected = clustered_share(np.array(PRED) == 0, np.array(OWN), 0.0)
    assert found["predicted"] == [round(v, 4) for v in expected[:3]]
    assert expected[3] < clustered_share(np.array(PRED) == 0, np.array(OWN))[3]


def test_a_pair_has_two_halves():
    x = [0.1] * 4 + [0.9] + [0.9] * 5 + [0.5] + [0.1, 0.9] + [0.1]
    left, right = purity(laid_out(x), pair=("fireboat", "streetcar"))
    assert [left["class"], right["class"]] == ["fireboat", "streetcar"]
    # Left: 4 rows of photograph 0, one of 3 and of 6; right: one of 0, five of 1, one of 3; in the middle: one of 2.
    assert (left["rows"], right["rows"]) == (6, 7)
    assert left["predicted"][0] == round(4 / 6, 4) and right["predicted"][0] == round(5 / 7, 4)
    assert (left["base"], right["base"]) == (0.375, 0.25)


def test_what_cannot_be_told_is_none():
    (found,) = purity(laid_out(), class_="crane")
    assert (found["predicted"], found["base"], found["label"], found["label_base"]) == (None, 0.0, None, 0.0)
    (found,) = purity(laid_out(labels=[None] * 8), class_="fireboat")
    assert found["predicted"] is not None and found["label"] is found["label_base"] is None


def test_atlases_of_classes_and_pairs_alone_are_asked_and_labels_lay_nothing_out_anew():
    atlases = [
        {"name": "all", "layer": "deep"},
        {"name": "boat", "layer": "deep", "class": "x"},
        {"name": "two", "layer": "deep", "pair": ["x", "y"]},
    ]
    config = Config(model={"path": "m.keras"}, images={"path": "i"}, atlases=atlases)
    found = steps(config)
    assert [s.label for s in found if s.stage.name == "purity"] == ["boat", "two"]
    for step in found:
        if step.stage.name == "reduce":
            assert "predictions" not in {*step.stage.reads(step.params), *step.stage.fit_reads(step.params)}
