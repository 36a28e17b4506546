"""`init`: what is tried is said, and the file that is written runs as it is."""

import numpy as np
import pytest
import yaml
from PIL import Image

import activation_atlas as aa
from activation_atlas.pipeline.init.choosing import grids_for, layers_for
from activation_atlas.stages.vision.layer_info import LayerInfo
from tests.bench import command
from tests.stages.doubt import colours

EACH = 10


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model of [0, 1] that does not say so, one that does, and pictures; of one in twelve blue is red."""
    folder = tmp_path_factory.mktemp("init")
    colours.write_images(folder / "images", EACH)
    colours.write_images(folder / "flipped", EACH, flip=True)
    colours.write_model(folder / "bare.keras", rescaled=False)
    colours.write_model(folder / "model.keras")
    (folder / "classes.txt").write_text("\n".join(colours.NAMES))
    return folder


def layer(name, compute, side=8, kind="Conv2D"):
    side = (side, side)
    return LayerInfo(name, kind, *side, 4, side, side, side, (0, 0, 8, 8), compute)


def test_layers_at_two_thirds_of_the_compute_and_the_last_map():
    line = [layer("a", 0.2), layer("b", 0.6), layer("c", 0.66), layer("d", 0.9), layer("e", 1.0)]
    assert [info.name for info in layers_for(line)] == ["c", "e"]
    # Where a block ends is better than within one; a map of two positions has none within its border.
    line[1:1] = [layer("relu", 0.6, kind="ReLU")]
    assert [info.name for info in layers_for([*line, layer("f", 1.0, side=2)])] == ["relu", "e"]
    assert [info.name for info in layers_for([layer("only", 1.0)])] == ["only"]
    assert [info.name for info in layers_for([layer("small", 1.0, side=2)])] == ["small"] and not layers_for([])


def test_grids_have_images_for_their_cells():
    found = {n: grids_for(n) for n in (1, 249, 250, 1_000, 3_999, 4_000, 60_000)}
    assert found[1] == found[249] == [5] and found[250] == [5, 10] and found[1_000] == found[3_999] == [10, 20]
    assert found[4_000] == found[60_000] == [10, 20, 40]
    for n, grids in found.items():
        assert max(grids) == 5 or 2.5 * max(grids) ** 2 <= n


def test_a_file_that_is_there_stays(tmp_path):
    out = tmp_path / "mine.yaml"
    out.write_text("mine")
    with pytest.raises(aa.UserError, match="mine.yaml is there already, and stays as it is; give another name"):
        aa.init("no.keras", "nowhere", out)
    assert out.read_text() == "mine"
    with pytest.raises(aa.UserError, match="there is no folder"):
        aa.init("no.keras", "nowhere", tmp_path / "no" / "mine.yaml")
    with pytest.raises(aa.UserError, match="no.keras does not exist"):
        aa.init(tmp_path / "no.keras", tmp_path, tmp_path / "other.yaml")
    assert not (tmp_path / "other.yaml").exists()


@pytest.mark.slow
def test_what_is_written_runs_as_it_is(made):
    out = made / "mine.yaml"
    status, said, errors = command("init", "--model", made / "bare.keras", "--images", made / "images", "--out", out)
    assert status == 0, errors
    assert "values: [0, 1]: 120 of 120 right" in said and f"activation-atlas run {out}" in said
    text = out.read_text()
    config = yaml.safe_load(text)
    assert config["model"] == {"path": "bare.keras", "range": [0, 1]} and config["images"]["path"] == "images"
    assert "# [0, 1]: 120 of 120 right, " in text and "surely" not in text
    assert [a["layer"] for a in config["atlases"]] == ["nearest"] and config["atlases"][0]["grids"] == [5]
    assert "explain" not in config and "no mistakes among those tried" in text
    assert "label names are numbered in their order" in text
    done = aa.run(out, out=made / "run", settings=["atlases.0.render.steps=2"], quiet=True)
    assert done.page.exists() and not done.doubts
    status, _, errors = command("init", "--model", made / "bare.keras", "--images", made / "images", "--out", out)
    assert status == 2 and "is there already" in errors


@pytest.mark.slow
def test_what_cannot_be_told_is_said(made, tmp_path):
    # Another order of the classes, and blue for red.
    names = colours.NAMES[::-1]
    spec = {"path": str(made / "model.keras"), "classes": names}
    found = aa.init(spec, made / "images", tmp_path / "order.yaml").found
    assert any("in another order of the classes (reversed) 120 of 120 would be" in line for line in found)
    config = aa.load_config(tmp_path / "order.yaml")
    assert config.model.classes == colours.NAMES and config.model.range == (0, 255)
    aa.init(made / "model.keras", made / "flipped", tmp_path / "flipped.yaml")
    assert aa.load_config(tmp_path / "flipped.yaml").model.channels == "bgr"
    # Labels that are not the model's classes, and none at all.
    few = colours.write_images(tmp_path / "few", 6, kinds=2)
    found = aa.init(made / "model.keras", few, tmp_path / "few.yaml").found
    assert any("labels: left out, " in line and "the model has 12" in line for line in found)
    assert aa.load_config(tmp_path / "few.yaml").images.label_column == "none"
    assert "no proof without labels: check it" in (tmp_path / "few.yaml").read_text()
    # Too few to be tried.
    (tmp_path / "two").mkdir()
    for k in range(2):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "two" / f"{k}.png")
    aa.init(made / "model.keras", tmp_path / "two", tmp_path / "two.yaml")
    assert "fewer than ten images can be read; check it" in (tmp_path / "two.yaml").read_text()
    assert len(aa.plan(tmp_path / "two.yaml")) > 3
    # A quantity.
    import keras

    image = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3, name="seen")(image))
    keras.Model(image, keras.layers.Dense(1)(x)).save(tmp_path / "weight.keras")
    out = tmp_path / "weight.yaml"
    aa.init({"path": tmp_path / "weight.keras", "task": "quantities"}, tmp_path / "two", out)
    config = aa.load_config(out)
    assert config.model.task == "quantities" and [a.layer for a in config.atlases] == ["seen"]
    assert "could not be tried: quantities do not tell; check it" in out.read_text()
