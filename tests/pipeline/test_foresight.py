"""What a model's description is enough to know is said by `plan`, which opens no model, and first of all by `run`."""

import json
import subprocess
import sys
import zipfile

import pytest
import yaml

from tests.bench import command, one_line
from tests.small import CLASSES, write_model

ATLAS = {"name": "a", "layer": "second", "render": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foresight")
    write_model(folder / "model.keras")
    (folder / "images").mkdir()
    return folder


def config(folder, **changes):
    whole = {"model": {"path": "model.keras"}, "images": {"path": "images"}, "atlases": [ATLAS], **changes}
    (folder / "c.yaml").write_text(yaml.safe_dump(whole))
    return folder / "c.yaml"


NAMED = {"path": "model.keras", "classes": CLASSES}
WRONG = [
    (
        {"atlases": [{**ATLAS, "layer": "secnd"}]},
        "layer secnd of model model.keras: there is none; did you mean second?",
    ),
    ({"atlases": [{**ATLAS, "layer": "xyz"}]}, "there is none; there are "),
    ({"extract": {"layers": ["backbone/second"]}}, "there is none; did you mean second?"),
    (
        {"explain": {"methods": [{"name": "grad_cam", "layer": "frst"}]}},
        "layer frst of model model.keras: there is none",
    ),
    ({"model": {**NAMED, "classes": ["a", "b"]}}, "2 names for model model.keras, which returns 3 classes"),
    ({"model": NAMED, "atlases": [{**ATLAS, "class": "strips"}]}, "unknown class 'strips'; did you mean stripes?"),
    ({"model": NAMED, "atlases": [{**ATLAS, "pair": ["blobs", "zebra"]}]}, "there are stripes, checks, blobs"),
    ({"atlases": [{**ATLAS, "class": "class 3"}]}, "unknown class 'class 3'"),
    ({"model": NAMED, "extract": {"attribution": ["check"]}}, "extract.attribution: unknown class 'check'"),
    ({"model": NAMED, "report": {"classes": ["blob"]}}, "report.classes: unknown class 'blob'; did you mean blobs?"),
    ({"model": NAMED, "explain": {"targets": ["strips"]}}, "explain.targets: unknown target 'strips'"),
    ({"explain": {"targets": ["rank:4"]}}, "explain.targets: rank:4 of a model with 3 classes"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_wrong_layers_and_classes_are_said_by_plan(folder, changes, words):
    one_line(command("plan", config(folder, **changes)), words)


def test_run_says_them_before_it_looks_for_images(folder, tmp_path):
    path = config(folder, **WRONG[0][0])
    one_line(command("run", path, "--out", tmp_path / "run"), WRONG[0][1])  # the folder of images is empty
    assert not (tmp_path / "run/images").exists()


def test_what_is_right_or_not_known_is_not_refused(folder, tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(folder / "images/a.png")
    for changes in (
        {"explain": {"targets": ["class 2", "1", "top:3"], "methods": [{"name": "cam", "layer": "second"}]}},
        {"atlases": [{**ATLAS, "layer": "dense", "images": True}]},
        {"model": {"application": "InceptionV3"}, "atlases": [{**ATLAS, "layer": "mixed4", "class": "tabby"}]},
    ):
        code, said, errors = command("plan", config(folder, **changes))
        assert code == 0 and "would run" in said and "to do: index, " in said.splitlines()[-1], errors
    # Of a subclassed model the description tells no layers.
    with zipfile.ZipFile(folder / "model.keras") as there, zipfile.ZipFile(folder / "own.keras", "w") as here:
        for name in there.namelist():
            text = there.read(name)
            here.writestr(
                name,
                text.replace(b'"class_name": "Sequential"', b'"class_name": "Other"')
                if name == "config.json"
                else text,
            )
    assert command("plan", config(folder, model={"path": "own.keras"}, **WRONG[0][0]))[0] == 0


def test_plan_opens_no_model(folder):
    import keras

    keras.saving.load_model(folder / "model.keras").save(folder / "model.h5")
    code = (
        "import json, sys; from activation_atlas.pipeline.cli import main\n"
        "try: main()\nexcept SystemExit as left: print(left.code, *{'tensorflow', 'keras'} & set(sys.modules))"
    )
    for name in ("model.keras", "model.h5"):
        path = config(folder, model={"path": name}, atlases=[{**ATLAS, "layer": "secnd"}])
        done = subprocess.run([sys.executable, "-c", code, "plan", str(path)], capture_output=True, text=True)
        assert done.stdout.split() == ["2"] and "did you mean second?" in done.stderr


def test_a_file_that_cannot_be_opened_here_is_said_by_plan(folder):
    own = {"class_name": "Mine", "config": {"name": "mine"}, "registered_name": "pkg>Mine", "module": None}
    whole = {"class_name": "Sequential", "module": "keras", "config": {"layers": [own]}}
    with zipfile.ZipFile(folder / "custom.keras", "w") as file:
        file.writestr("config.json", json.dumps(whole))
        file.writestr("metadata.json", json.dumps({"keras_version": "3.15.0"}))
    one_line(
        command("plan", config(folder, model={"path": "custom.keras"})), "holds the custom layer pkg>Mine (called mine)"
    )
