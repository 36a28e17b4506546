"""The command look: what it writes, and its one line where something is wrong."""

import re

import pyarrow.parquet as pq
import pytest
from PIL import Image

import activation_atlas as aa
from activation_atlas.stages import tables
from tests.bench import command, one_line
from tests.small import CLASSES, draw, write_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("look")
    write_model(made / "model.keras", 16)
    (made / "classes.txt").write_text("\n".join(CLASSES))
    (made / "photos").mkdir()
    draw("stripes", 1, 40).crop((0, 0, 40, 24)).save(made / "photos" / "wide one.png")
    draw("checks", 1, 300).save(made / "photos" / "large.jpg")
    (made / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xffnothing")
    return made


def look(folder, *words, images=("photos/large.jpg",), out="out"):
    common = ["--model", folder / "model.keras", "--classes", folder / "classes.txt", "--out", folder / out]
    return command("look", *(folder / image for image in images), *common, *words)


def test_where_no_image_can_be_used_there_is_no_empty_page(folder):
    code, _, err = look(folder, "--only", "maps", images=["photos/broken.jpg"], out="none")
    assert code == 2 and "broken.jpg: not a readable image" in err and "nothing is drawn" in err
    assert not (folder / "none").exists()


def test_pictures_tables_and_a_page_that_shows_them(folder):
    code, out, err = look(folder, *"--maps first --maps dense --size 16 --steps 2".split(), images=["photos"])
    assert code == 3  # the others went on
    assert err.count("\n") == 1 and "broken.jpg: not a readable image" in err
    assert "index.html" in out
    made = folder / "out"
    page = (made / "index.html").read_text()
    shown = re.findall(r'<img src="([^"]+)"', page)
    maps = [f"maps-{s}-{k}.png" for s in ("large", "wide_one") for k in ("first", "dense")]
    assert shown == ["filters-first.png", *maps, "maximised-second.png", "maximised-classes.png"]
    for name in shown:
        with Image.open(made / name) as picture:
            assert picture.width > 700
        assert (made / name).with_suffix(".pdf").read_bytes()[:5] == b"%PDF-"
    rows = pq.read_table(made / "feature_maps.parquet")
    assert rows.schema.equals(tables.feature_maps()) and rows.num_rows == 2 * (8 + 3)
    drawn = pq.read_table(made / "maximised.parquet")
    assert drawn.schema.equals(tables.maximised()) and drawn["kind"].to_pylist() == ["channel"] * 12 + ["class"] * 3
    filters = pq.read_table(made / "filters.parquet")
    assert filters.schema.equals(tables.filters()) and filters.num_rows == 8 * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--maps", "fist"], "did you mean first"),
        (["--filters", "global_average_pooling2d"], "GlobalAveragePooling2D has no kernel"),
        (["--only", "everything"], "choose filters, maps, attention, channels, classes"),
        (["--scale", "mine"], "choose channel or layer"),
        (["--only", "channels", "--layer", "second", "--channels", "3,12"], "channel 12: layer second has 12, 0 to 11"),
        (
            ["--only", "channels", "--layer", "second", "--at", 4, 0],
            "position 4 0: layer second has 4 x 4, rows 0 to 3",
        ),
        (["--only", "classes", "--class", "cow"], "cow"),
        (["--recipe", "best"], "recipe best: choose mean, icon, textbook"),
    ],
)
def test_what_is_wrong_is_one_line(folder, words, said):
    one_line(look(folder, *words), said)


def test_how_images_are_cut_and_resized_is_said_as_for_explain(folder):
    found = []
    for words in ("", "--crop-share 0.5", "--interpolation nearest", "--interpolation nearest --antialias"):
        code, _, err = look(folder, "--only", "maps", "--maps", "first", *words.split())
        assert code == 0, err
        found.append(pq.read_table(folder / "out" / "feature_maps.parquet")["map"].to_pylist())
    assert all(found[k] != found[0] for k in (1, 2)) and found[1] != found[2]


def test_quantities_are_numbers_and_none_is_probable(folder):
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="second")(layers.Rescaling(1 / 255)(image))
    x = layers.Dense(2, name="answer")(layers.GlobalAveragePooling2D()(x))
    keras.Model(image, x).save(folder / "quantities.keras")
    common = ["--model", folder / "quantities.keras", "--task", "quantities", "--size", 16, "--steps", 2]
    out = folder / "measured"
    photo = folder / "photos" / "large.jpg"
    code, said, err = command("look", photo, *common, "--only", "classes", "--only", "maps", "--out", out)
    assert code == 0, err
    assert re.search(r"large\.jpg: output 0 [−\d.e-]+, output 1 [−\d.e-]+$", said.splitlines()[0])
    drawn = pq.read_table(out / "maximised.parquet").to_pylist()
    assert [(row["kind"], row["name"]) for row in drawn] == [("output", "output 0"), ("output", "output 1")]
    assert (out / "maximised-outputs.png").is_file() and "%" not in said
    code, _, err = command("look", *common, "--only", "classes", "--class", "output 1", "--out", out)
    assert code == 0, err
    assert pq.read_table(out / "maximised.parquet")["index"].to_pylist() == [1]
    assert command("look", *common, "--only", "classes", "--out", out)[0] == 0  # no image is needed to name them


def test_in_python_what_was_seen_shows_itself(folder):
    photo, model = folder / "photos" / "large.jpg", folder / "model.keras"
    seen = aa.look(photo, model, maps="second", size=16, steps=2)
    assert seen._repr_png_()[:4] == b"\x89PNG"
    assert seen.maps[0].values.shape == (4, 4, 12) and seen.filters[0].weights.shape == (8, 3, 5, 5)
    with_another = aa.feature_maps([photo, folder / "photos" / "wide one.png"], model, "second")
    assert (with_another[0].values == seen.maps[0].values).all()
    assert [one.name for one in aa.filters(model, ["first", "dense"])] == ["first", "dense"]
    assert not aa.look([], model, only="filters").maps
    few = aa.filters(model, "second")[0].sheet(rows=2, across=3, side=40)
    said = " ".join(text.get_text() for text in few.axes.texts)
    assert "Drawn: 2 of 12 filters and 3 of 8 slices of each, the largest norm first" in said
    assert few.axes.images[0].get_array().shape[1] < 3 * 46
