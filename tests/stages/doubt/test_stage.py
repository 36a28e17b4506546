"""The stage over a real, small model: ranges, channel order, files that are gone; and a whole run that is wrong."""

import json

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.doubt import STAGE, Params
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.vision.images import decode_to
from activation_atlas.stages.vision.model import open_model
from activation_atlas.stages.vision.predicting import predict
from tests.bench import command
from tests.memory import MemoryInputs
from tests.stages.doubt import colours


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    colours.write_images(folder / "images")
    colours.write_images(folder / "flipped", flip=True)
    colours.write_model(folder / "model.keras")
    colours.write_model(folder / "bare.keras", rescaled=False)
    colours.write_model(folder / "sigmoids.keras", activation="sigmoid")
    return folder


def doubts(folder, images="images", labelled=True, lost=0, seed=0, **model):
    """Kind to row of the table `doubts`, and the inputs after the stage."""
    spec = ModelSpec(**{"path": str(folder / "model.keras"), "classes": colours.NAMES, **model})
    files = sorted((folder / images).rglob("*.png"))
    opened = open_model(spec)
    pixels = np.stack([decode_to(f.read_bytes(), opened.input_size, "center", opened.channels) for f in files])
    logits, probabilities = predict(opened, pixels, 16)
    pred = logits.argmax(1)
    labels = [opened.classes.index(f.parent.name) if labelled else None for f in files]
    ids = [f"{k:016x}" for k in range(len(files))]
    uris = [str(f) if k >= lost else f"{f}.gone" for k, f in enumerate(files)]
    about = pa.table({"image_id": ids, "uri": uris, "label": pa.array(labels, pa.int32())})
    said = pa.table(
        {
            "image_id": ids,
            "label": pa.array(labels, pa.int32()),
            "pred": pa.array(pred, pa.int32()),
            "prob": pa.array(probabilities.max(1), pa.float32()),
        }
    )
    inputs = MemoryInputs(
        {"images": [about], "predictions": [said.slice(0, 20), said.slice(20)]},
        {("extract", ""): {"classes": opened.classes}},
    )
    written = inputs.run(STAGE, Params(model=spec, images=ImagesSpec(path=str(folder / images)), seed=seed))["doubts"]
    assert written.schema == tables.doubts()
    return {row["kind"]: row for row in written.to_pylist()}, inputs


def test_of_a_model_that_is_right_nothing_is_said(made):
    for options in ({}, {"labelled": False}, {"path": str(made / "sigmoids.keras")}):
        found, inputs = doubts(made, **options)
        assert found == {} and not inputs.warnings
    assert doubts(made)[1].states["doubt", ""]["metrics"] == {
        "labelled": 48, "right": 48, "right by chance": 4.0, "doubts": [],
    }  # fmt: skip


def test_a_wrong_range_is_told_with_the_right_one(made):
    found, inputs = doubts(made, range=(-1.0, 1.0))
    assert list(found) == ["accuracy", "one class", "range"]
    assert found["range"]["message"].startswith("with model.range [0, 255] 48 of 48 images are right")
    assert found["range"]["remedy"] == "give model.range: [0, 255]"
    assert json.loads(found["accuracy"]["figures"])["right"] == 4
    assert len(inputs.warnings) == 3 and inputs.warnings[0].startswith("4 of 48 labelled images are right (8.3 %)")
    ranges = inputs.states["doubt", ""]["metrics"]["ranges"]
    assert ranges["[0, 255]"] == {"way": "[0, 255]", "images": 48, "right": 48, "as configured": 4}
    assert set(ranges) >= {"[0, 1]", "ImageNet mean and deviation", "BGR less ImageNet mean", "BGR"}
    again, other = doubts(made, range=(-1.0, 1.0))
    assert again == found and other.states["doubt", ""] == inputs.states["doubt", ""], "the same, run for run"


def test_a_model_that_tells_nothing_of_its_range_is_found_out_by_its_answers(made):
    """No Rescaling, and no range given: [0, 255] is not what it takes."""
    found, _ = doubts(made, path=str(made / "bare.keras"))
    assert found["range"]["message"].startswith(
        "with model.range [0, 1] 48 of 48 images are right, as configured ([0, "
    )


def test_blue_for_red_is_told(made):
    found, _ = doubts(made, images="flipped")
    assert "range" in found and found["range"]["message"].startswith("with BGR ")
    assert found["range"]["remedy"].endswith("give model.channels: bgr")


def test_another_order_and_another_range_without_labels(made):
    found, _ = doubts(made, classes=colours.NAMES[::-1])
    assert list(found) == ["accuracy", "order"] and "in reversed order (coal, leaf, lime" in found["order"]["message"]
    found, _ = doubts(made, labelled=False, range=(-1.0, 1.0))
    assert list(found) == ["one class", "range"] and "no proof without labels" in found["range"]["message"]


def test_images_that_are_gone_are_left_out_of_the_sample(made):
    found, _ = doubts(made, range=(-1.0, 1.0), lost=20)
    assert found["range"]["message"].startswith("with model.range [0, 255] 28 of 28 images are right")
    found, _ = doubts(made, range=(-1.0, 1.0), lost=48)
    assert list(found) == ["accuracy", "one class", "range"]
    assert found["range"]["message"].startswith("model model.keras begins with rescaling"), "the model tells it itself"


def test_a_run_that_cannot_be_right_says_so_everywhere(made):
    config, out = colours.write_config(made, range=[-1, 1]), made / "run"
    status, _, said = command("run", config, "--out", out)
    assert status == 0
    assert said.count("warning: model model.keras begins with rescaling") == 1
    assert said.index("begins with rescaling") < said.index("extract: done") < said.index("no better than chance")
    assert "warning: this run does not seem to be right: 4 of 48" in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith("give model.range: [0, 255] (and 2 more doubts, see run.json)")
    record = json.loads((out / "run.json").read_text())
    assert [d["kind"] for d in record["metrics"]["doubt"]["doubts"]] == ["accuracy", "one class", "range"]
    assert record["warnings"]["doubt fit"][2].endswith("give model.range: [0, 255]")
    assert "with model.range [0, 255] 48 of 48 images are right" in (out / "site/index.html").read_text()
    status, said, _ = command("status", out)
    assert "warning: 4 of 48 labelled images are right" in said
    status, said, errors = command("run", config, "--out", out, "--strict")
    assert status == 2 and "nothing to do" in said
    assert errors.splitlines()[-1].startswith("--strict: this run does not seem to be right: 4 of 48")


@pytest.mark.slow
def test_numbers_that_nothing_names_are_said_to_be_taken_for_logits(made):
    colours.write_model(made / "linear.keras", activation="linear")
    path = str(made / "linear.keras")
    for given, said in (
        ({"classes": None, "labelled": False}, True),
        ({"classes": None, "labelled": False, "output": "logits"}, False),
        ({"labelled": False}, False),
        ({}, False),
    ):
        _, inputs = doubts(made, path=path, **given)
        told = [
            line for line in inputs.warnings if "taken for the logits of 12 classes that exclude one another" in line
        ]
        assert len(told) == said, given


def test_of_tables_labels_tell_what_they_can_and_no_model_is_opened():
    count = len(colours.NAMES)
    label = np.arange(5 * count, dtype=np.int32) % count
    ids = [f"{k:016x}" for k in range(len(label))]

    def found(label, pred):
        said = {"image_id": ids, "label": pa.array(label, pa.int32()), "pred": pa.array(pred, pa.int32())}
        said = pa.table({**said, "prob": pa.array(np.full(len(ids), 0.9), pa.float32())})
        about = said.select(["image_id", "label"]).append_column("uri", pa.array(ids))
        state = {("extract", ""): {"classes": colours.NAMES}}
        inputs = MemoryInputs({"images": [about], "predictions": [said]}, state)
        rows = inputs.run(STAGE, Params(model=ModelSpec(tables="nowhere"), images=ImagesSpec(path="x")))["doubts"]
        return rows.to_pylist(), inputs.warnings

    rows, warned = found(label, label)
    assert not rows and not warned
    (other, row), _ = found(label, count - 1 - label)
    assert (other["kind"], other["remedy"], row["kind"]) == ("accuracy", "", "order")
    assert "60 of 60 images would be right instead of 0" in row["message"]
    assert row["remedy"] == "give its classes in the order of the model's outputs, or labels that count as it does"
    rows, _ = found(label, np.random.default_rng(0).integers(0, count, len(label)))
    assert [row["kind"] for row in rows] == ["accuracy", "labels"] and "value ranges" not in rows[1]["message"]
    rows, warned = found([None] * len(label), label)
    assert not rows and "nothing here tells whether the network was given the values" in warned[0]
