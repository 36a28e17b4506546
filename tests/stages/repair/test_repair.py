"""The whole stage, on images of two colours and a model that leans on a white corner."""

import hashlib

import keras
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages import repair, repaired, tables
from activation_atlas.stages.specs import ImagesSpec, ModelSpec, ViewSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables import from_numpy
from tests.memory import MemoryInputs

SIZE, IMAGES = 8, 320


def images(everywhere: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reddish images of class 0, bluish ones of class 1, unsurely so; corners are white in half of class 1, and of
    class 0 where that is so ``everywhere``. Pixels, labels, and which have the corner."""
    rng = np.random.default_rng(0)
    label = np.arange(IMAGES) % 2
    tint = 30 * (2 * label - 1) + rng.normal(0, 15, IMAGES)
    pixels = np.full((IMAGES, SIZE, SIZE, 3), 100.0)
    pixels[..., 0] -= tint[:, None, None]
    pixels[..., 2] += tint[:, None, None]
    corner = (rng.uniform(size=IMAGES) < 0.5) & (everywhere | (label == 1))
    pixels[corner, :3, :3] = 255
    return np.clip(pixels, 0, 255).astype(np.uint8), label, corner


def model() -> keras.Model:
    """Its features are the means of red and of blue, and the brightness of the corner; class 1 is blue, or bright."""
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Dense(3, name="features")(keras.layers.Flatten()(x))
    made = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="end")(x))
    mix = np.zeros((SIZE, SIZE, 3, 3), "float32")
    mix[3:, 3:, 0, 0] = mix[3:, 3:, 2, 1] = 1 / 25
    mix[:3, :3, :, 2] = 1 / 27
    made.get_layer("features").set_weights([mix.reshape(-1, 3), np.zeros(3)])
    made.get_layer("end").set_weights([np.array([[10.0, -10], [-10, 10], [-10, 10]]), np.array([3.92, -3.92])])
    return made


def written(folder, everywhere: bool) -> tuple[MemoryInputs, repair.Params]:
    """A run folder up to its cues: the corner is one, and its rows lie in the left half of the atlas."""
    pixels, label, corner = images(everywhere)
    made = model()
    made.save(folder / "leaning.keras")
    pred = made.predict(pixels.astype("float32"), verbose=0).argmax(1)
    ids = [f"{k:016x}" for k in range(IMAGES)]
    for own, image in zip(ids, pixels, strict=True):
        Image.fromarray(image).save(folder / f"{own}.png")
    about = pa.table(
        {
            "image_id": ids,
            "uri": [str(folder / f"{own}.png") for own in ids],
            "sha256": [hashlib.sha256(own.encode()).hexdigest() for own in ids],
        }
    )
    said = pa.table({"image_id": ids, "label": pa.array(label, pa.int32()), "pred": pa.array(pred, pa.int32())})
    place = {"image_id": ids, "row": pa.array([0] * IMAGES, pa.int16()), "col": pa.array([0] * IMAGES, pa.int16())}
    x = np.where(corner, 0.2, 0.7).astype(np.float32)
    layout = pa.table({**place, "x": x, "y": np.zeros(IMAGES, np.float32)})
    argued = np.stack([np.zeros(IMAGES), np.where(corner, 1, -1)], 1).astype(np.float32)
    rows = pa.table({**place, "attribution": from_numpy(argued)})
    rect = {"row": 0, "col": 0, "top": 0, "left": 0, "bottom": 3, "right": 3}
    lent = [ids[k] for k in np.flatnonzero(corner & (everywhere <= (label == 0)))[:4]]
    cue = dict.fromkeys(tables.cues().names)
    cue |= {"rank": 0, "candidate": 2, "class": 1, "verdict": "verified", "atlas": "all"}
    cue |= {"cells": [{"grid": 2, "cell_x": 0, "cell_y": 0}], "exemplars": [{"image_id": i, **rect} for i in lent]}
    refuted = {**cue, "rank": 1, "candidate": 0, "verdict": "refuted"}
    found = pa.Table.from_pylist([cue, refuted], schema=tables.cues())
    held = {"images": about, "predictions": said, "layouts/all": layout, "activations/deep": rows, "cues": found}
    extract = {"classes": ["red", "blue"], "kind": "softmax", "attributed": [0, 1], "top": False}
    extract |= {"input_size": [SIZE, SIZE], "images": {}}
    inputs = MemoryInputs({name: [table] for name, table in held.items()}, {("extract", ""): extract})
    spec, path = ModelSpec(path=str(folder / "leaning.keras")), ImagesSpec(path=str(folder))
    return inputs, repair.Params(model=spec, images=path, seed=0, view=ViewSpec(name="all", layer="deep"), batch=32)


@pytest.mark.slow
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_model_that_leans_on_a_corner_is_repaired(everywhere, tmp_path):
    inputs, params = written(tmp_path, everywhere)
    made = inputs.run(repair.STAGE, params)["repair"]
    assert made.schema == tables.repair()
    rows = {(r["candidate"], r["class"], r["shown"]): r for r in made.to_pylist()}
    assert {candidate for candidate, _, _ in rows} == {None, 2}
    changed = rows[2, 0, "pasted"]
    assert changed["fit"] == ("as they are" if everywhere else "pasted")
    assert changed["taken_before"] > 0.9 and changed["taken_after"] < 0.15 and changed["recovered"] > 0.8
    assert rows[None, None, "without"]["after"] > 0.9
    files = inputs.run(repaired.STAGE, repaired.Params(model=params.model, called="leaning"))
    assert list(files) == ["repaired/leaning.keras"]
    # The file says of the held-out images what the table does, class by class, before and after.
    (tmp_path / "new.keras").write_bytes(files["repaired/leaning.keras"])
    known = repair.Known.of(inputs, params.view, inputs.table("cues").to_pylist()[:1], 0)
    pixels, label, corner = images(everywhere)
    assert (known.cues[:, 0] == corner).all() and 100 < known.held.sum() < IMAGES - 100
    for when, file in (("before", "leaning.keras"), ("after", "new.keras")):
        pred = keras.models.load_model(tmp_path / file).predict(pixels.astype("float32"), verbose=0).argmax(1)
        for k in (0, 1):
            for shown, chosen in (("all", corner | True), ("without", ~corner), ("with", corner)):
                own = known.held & chosen & (label == k)
                row = rows.get((2 if shown == "with" else None, k, shown))
                assert row is None and not own.any() or row["images"] == own.sum()
                assert row is None or row[when] == pytest.approx((pred[own] == k).mean())
    # And it is all the same once more.
    again = inputs.run(repair.STAGE, params)["repair"], inputs.run(repaired.STAGE, repaired.Params(**files_of(params)))
    assert again[0].equals(made) and again[1] == files


def files_of(params: repair.Params) -> dict:
    return {"model": params.model, "called": "leaning"}


def test_nothing_is_fitted_without_a_verified_cue_or_enough_images(tmp_path):
    inputs, params = written(tmp_path, True)
    (cues,) = inputs.tables["cues"]
    inputs.tables["cues"] = [cues.slice(1)]
    assert not len(inputs.run(repair.STAGE, params)["repair"]) and "no cue is verified" in inputs.notes[-1]
    assert inputs.run(repaired.STAGE, repaired.Params(**files_of(params))) == {}
    inputs.tables["cues"] = [cues]
    inputs.tables["images"] = [inputs.tables["images"][0].slice(0, 60)]
    assert not len(inputs.run(repair.STAGE, params)["repair"])
    assert "labelled images to fit on, 50 are needed; nothing is fitted" in inputs.warnings[-1]


def test_a_model_of_several_labels_is_refused(tmp_path):
    inputs = MemoryInputs({}, {("extract", ""): {"kind": "sigmoid"}})
    params = repair.Params(
        model=ModelSpec(path="m.keras"), images=ImagesSpec(path="."), seed=0, view=ViewSpec(name="all", layer="deep")
    )
    with pytest.raises(UserError, match="audit.repair: is for one class of several; this model tells several labels"):
        repair.STAGE.check[1](inputs, params)
