"""What cannot be explained is one clear line, through the real command: options, targets, queries, labels, models."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bench import Bench, command, one_line, write_models


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("bad"))
    write_models(made.folder)
    write_deaf(made.folder)
    return made


def write_deaf(folder) -> None:
    """Models without a ReLU, and models through which no gradient comes back."""
    import keras
    from keras import layers, ops

    def save(name, middle=lambda x: x, activation="relu", outputs=3):
        image = keras.Input((32, 32, 3))
        x = layers.Conv2D(4, 3, strides=2, activation=activation, name="second")(image)
        x = layers.Conv2D(4, 3, strides=2, activation=activation, name="last")(middle(x))
        x = layers.Dense(outputs, activation="softmax" if outputs > 1 else None)(layers.GlobalAveragePooling2D()(x))
        keras.Model(image, x).save(folder / f"{name}.keras")

    keras.utils.set_random_seed(3)
    save("tanh", activation="tanh")
    save("stopped", ops.stop_gradient)
    save("rounded", ops.round)
    save("whole", lambda x: ops.cast(ops.cast(x, "int32"), "float32"))
    save("quantity", outputs=1)


def explain(bench: Bench, *settings: str, model: str = "model", **options) -> tuple[int, str, str]:
    """The run with an ``explain`` section; runs of one model share a folder, so that it is extracted once."""
    chosen = f"explain={json.dumps({'images': 'all', **options})}"
    settings = ("atlases=[]", f"model.path={model}.keras", chosen, *settings)
    return bench.run(f"of {model}", *settings, words=("--until", "explain"))


def at(layer: str, name: str = "grad_cam") -> dict:
    return {"methods": [{"name": name, "layer": layer}]}


def hidden(**options) -> dict:
    return {"methods": [{"name": "occlusion", "mode": "full", **options}]}


WRONG = {
    "a layer without positions": (at("dense"), "layer dense of model model.keras: its output (3) has no positions"),
    "no such layer": (at("secnd"), "did you mean second?"),
    "a window larger than the image": (hidden(patch=64), "larger than the 32 x 32 images"),
    "a window wider than the image": (hidden(patch=[8, 33]), "a window of 8 x 33 pixels"),
    "stride 0": (hidden(stride=0), "explain.methods.0.stride: "),
    "a shade that is none": (hidden(fill=-1), "explain.methods.0.fill: "),
    "no such method": ({"methods": ["gradcam"]}, "did you mean grad_cam"),
    "no such option": (at("second") | {"methods": [{"name": "grad_cam", "laye": "x"}]}, "did you mean layer?"),
    "a method used twice": ({"methods": ["saliency", {"name": "saliency"}]}, "as: saliency_2"),
    "no such class": ({"targets": ["strips"]}, "explain.targets: unknown target 'strips'; did you mean stripes"),
    "a rank beyond the classes": ({"targets": ["rank:4"]}, "rank:4 of a model with 3 classes; choose 1 to 3"),
    "more than all classes": ({"targets": ["top:9"]}, "choose 1 to 3"),
    "a query of no column": ({"images": 'labl == "stripes"'}, "unknown column 'labl'; did you mean label"),
    "a query that cannot be read": ({"images": "prob >"}, "explain.images: prob >: cannot be read"),
    "a query that would run something": ({"images": "prob.to_csv('x')"}, ".to_csv is no part of a query"),
    "a query that chooses nothing": ({"images": "prob > 2"}, "chooses none of 9 images"),
    "limit 0": ({"limit": 0}, "explain.limit: "),
    "a target that YAML reads as no text": (
        {"targets": [False]},
        "YAML reads False, which is no text: put every name in quotes",
    ),
    "no target": ({"targets": []}, "explain.targets: "),
    "no method": ({"methods": []}, "explain.methods: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_with_exit_status_2(bench, case):
    options, words = WRONG[case]
    one_line(explain(bench, **options), words)


def test_wrong_targets_queries_and_methods_are_refused_before_any_image_is_read(bench):
    for wrong in ({"targets": ["zebra"]}, {"images": "labl > 1"}, at("secnd"), hidden(patch=64)):
        chosen = f"explain={json.dumps(wrong)}"
        assert bench.run("early", "atlases=[]", chosen)[0] == 2
        assert not bench.store("early").parts("predictions")


def test_errors_and_labels_where_there_are_no_labels(bench):
    none = "images.label_column=none"
    one_line(explain(bench, none, images="errors"), "but no image has a label; give labels, or explain.images: all")
    one_line(explain(bench, none, targets=["label"]), "explain.targets: label, but no image has a label")
    code, _, said = explain(bench, none, targets=["label", "second"])
    assert code == 0, said


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet", "guided_grad_cam"])
def test_a_method_that_changes_relus_needs_some(bench, method):
    said = f"{method}: changes the gradient of ReLUs, and model tanh.keras has none (its activations: tanh)"
    one_line(explain(bench, model="tanh", methods=[method]), said)


OPERATIONS = {"stopped": "StopGradient", "rounded": "Round", "whole": "Cast"}


@pytest.mark.parametrize("model", ["stopped", *(pytest.param(m, marks=pytest.mark.slow) for m in ("rounded", "whole"))])
def test_a_model_without_a_gradient_path_names_the_operation(bench, model):
    words = f"({OPERATIONS[model]}) has none; use a method without gradients"
    one_line(explain(bench, model=model, methods=["saliency"]), words)
    one_line(explain(bench, model=model, **at("second")), words)
    code, _, said = explain(bench, model=model, methods=["grad_cam", {"name": "eigen_cam", "layer": "second"}])
    assert code == 0, said  # behind the operation, and without gradients, it can be explained


def test_a_quantity_is_no_class(bench):
    one_line(explain(bench, model="quantity"), "a quantity (regression) is no class: say model.task: quantities")


@pytest.mark.parametrize(("images", "labels"), [("paths", "names"), ("bytes", "numbers")])
def test_several_labels_for_an_image_need_a_model_of_several(bench, labels, images):
    paths = [f"images/stripes/{k}.png" for k in range(3)]
    each = [["stripes", "blobs"], [], ["blobs"]] if labels == "names" else [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    files = [{"bytes": (bench.folder / path).read_bytes(), "path": path} for path in paths]
    columns = {"image": files} if images == "bytes" else {"path": paths}
    table = f"{labels} {images}.parquet"
    pq.write_table(pa.table(columns | {"label": pa.array(each)}), bench.folder / table)
    one_line(explain(bench, f"images.path={table}", "model.task=classes", model="labels"), "asks for one; say labels")
    one_line(explain(bench, f"images.path={table}"), "hold several labels of an image, and the model's classes exclude")
    one_line(explain(bench, f"images.path={table}", "model.task=labels"), "ends in a softmax, of which one class wins")
    code, _, said = explain(bench, f"images.path={table}", "images.label_column=none", model="labels")
    assert code == 0, said
    code, _, said = explain(bench, f"images.path={table}", model="labels", targets=["label"])
    assert code == 0, said
    store = bench.store("of labels")
    assert sorted(row["label"] for row in store.read("images", 0).to_pylist()) == [[], [0, 2], [2]]


def test_a_single_sigmoid_and_several_are_explained(bench):
    """Every class of theirs, also the one that is not said: its score is the other's, negated."""
    plain = "images.label_column=none"
    code, _, said = explain(bench, plain, "model.classes=null", model="sigmoid", targets=["top:2"])
    assert code == 0, said
    store = bench.store("of sigmoid")
    rows = [row for k in range(store.parts("maps/grad_cam")) for row in store.read("maps/grad_cam", k).to_pylist()]
    scores = {(row["image_id"], row["target"]): row["score"] for row in rows}
    assert len(scores) == 18 and all(scores[name, 0] == -scores[name, 1] for name, _ in scores)
    code, _, said = explain(bench, model="labels", targets=["predicted", "blobs"])
    assert code == 0, said


@pytest.mark.slow
def test_images_that_cannot_be_read_when_they_are_explained_count_as_rejects(bench):
    """Once each, however many methods there are: on the page, in the status, and in the exit status."""
    out, methods = "gone", {"methods": ["grad_cam", {"name": "saliency"}]}
    settings = (f"explain={json.dumps({'images': 'all', **methods})}", "atlases=[]")
    assert bench.run(out, *settings, words=("--until", "extract"))[0] == 0
    target = bench.folder / "images/stripes/1.png"
    whole, seen = target.read_bytes(), target.stat()
    target.write_bytes(b"x" * len(whole))
    os.utime(target, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # to the index it is what it was
    try:
        code, printed, said = bench.run(out, *settings)
        assert code == 3 and "too many rejects: 11.1% of the images" in said
        assert said.count("stripes/1.png cannot be explained: not an image") == 1
        assert "1 of 9 images were rejected" in printed
        assert bench.run(out, *settings, "extract.max_rejects=0.2")[0] == 0
        assert bench.run(out, *settings, words=("--until", "extract"))[0] == 0
    finally:
        target.write_bytes(whole)
    status = command("status", bench.folder / out)[1].splitlines()
    assert any(line.split() == ["rejected", "images", "1"] for line in status), status
    html = (bench.folder / out / "site/errors.html").read_text()
    assert "1 chosen image could not be read again to be explained and lacks maps, e.g. 1.png: not an image" in html
    assert "run with --redo explain" in said
    assert bench.run(out, *settings, words=("--redo", "explain"))[0] == 0
    assert not any(bench.store(out).rows(f"rejects/explain-{name}") for name in ("grad_cam", "saliency"))
