"""The command explain: what it writes, and its one line where something is wrong."""

import csv
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from activation_atlas.stages.explain.export import _say
from activation_atlas.stages.explain.interactive import Explained, explain_images, files
from activation_atlas.stages.explain.panel import panel_of
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from tests.bench import command, one_line
from tests.small import CLASSES, draw, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("explain")
    write_model(made / "model.keras", 16)
    (made / "classes.txt").write_text("\n".join(CLASSES))
    (made / "photos").mkdir()
    draw("stripes", 1, 40).crop((0, 0, 40, 24)).save(made / "photos" / "wide one.png")
    draw("checks", 1, 300).save(made / "photos" / "large.jpg")
    (made / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xffnothing")
    return made


def explain(folder, *words, images=("photos/large.jpg",)):
    given = [folder / image for image in images]
    common = ["--model", folder / "model.keras", "--classes", folder / "classes.txt", "--out", folder / "out"]
    return command("explain", *given, *common, *words)


@pytest.mark.parametrize("uri", ["dog.jpg", "a/b/dog.jpg", r"C:\pets\dog.jpg", "s3://pets/dog.jpg"])
def test_an_image_is_called_as_its_file_is(uri):
    photo = np.zeros((4, 4, 3), np.uint8)
    assert Explained("m", uri, "0", photo, photo, "none", None, [], photo[0, 0], photo[0, 0]).name == "dog.jpg"


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.slow
def test_pictures_panels_and_tables(folder):
    words = "--method grad_cam --method occlusion --option patch=6 --option stride=4 --target top:2 --target label"
    code, out, err = explain(folder, *words.split(), "--label", "blobs", images=["photos"])
    assert code == 3  # the others went on
    assert err.count("\n") == 1 and "broken.jpg: not a readable image: a damaged JPEG" in err
    assert "grad_cam at second (4 x 4)" in out and "occlusion at the input (3 x 3)" in out
    made = folder / "out"
    for stem in ("large", "wide_one", "all images"):
        assert size_of(made / f"{stem}.png")[0] > 700
        assert (made / f"{stem}.pdf").read_bytes()[:5] == b"%PDF-"
    rows = pq.read_table(made / "maps.parquet").to_pylist()
    assert {r["variant"] for r in rows} == {"grad_cam", "occlusion"}
    assert all(len(r["map"]) == r["height"] * r["width"] for r in rows)
    assert {k for r in rows for k in r["target_kinds"]} == {"rank:1", "rank:2", "label"}
    assert all(r["target"] == 2 for r in rows if "label" in r["target_kinds"])
    overlays = {p.name: size_of(p) for p in (made / "overlays").iterdir()}
    assert len(overlays) == len(rows)
    for name, size in overlays.items():  # the small one six times as large: its longer side has 224 pixels or more
        assert size == ((300, 300) if name.startswith("large") else (240, 144)), name
    with (made / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    assert len(predictions) == 2 * 3 and [p["rank"] for p in predictions] == ["1", "2", "3"] * 2
    assert sum(float(p["probability"]) for p in predictions) == pytest.approx(2, abs=1e-4)


def test_what_takes_many_passes_is_said_before_it_begins(folder):
    words = "--method grad_cam --method lime --method kernel_shap"
    code, out, err = explain(folder, *words.split(), images=["photos/broken.jpg"])
    assert code == 2 and "broken.jpg" in err
    assert out.splitlines() == ["passes through the network for a map: lime 1,000, kernel_shap 1,000"]


@pytest.mark.slow
def test_boxes_are_drawn_and_written(folder):
    shutil.rmtree(folder / "out", ignore_errors=True)  # of other tests
    asked = ["--method", "saliency", "--method", "grad_cam"]
    assert explain(folder, *asked, images=["photos/wide one.png"])[0] == 0
    plain = {p.name: p.read_bytes() for p in (folder / "out" / "overlays").glob("wide*")}
    code, out, _ = explain(folder, *asked, "--boxes", images=["photos/wide one.png"])
    assert code == 0 and "predictions.csv, boxes.csv" in out
    rows = list(csv.DictReader((folder / "out" / "boxes.csv").read_text(encoding="utf-8").splitlines()))
    (image,) = explain_images(folder / "photos/wide one.png", folder / "model.keras", ["saliency", "grad_cam"])
    assert [row["variant"] for row in rows] == ["saliency", "grad_cam"]
    found = {}
    for row, one in zip(rows, image.maps, strict=True):
        left, top, right, bottom = (float(row[side]) for side in ("left", "top", "right", "bottom"))
        # 40 x 24, of which the model sees the middle 24 x 24.
        assert 8 <= left < right <= 32 and 0 <= top < bottom <= 24
        assert image.box(one) == pytest.approx((left, top, right, bottom), abs=0.01)
        (found[one.variant],) = [name for name in plain if f".{one.variant}." in name]
    for name in found.values():
        assert (folder / "out" / "overlays" / name).read_bytes() != plain[name]
    framed = panel_of([image], boxes=True)
    assert "Frames: the box found in the map" in " ".join(t.get_text() for t in framed.axes.texts)
    assert framed.png() != panel_of([image]).png()


def test_from_python_the_same_maps(folder):
    spec = ModelSpec(path=str(folder / "model.keras"), classes=CLASSES)
    (image,) = explain_images(folder / "photos" / "large.jpg", spec, "grad_cam", ["checks", "second"])
    assert [m.kinds for m in image.maps][0][0] == "checks" and image.maps[0].name == "checks"
    assert image.probabilities.sum() == pytest.approx(1)
    assert image.picture(image.maps[0]).shape == (300, 300, 3)
    assert explain(folder, "--target", "checks", "--target", "second")[0] == 0
    stored = pq.read_table(folder / "out" / "maps.parquet").to_pylist()
    assert [r["target"] for r in stored] == [m.target for m in image.maps]
    for row, own in zip(stored, image.maps, strict=True):
        np.testing.assert_allclose(row["map"], own.values.ravel(), rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--method grad_cm", "--method: unknown method 'grad_cm'; did you mean grad_cam"),
        ("--target blobz", "did you mean blobs"),
        ("--target rank:9", "choose 1 to 3"),
        ("--target label", "--label NAME"),
        ("--target label --label blob", "label: unknown class 'blob'; did you mean blobs"),
        ("--layer secnd", "did you mean second?"),
        ("--layer dense", "dense"),
        ("--layer=", "grad_cam.layer"),
        ("--method occlusion --layer second", "explains at the input"),
        ("--method occlusion --option patc=3", "did you mean patch"),
        ("--method occlusion --option patch=big", "occlusion.patch"),
        ("--method occlusion --option stride=0", "occlusion.stride"),
        ("--method occlusion --option patch=64", "larger than the 16 x 16 images"),
        ("--option patch", "write key=value"),
        ("--classes nowhere.json", "model.classes: nowhere.json cannot be read"),
        ("--levels 5 5", "--levels: 5 and 5 cannot be black and white; give two values, e.g. --levels 0 4095"),
        ("--crop middle", "--crop middle: should be 'center', 'none' or 'pad'"),
        ("--channel-order grb", "--channel-order grb: Input should be 'rgb' or 'bgr'"),
        ("--mean 1 2 300", "mean: 300 is no value in [0, 255]"),
        ("--crop-share 1.5", "--crop-share 1.5: should be less than or equal to 1"),
        ("--crop pad --crop-share 0.8", "leave it out"),
        ("--interpolation cubic", "'bilinear', 'bicubic', 'lanczos' or 'nearest'"),
        ("--input-size 20", "model.input_size"),
        ("--output logit", "model.output: logit is neither auto, logits, probabilities nor an output of model"),
        ("--range 1 1", "model.keras: range: 1 stands for black and for white"),
    ],
)
def test_one_line_says_what_is_wrong(folder, words, said):
    one_line(explain(folder, *words.split()), said)


def test_images_that_cannot_be_used(folder):
    code, _, err = explain(folder, images=["photos/broken.jpg", "none.png"])
    assert code == 2 and err.count("\n") == 2 and "none.png: no such file" in err
    one_line(explain(folder, images=["photos/*.gif"]), "no file is called like this")
    one_line(explain(folder, "--model", folder / "modl.keras"), "did you mean model.keras?")
    one_line(explain(folder, "", images=[]), "an image without a name")


def test_two_classes_of_one_name_and_a_file_that_names_none(folder):
    (folder / "alike.txt").write_text("crane\ncrane\nheron")
    words = "--target", "label", "--label", "crane", "--classes", folder / "alike.txt"
    one_line(explain(folder, *words), "label: 2 classes are called crane, 0 and 1; give an index")
    (folder / "null.json").write_text("[null, 1]")
    one_line(explain(folder, *words[:-1], folder / "null.json"), "null.json must hold a list of names")


def test_an_image_given_twice_is_explained_once(folder):
    photos = folder / "photos"
    assert files(["dog.jpg", "./dog.jpg", "cat.jpg", "dog.jpg"]) == ["dog.jpg", "cat.jpg"]
    assert len(files([photos, photos / "large.jpg", f"{photos}/*.jpg"])) == 3


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_computed(folder):
    (folder / "taken").write_text("a file")
    for out in ("taken", "taken/below/it"):
        one_line(explain(folder, "--out", folder / out, images=["none.png"]), "is a file; give a folder")


def test_from_python_a_wrong_method_is_one_line_too(folder):
    for method, said in (
        ("grad_cm", "method: unknown method 'grad_cm'; did you mean grad_cam"),
        ({"name": "occlusion", "stride": 0}, "method.occlusion.stride: Input should be greater than 0"),
    ):
        with pytest.raises(UserError, match=said):
            explain_images([folder / "photos" / "large.jpg"], folder / "model.keras", [method])
    for model, said in (
        (3, "model: give a file, application:NAME"),
        ({"path": "m.keras", "rnge": (0, 1)}, "model.rnge: unknown key; did you mean range?"),
        ({"path": "m.keras", "range": (1, 1)}, "model: range: 1 stands for black and for white"),
    ):
        with pytest.raises(UserError, match=said):
            explain_images("dog.jpg", model)
    for given, said in (
        ({"crop": "middle"}, "^crop 'middle': should be 'center', 'none' or 'pad'$"),
        ({"targets": [2]}, "^target 2: is no text; give a class by its name, or by its index as text, such as '5'$"),
        ({"targets": 2}, "^target 2: is no text"),
        ({"label": 2}, "^label 2: is no text"),
        ({"methods": {"name": "occlusion", "stride": 0}}, "^method.occlusion.stride: Input should be greater than 0$"),
        ({"methods": METHODS["rise"].options(), "images": [np.zeros(3)]}, "^an image of type ndarray; give files"),
        ({"methods": 3}, "^method: "),
    ):
        with pytest.raises(UserError, match=said):
            explain_images(**{"images": folder / "photos" / "large.jpg", "model": folder / "model.keras", **given})


@pytest.fixture(scope="module")
def explained(folder):
    spec = ModelSpec(path=str(folder / "model.keras"), classes=CLASSES)
    methods = ["eigen_cam", "rise", {"name": "occlusion", "patch": 3, "stride": 5}, "integrated_gradients"]
    return explain_images([folder / "photos" / "wide one.png"], spec, methods)


def test_a_panel_of_nothing_is_one_line(explained):
    with pytest.raises(UserError, match="^panel: there is no image; give what explain returned$"):
        panel_of([])
    with pytest.raises(UserError, match="^panel: wide one.png has no maps; give explain one method"):
        panel_of([replace(explained[0], maps=[])])


def test_a_panel_says_what_its_colours_mean(explained):
    said = " ".join(t.get_text() for t in panel_of(explained).axes.texts)
    assert "red with the pattern, blue against it" in said and "red more than the map’s mean, blue less" in said
    assert "Hatched: where no window reaches, or a value is not finite." in said
    assert "Dull grey: what the model was not shown." in said
    without = [replace(one, maps=[m for m in one.maps if m.options.name != "occlusion"]) for one in explained]
    assert "Hatched" not in " ".join(t.get_text() for t in panel_of(without).axes.texts)
    options = METHODS["occlusion_segments"].options()
    by_segments = [replace(one, maps=[replace(m, options=options) for m in one.maps[:1]]) for one in explained]
    said = " ".join(t.get_text() for t in panel_of(by_segments).axes.texts)
    assert "Segments have one value each and keep their borders" in said and "bilinear" not in said


@pytest.mark.slow
def test_a_panel_may_be_narrow_and_without_words(explained):
    whole, bare = panel_of(explained), panel_of(explained, True, words=False, across=2)
    said = " ".join(t.get_text() for t in bare.axes.texts)
    assert "RISE" in said and "logit" in said and "Colours" not in said and "Frames" not in said
    assert bare.width < whole.width and len(bare.axes.images) == len(whole.axes.images) + 1  # the photograph twice
    with pytest.raises(UserError, match="^panel: across 0: give at least 1$"):
        panel_of(explained, across=0)


def test_greys_of_12_bits_are_told_or_read_as_they_are_meant(folder, caplog):
    spec = ModelSpec(path=str(folder / "model.keras"), classes=CLASSES)
    ramp = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(folder / "twelve.png")
    (dark,) = explain_images([folder / "twelve.png"], spec, [])
    assert dark.photo.max() == 16
    assert "the largest value is 4095 of 65535, which is nearly black: give --levels 0 4095" in caplog.text
    caplog.clear()
    (bright,) = explain_images([folder / "twelve.png"], spec, [], levels=(0, 4095))
    assert bright.photo.max() == bright.pixels.max() == 255 and not caplog.text


@pytest.mark.slow
def test_what_a_model_returns_can_be_said_wherever_one_is_opened(folder, caplog):
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="second")(layers.Rescaling(1 / 255)(image)))
    both = [layers.Dense(3, activation="sigmoid")(pooled) for _ in range(2)]
    half = keras.initializers.Constant(np.concatenate([np.eye(3), np.eye(3)]) / 2)
    keras.Model(image, layers.Average()(both)).save(folder / "average.keras")
    keras.Model(image, layers.Dense(3, use_bias=False, kernel_initializer=half)(layers.Concatenate()(both))).save(
        folder / "mixed.keras"
    )
    assert command("layers", folder / "average.keras")[0] == 0
    assert "(Average) of 2 sigmoids, and has no logits behind it" in caplog.text
    photo = ["explain", folder / "photos" / "large.jpg", "--out", folder / "out", "--model", folder / "mixed.keras"]
    for words in (["layers", folder / "mixed.keras"], photo):
        one_line(command(*words), "say what they are with model.output (--output): logits or probabilities")
        assert command(*words, "--output", "probabilities")[0] == 0
    assert command("layers", folder / "mixed.keras", "--output", "logits", "--input-size", "16")[0] == 0
    assert "taken for logits, as model.output says, though it lies within [0, 1]" in caplog.text


def test_how_far_a_surrogate_holds_is_said_of_each_map(capsys):
    def one(variant, name, fit):
        return SimpleNamespace(variant=variant, layer=None, values=np.zeros((4, 4)), fit=fit, flag=None, name=name)

    maps = [one("lime", "cat", 0.714), one("lime", "dog", 0.4), one("rise", "cat", None)]
    _say(SimpleNamespace(uri="a.png", classes=["cat"], best=lambda n: [0], says=lambda k: "71 %", maps=maps), print)
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["  lime at the input (4 x 4), fit 0.71 for cat, 0.40 for dog", "  rise at the input (4 x 4)"]
