"""Pictures that make a network answer: they do, each by itself, and beside them is what excites a channel most."""

import numpy as np
import pyarrow as pa
import pytest

import activation_atlas as aa
from activation_atlas.stages import tables
from activation_atlas.stages.look.maximised import Maximised
from activation_atlas.stages.look.patches import of_photographs, of_run
from activation_atlas.stages.look.photographs import photographs
from activation_atlas.stages.look.wanted import channels
from activation_atlas.stages.origin import model_spec, shown_images
from activation_atlas.stages.vision.featurevis.taps import LOGITS, answer, takes
from activation_atlas.stages.vision.model import open_model
from activation_atlas.stages.vision.responses import deep, peaks, responses, spread
from tests.memory import MemoryInputs
from tests.small import write_images, write_model
from tests.stages.vision import small_models as small

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("maximise")
    write_images(made / "images", per_class=3)
    write_model(made / "model.keras")
    return made


@pytest.mark.parametrize("recipe", ["mean", "icon", "textbook"])
def test_pictures_answer_more_than_photographs_do(folder, recipe):
    file, images = folder / "model.keras", folder / "images"
    made = aa.maximise(file, "second", [3, 5], recipe=recipe, images=images, size=32, steps=40)
    assert made.pictures.dtype == np.uint8 and len(made.pictures) == 2
    model = open_model(model_spec(file))
    maps = responses(model, np.stack([one.pixels for one in photographs(images, model, shown_images())]), ["second"])[
        "second"
    ]
    inside = maps[:, 2:-2, 2:-2].mean((1, 2)) if recipe != "icon" else maps[:, 4, 4]
    assert (made.responses > 2 * inside[:, [3, 5]].mean(0)).all()
    np.testing.assert_allclose(made.best, maps[..., [3, 5]].max((0, 1, 2)), rtol=1e-4)
    alone = aa.maximise(file, "second", [5], recipe=recipe, size=32, steps=40)
    np.testing.assert_array_equal(alone.pictures[0], made.pictures[1])
    rows = made.table()
    assert rows.schema.equals(tables.maximised()) and rows["index"].to_pylist() == [3, 5]
    assert made._repr_png_()[:4] == b"\x89PNG"


def test_neurons_directions_and_classes(folder):
    model = folder / "model.keras"
    one = aa.maximise(model, "second", [3], at=(0, 7), steps=30)
    changed = np.abs(one.pictures[0].astype(float) - np.median(one.pictures[0], (0, 1))).mean(-1)
    assert changed[:16, 16:].mean() > 2 * changed[16:, :16].mean()  # where the position looks
    both = aa.maximise(model, "second", directions=np.eye(12)[3] + np.eye(12)[5], size=32, steps=30)
    assert both.wanted[0].kind == "direction" and both.responses[0] > 0
    classes = aa.maximise(model, classes=["1", "0"], size=32, steps=30)
    assert [w.index for w in classes.wanted] == [1, 0] and classes.layer == LOGITS
    assert {r["kind"] for r in classes.table().to_pylist()} == {"class"} and classes.table()["layer"].null_count == 2


def test_beside_what_speaks_against_a_channel_are_no_patches(folder):
    """Those of channel 0, whose number is the largest of such a vector, least of all."""
    model = open_model(model_spec(folder / "model.keras"))
    shown = photographs(folder / "images", model, shown_images())
    against, along = (of_photographs(model, "second", shown, k * np.eye(12)[[3]], 32) for k in (-1, 1))
    assert not any(against.cut) and np.isnan(against.best).all()
    assert (
        any(along.cut) and along.best == peaks(model, np.stack([one.pixels for one in shown]), "second").response[3, 0]
    )


def test_a_relu_that_is_zero_lets_what_is_wanted_through(tmp_path):
    import tensorflow as tf

    for name, layer in (("linear", "relu"), ("deep", "tap")):
        model = small.opened(name, tmp_path)
        plain, through = answer(model, layer), answer(model, layer, through=True)
        x = tf.constant(np.random.default_rng(0).uniform(-3, 3, (2, 16, 16, 3)), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.where(plain.respond(x) == 0, through.respond(x), 0))
        slope = tape.gradient(y, x)
        np.testing.assert_allclose(plain.respond(x), through.respond(x), atol=1e-6)
        assert (np.abs(slope).max() > 0) == (layer == "relu")  # a tanh is none, and never 0
        assert takes(model, through, (24, 20))


def test_peaks_equal_those_found_one_by_one(folder):
    model = open_model(model_spec(folder / "model.keras"))
    pixels = np.stack([one.pixels for one in photographs(folder / "images", model, shown_images())])
    maps = responses(model, pixels, ["second"])["second"]
    found = peaks(model, pixels, "second", 4, batch=4)
    for c in range(maps.shape[-1]):
        best = sorted(range(len(maps)), key=lambda k: (-maps[k, ..., c].max(), k))[:4]
        assert found.image[c].tolist() == best
        for r, k in enumerate(best):
            value = maps[k, found.row[c, r], found.col[c, r], c]
            assert value == found.response[c, r] == maps[k, ..., c].max()
            far = np.hypot(*(np.argwhere(maps[k, ..., c] == value) - 3.5).T)
            assert np.hypot(found.row[c, r] - 3.5, found.col[c, r] - 3.5) == far.min()  # nearest to the middle


def test_patches_of_a_run_are_those_found_among_all_its_photographs(folder):
    """The table tells where: what is cut there, and the largest values, are what all images through the model give."""
    file, images = folder / "model.keras", folder / "images"
    found = aa.maximise(file, "second", [3, 5], images=images, size=16, steps=1)
    model = open_model(model_spec(file))
    shown = photographs(images, model, shown_images())
    best = peaks(model, np.stack([one.pixels for one in shown]), "second", 9)
    rows = [
        {"channel": c, "rank": r, "image_id": shown[best.image[c, r]].image_id, "row": int(best.row[c, r])}
        | {"col": int(best.col[c, r]), "response": float(best.response[c, r])}
        for c in range(12)
        for r in range(9)
    ]
    listing = [{"image_id": one.image_id, "uri": one.uri} for one in shown]
    given = {"peaks/second": rows, "images": listing, "predictions": listing}
    inputs = MemoryInputs({name: [pa.Table.from_pylist(part)] for name, part in given.items()})
    alone = aa.maximise(file, "second", [3, 5], size=16, steps=1)
    assert not any(alone.patches) and np.isnan(alone.best).all()
    made = of_run(alone, inputs, model, shown_images(), 16, lambda *lost: pytest.fail(str(lost)))
    np.testing.assert_array_equal(made.best, found.best)
    for own, expected in zip(made.patches, found.patches, strict=True):
        assert len(own) == len(expected) == 6
        np.testing.assert_array_equal(own, expected)
    said = " ".join(text.get_text() for text in made.sheet().axes.texts).replace("\n", " ")
    assert "at one position of the run’s 9 photographs" in said


def test_layers_are_spread_over_the_depth(tmp_path):
    model = small.opened("deep", tmp_path)
    names = spread(model, 3)
    order = [layer.name for layer in model.layers()]
    assert len(names) == 3 and names == sorted(names, key=order.index) and deep(model) in order


@pytest.mark.parametrize(("count", "side"), [(12, 192), (13, 96)])
def test_few_pictures_are_drawn_larger(count, side):
    pictures = np.random.default_rng(0).integers(0, 256, (count, 96, 96, 3)).astype(np.uint8)
    none = [[]] * count
    asked = channels(range(count), count, "relu")
    made = Maximised("m", "relu", asked, None, "mean", 1, pictures, np.ones(count), none, np.full(count, np.nan))
    raster = made.sheet().axes.images[0].get_array()
    assert raster[:side, :side, 3].all() and not raster[0, side, 3]
