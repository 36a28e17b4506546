"""Whole runs of models with several labels, and with quantities, from YAML to the pages."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from activation_atlas.pipeline import commands
from activation_atlas.pipeline.store import Store
from tests.small import CLASSES, draw

pytestmark = pytest.mark.slow
IMAGES, SIDE = 60, 32
ROOT = Path(__file__).parent.parent


def halves(count, seed):
    """Images of two halves, each a texture of :data:`CLASSES` or plain grey: pixels, 0 and 1 for each class, and how
    many halves are not grey, with the mean of all pixels."""
    rng = np.random.default_rng(seed)
    pixels = np.full((count, SIDE, SIDE, 3), 127, np.uint8)
    hot = np.zeros((count, len(CLASSES)), np.float32)
    for k in range(count):
        for half in range(2):
            kind = rng.integers(len(CLASSES) + 1)
            if kind < len(CLASSES):
                texture = np.asarray(draw(CLASSES[kind], int(rng.integers(1 << 20)), SIDE))
                pixels[k, :, 16 * half : 16 * half + 16] = texture[:, :16]
                hot[k, kind] = 1
    numbers = np.c_[(pixels.std((1, 3)).reshape(count, 2, 16).mean(2) > 1).sum(1), pixels.mean((1, 2, 3))]
    return pixels, hot, numbers.astype(np.float32)


def trained(target, activation, loss, scale=1.0):
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 5, strides=2, padding="same", activation="relu", name="first"),
            layers.Conv2D(24, 3, strides=2, padding="same", activation="relu", name="second"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(target.shape[1], activation=activation, name="answer"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), loss)
    pixels, _, _ = halves(600, 1)
    model.fit(pixels, target / scale, epochs=12, batch_size=50, verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * scale, bias * scale])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 images, tables of their labels, and two models that learned them."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "images").mkdir()
    pixels, hot, numbers = halves(IMAGES, 2)
    paths = [f"images/{k:02}.png" for k in range(IMAGES)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(folder / path)
    lists = [[CLASSES[k] for k in np.flatnonzero(row)] for row in hot]
    table = {"path": paths, "label": lists, "halves": numbers[:, 0], "mean": numbers[:, 1]}
    table["mean"] = [None, float("nan"), *table["mean"].tolist()[2:]]
    pq.write_table(pa.table(table), folder / "table.parquet")
    _, learned, measured = halves(600, 1)
    trained(learned, "sigmoid", "binary_crossentropy").save(folder / "labels.keras")
    trained(measured, "linear", "mse", np.float32([1, 50])).save(folder / "quantities.keras")
    return folder


def run(folder, name, **sections):
    config = {
        "run": {"name": name, "shard_images": 25},
        "extract": {"positions_per_image": 6},
        "atlases": [
            {
                "name": "all",
                "layer": "second",
                "grids": [2],
                "min_count": 2,
                "reduce": {"method": "pca"},
                "render": None,
            }
        ],
        "evaluate": {"limit": 6, "steps": 8, "randomization": {"images": 4}},
        **sections,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    commands.run(folder / f"{name}.yaml", out=folder / name, quiet=True)
    return Store(folder / name)


def rows(store, table):
    return [row for k in range(store.parts(table)) for row in store.read(table, k).to_pylist()]


class Page(HTMLParser):
    """The text of a page, and the data of its script."""

    def __init__(self, path):
        super().__init__()
        self.text, self.data, self.inside = "", "", ""
        self.feed(path.read_text(encoding="utf-8"))
        self.data = json.loads(self.data)

    def handle_starttag(self, tag, attrs):
        self.inside = "data" if dict(attrs).get("id") == "data" else tag

    def handle_data(self, data):
        if self.inside == "data":
            self.data += data
        elif self.inside not in ("script", "style"):
            self.text += data


def test_several_labels_from_the_table_to_the_pages(folder):
    store = run(
        folder,
        "labels",
        model={"path": "labels.keras", "classes": CLASSES, "threshold": {"stripes": 0.4}},
        images={"path": "table.parquet"},
        explain={
            "images": 'missed == "stripes" or false == "checks" or label == "blobs"',
            "methods": ["grad_cam", {"name": "occlusion", "patch": 16, "stride": 16}],
            "targets": ["missed", "false", "label"],
        },
        audit={"candidates": 2, "exemplars": 5, "images": 20},
    )
    said = {row["image_id"]: row for row in rows(store, "predictions")}
    assert all(row["correct"] == (row["label"] == row["pred"]) for row in said.values())
    for row in said.values():
        least = np.log([0.4 / 0.6, 1, 1])
        assert row["pred"] == np.flatnonzero(np.array(row["logits"]) >= least).tolist()
    for row in rows(store, "maps/grad_cam"):
        own = said[row["image_id"]]
        kinds = {"label": own["label"], "missed": set(own["label"]) - set(own["pred"])}
        kinds["false"] = set(own["pred"]) - set(own["label"])
        assert all((row["target"] in kinds[kind]) == (kind in row["target_kinds"]) for kind in kinds)
    found = {(row["name"], row["measure"]): row["value"] for row in rows(store, "measures")}
    assert found[None, "mean_average_precision"] > 0.8 and found["stripes", "f1"] > 0.6
    page = Page(folder / "labels" / "site" / "errors.html")
    assert "How well each label is found" in page.text and "average precision" in page.text
    cases = page.data["cases"]
    wrong = {(i, k) for i, row in said.items() for k in set(row["label"]) ^ set(row["pred"])}
    assert sum(case["mistake"] for case in cases) == len(wrong) > 0
    assert all((case["label"] is None) != (case["pred"] is None) for case in cases if case["mistake"])
    assert {words[0][0] for words in (case["title"] for case in cases)} <= {"missed ", "falsely called ", "rightly "}
    assert "Mean average precision" in Page(folder / "labels" / "site" / "index.html").text
    assert (folder / "labels" / "figures" / "measures.svg").is_file()
    tried = rows(store, "trials")  # by the class's own threshold, whatever the others do
    assert tried and all(row["pred_after"] in (row["class"], -1) for row in tried)
    least = np.log([0.4 / 0.6, 1, 1])
    assert all((row["pred_after"] >= 0) == (row["logit_after"] >= np.float32(least[row["class"]])) for row in tried)


def test_quantities_from_the_table_to_the_pages(folder):
    store = run(
        folder,
        "quantities",
        model={"path": "quantities.keras", "task": "quantities"},
        images={"path": "table.parquet", "label_columns": ["halves", "mean"]},
        explain={"methods": ["grad_cam", "gradient_x_input"]},
        audit={},
    )
    said = rows(store, "predictions")
    assert sum(row["label"] is None for row in said) == 2 and all(row["prob"] is None for row in said)
    np.testing.assert_allclose([row["pred"] for row in said], [row["logits"] for row in said])
    found = {(row["name"], row["measure"]): row["value"] for row in rows(store, "measures")}
    assert found["halves", "r2"] > 0.5 and found["mean", "mae"] < 20
    maps = rows(store, "maps/gradient_x_input")
    worst = {row["image_id"] for row in maps}
    assert len(worst) == 6 and {row["target"] for row in maps} == {0, 1}  # a tenth of 58, of each both quantities
    values = {(row["image_id"], k): value for row in said for k, value in enumerate(row["pred"])}
    assert all(row["score"] == pytest.approx(values[row["image_id"], row["target"]], rel=1e-4) for row in maps)
    assert {measure for measure in (row["measure"] for row in rows(store, "trust"))} <= {"pointing", "energy"}
    page = Page(folder / "quantities" / "site" / "errors.html")
    assert "What is predicted, and what is true" in page.text and "Farthest off" in page.text
    assert len(page.data["cases"]) == 6 and all(", not " in str(case["title"]) for case in page.data["cases"])
    assert "%" not in str(page.data["cases"]) and page.data["variants"][0]["unit"] == ""
    assert {row["measure"] for row in rows(store, "groups")} == {"mae"} and not store.parts("cues")
    audit = (folder / "quantities" / "site" / "audit.html").read_text(encoding="utf-8")
    assert audit.count("outputs are quantities, and no image is") == 2  # of a class, and right or wrong
    main_page = Page(folder / "quantities" / "site" / "index.html")
    assert "Mean error of halves" in main_page.text and "Accuracy" not in main_page.text
    assert main_page.data["classes"] == ["halves", "mean"]


def test_the_configurations_that_ship_read_the_labels_they_describe(tmp_path, monkeypatch):
    """Copied out of their comments, beside photographs and a model of one's own."""
    import keras

    from activation_atlas.pipeline.config import load

    monkeypatch.setenv("PHOTOGRAPHS", str(tmp_path))
    for k in (1, 2, 3):
        draw(CLASSES[k - 1], k, SIDE).save(tmp_path / f"000{k}.jpg")

    def written(name, outputs, activation, table=0):
        text = (ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
        lines = [
            line.split("<-")[0].strip("# ") for line in text.splitlines() if line.startswith(("#   path,", "#   000"))
        ]
        (tmp_path / "labels.csv").write_text("\n".join(lines[4 * table : 4 * table + 4]))
        image = keras.Input((SIDE, SIDE, 3))
        x = keras.layers.Conv2D(4, 3, strides=4, activation="relu", name="last_map")(image)
        x = keras.layers.Dense(outputs, activation)(keras.layers.GlobalAveragePooling2D()(x))
        keras.Model(image, x).save(tmp_path / "model.keras")
        settings = ["images.label_columns=[person, dog, bicycle]"] if table else []
        out = tmp_path / f"{name} {table}"
        commands.run(load(ROOT / "configs" / f"{name}.yaml", settings), out=out, until="extract", quiet=True)
        store = Store(out)
        images = {row["uri"][-5:-4]: row["label"] for row in rows(store, "images")}
        return images, rows(store, "predictions")

    said, _ = written("several_labels", 3, "sigmoid")
    assert said == {"1": [0, 1], "2": None, "3": [2]}
    said, predicted = written("several_labels", 3, "sigmoid", 1)
    assert said == {"1": [0, 1], "2": [], "3": [2]}
    assert all(isinstance(row["pred"], list) for row in predicted)
    said, predicted = written("quantities", 2, None)
    assert said == {"1": [31.5, 70.2], "2": None, "3": [8, 27.9]}
    assert all(row["pred"] == row["logits"] for row in predicted)
