"""Concepts as folders: the stage on a network small enough to know the answer, and what is wrong with folders."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.pipeline.config import load
from activation_atlas.stages.concepts import STAGE, Params
from activation_atlas.stages.concepts.folders import folders_of, looked_at
from activation_atlas.stages.concepts.images import not_of
from activation_atlas.stages.specs import ImagesSpec, ModelSpec, ViewSpec
from activation_atlas.stages.specs.audit import ConceptSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables import cells, from_numpy
from tests.memory import MemoryInputs

WEIGHTS = np.array([[0.05, 0, 0], [0, 0.03, -0.03], [0, 0, 0.04]], np.float32)
"""Of the classes x, y, z (columns) in the channels red, green and blue."""


def coloured(folder, count, colour=None, seed=0):
    """Grey noise; with a colour, that channel brighter by 80."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = np.repeat(rng.integers(0, 150, (8, 8, 1)), 3, 2) + rng.integers(0, 20, (8, 8, 3))
        if colour is not None:
            pixels[..., colour] += 80
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def concept(with_, without, name="red"):
    return ConceptSpec(name=name, **{"with": str(with_), "without": str(without)})


def listed(with_, without):
    return folders_of(concept(with_, without), ImagesSpec(path=str(with_)))


def test_folders_that_are_missing_empty_or_small_are_refused(tmp_path):
    many, few = coloured(tmp_path / "many", 10), coloured(tmp_path / "few", 4, seed=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"audit.concepts: red: with: \S+few has 4 usable images, and 10 .*: add 6"):
        listed(few, many)
    with pytest.raises(UserError, match=r"audit.concepts: red: without: \S+/none does not exist"):
        listed(many, tmp_path / "none")
    with pytest.raises(UserError, match=r"audit.concepts: red: without: \S+/empty holds no images"):
        listed(many, tmp_path / "empty")


def test_images_that_are_broken_twice_or_on_both_sides(tmp_path):
    one, other = coloured(tmp_path / "one", 11), coloured(tmp_path / "other", 12, seed=1)
    (other / "11.png").write_bytes((other / "10.png").read_bytes())
    images = ImagesSpec(path=str(one))
    found = looked_at(listed(one, other), images, 0)
    assert len(found["without"].uris) == 11 and found["without"].twice == 1
    before = listed(one, other).stamp
    (other / "11.png").write_bytes((one / "3.png").read_bytes())
    assert listed(one, other).stamp != before
    with pytest.raises(UserError, match=r"red: 1 image in both folders, e.g. 3.png \(without: 11.png\)"):
        looked_at(listed(one, other), images, 0)


def test_folders_are_relative_to_the_configuration(tmp_path):
    (tmp_path / "run.yaml").write_text(
        "model: {path: m.keras}\nimages: {path: i}\naudit: {concepts: [{name: red, with: a, without: ../b}]}\n"
    )
    (found,) = load(tmp_path / "run.yaml").audit.concepts
    assert (found.with_, found.without) == (str(tmp_path / "a"), str(tmp_path.parent / "b"))


def test_concepts_without_an_atlas_are_refused(tmp_path):
    from activation_atlas.pipeline.steps import steps

    given = {"name": "red", "with": "a", "without": "b"}
    config = {"model": {"path": "m.keras"}, "images": {"path": "i"}, "audit": {"concepts": [given]}}
    with pytest.raises(UserError, match="audit.concepts: there is no atlas"):
        steps(load(config))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A layer that is the image, an average, a linear end."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(3, 1, use_bias=False, name="copy"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, use_bias=False),
        ]
    )
    model.layers[0].set_weights([np.eye(3, dtype=np.float32)[None, None]])
    model.layers[-1].set_weights([WEIGHTS])
    path = tmp_path_factory.mktemp("network") / "linear.keras"
    model.save(path)
    return ModelSpec(path=str(path), classes=["x", "y", "z"])


def run_folder(folder):
    """24 images of class x, 12 of y, 3 of z; an atlas of three cells, each one colour."""
    rows = []
    for number in range(39):
        uri = folder / f"{number}.png"
        row = {"image_id": hashlib.sha256(uri.name.encode()).hexdigest()[:16], "uri": str(uri)}
        label = 0 if number < 24 else 1 if number < 36 else 2
        rows.append({**row, "sha256": hashlib.sha256(uri.read_bytes()).hexdigest(), "label": label})
    table = pa.Table.from_pylist(rows).sort_by("image_id")
    labels = table["label"].cast(pa.int32())
    schema = cells(3, 0)
    atlas = {
        "grid": pa.array([2] * 3, pa.int16()),
        "cell_x": pa.array([0, 0, 1], pa.int16()),
        "cell_y": pa.array([0, 1, 1], pa.int16()),
        "count": pa.array([5] * 3),
        "images": pa.array([5] * 3),
        "activation": from_numpy(np.eye(3, dtype=np.float32)[[1, 0, 2]]),
    }
    columns = [atlas.get(field.name, pa.nulls(3, field.type)) for field in schema]
    return MemoryInputs(
        {
            "images": [table.select(["image_id", "uri", "sha256"])],
            "predictions": [pa.table({"image_id": table["image_id"], "label": labels, "pred": labels})],
            "cells/atlas": [pa.table(columns, schema=schema)],
        },
        {("extract", ""): {"classes": ["x", "y", "z"], "kind": "softmax", "thresholds": [0.5] * 3}},
    )


@pytest.mark.slow
def test_a_planted_concept_does_what_it_must(tmp_path, network):
    red, grey = coloured(tmp_path / "red", 16, 0, seed=1), coloured(tmp_path / "grey", 16, seed=2)
    same, more = coloured(tmp_path / "same", 16, seed=3), coloured(tmp_path / "more", 16, seed=4)
    (red / "7.png").write_bytes(b"no image")
    images = ImagesSpec(path=str(coloured(tmp_path / "images", 39, seed=5)))
    (red / "8.png").write_bytes((tmp_path / "images" / "0.png").read_bytes())  # its class has one fewer to ask
    spec = [folders_of(concept(red, grey), images), folders_of(concept(same, more, "nothing"), images)]
    params = {"model": network, "images": images, "concepts": spec, "grid": 2, "limit": 30}
    view = ViewSpec(name="atlas", layer="copy")
    inputs = run_folder(tmp_path / "images")
    found = inputs.run(STAGE, Params(**params, view=view, batch=7))
    (known, unknown) = found["concepts"].to_pylist()
    assert known["useful"] and not unknown["useful"] and "tells" in unknown["about"]
    vector = np.array(known["direction"])
    assert vector[0] > 0.9 and known["cells"][0] == {"grid": 2, "cell_x": 0, "cell_y": 1}
    assert "1 image cannot be read and left out, e.g. 7.png" in inputs.warnings[0]
    rows = found["concept_effects"].to_pylist()
    x, y, z = rows[:3]
    # The end is linear: the derivative is the same in all images, and the effect what the component's gain is worth.
    assert (x["images"], y["images"], z["images"]) == (23, 12, 3)
    assert (x["score"], y["score"], z["score"]) == (1.0, float(WEIGHTS[:, 1] @ vector > 0), None)
    for row, weights in ((x, WEIGHTS[:, 0]), (y, WEIGHTS[:, 1])):
        assert row["derivative"] == pytest.approx(weights @ vector * known["strength"], rel=1e-3)
    assert x["effect"] == pytest.approx(x["derivative"], rel=0.1) and x["q_value"] < 0.05
    assert x["low"] < x["effect"] < x["high"] and x["effect"] > x["random_high"]
    assert z["about"] == "3 images of the class, and its derivative needs 10" and z["effect"] is not None
    assert all(row["effect"] is None and row["score_p"] is None for row in rows[3:])
    again = run_folder(tmp_path / "images").run(STAGE, Params(**params, view=view, batch=7))
    assert all(again[name].equals(table) for name, table in found.items())


def test_an_image_without_a_label_is_of_no_other_class_either():
    """Where others have one: it may well be of the class, and no effect on images that are not of it may count it."""
    label = pa.array([0, None, 2], pa.int32())
    said = {"image_id": pa.array(["a", "b", "c"]), "label": label, "pred": pa.array([0, 1, 0], pa.int32())}
    inputs = MemoryInputs({"predictions": [pa.table(said)]})
    assert not_of(inputs, ["c", "b", "a"], 3).tolist() == [[True, True, False], [False] * 3, [False, True, True]]
    said["label"] = pa.nulls(3, pa.int32())  # then what it is taken for stands for it
    inputs = MemoryInputs({"predictions": [pa.table(said)]})
    assert not_of(inputs, ["b"], 3).tolist() == [[True, False, True]]
