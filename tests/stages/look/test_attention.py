"""Attention of heads: the sheet's rows and scales, the table, and a model's own maps in both."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import activation_atlas as aa
from activation_atlas.stages import tables
from activation_atlas.stages.look.attention import AttentionMaps, _rows
from activation_atlas.stages.look.photographs import Photograph
from tests.bench import command, one_line
from tests.small import draw
from tests.stages.vision import small_models, small_transformers

PHOTO = np.zeros((8, 8, 3), np.uint8)
IMAGE = Photograph("a/dog.jpg", "00ff", PHOTO, PHOTO, np.array([0.0, 2.0]), np.array([0.1, 0.9]))


def seen(*maps, by_class=True):
    blocks = [f"encoder/layer_{k}/attention" for k in range(len(maps))]
    return AttentionMaps("net", IMAGE, blocks, [np.asarray(one, np.float32) for one in maps], by_class)


def test_each_tile_says_where_its_scale_ends():
    """Two heads, then one: over two patches, of which the class token leaves them a half and all."""
    made = seen([[[0.375, 0.125]], [[0.25, 0.75]]], [[[0.5, 0.25]]])
    words = [text.get_text() for text in made.sheet().axes.texts]
    assert [word for word in words if word.startswith("head ")] == ["head 0: 38 %", "head 1: 75 %", "head 0: 50 %"]
    assert "layer_0" in words and "layer_1" in words
    said = " ".join(words).replace("\n", " ")
    assert "How much the class token takes" in said and "All patches together get 50 % to 100 %" in said
    assert "What the model received" in said
    said = " ".join(text.get_text() for text in seen([[[0.5, 0.5]]], by_class=False).sheet().axes.texts)
    assert "the mean over all of them" in said.replace("\n", " ") and "together" not in said


def test_the_table_has_a_row_for_each_head():
    rows = seen([[[0.375, 0.125]], [[0.25, 0.75]]], [[[0.5, 0.25]]]).table().to_pylist()
    assert [(r["block"][-11:-10], r["head"], r["share"]) for r in rows] == [("0", 0, 0.5), ("0", 1, 1), ("1", 0, 0.75)]
    assert rows[1]["map"] == [0.25, 0.75] and (rows[1]["height"], rows[1]["width"]) == (1, 2)
    assert {(r["image_id"], r["query"]) for r in rows} == {("00ff", "class")}


def test_blocks_are_named_by_what_tells_them_apart():
    assert _rows(["net/a_0/x/attend", "net/a_1/x/attend"]) == ["a_0", "a_1"]
    assert _rows(["block_1", "block_2"]) == ["block_1", "block_2"]
    assert _rows(["a/x", "a/b/x"]) == ["a/x", "b"]
    assert _rows(["only/one"]) == ["only/one"]


@pytest.mark.slow
def test_what_a_transformer_attends_to(tmp_path):
    from activation_atlas.stages.vision.attribution.attention import attention_maps
    from activation_atlas.stages.vision.model import open_model

    small_transformers.class_token().save(tmp_path / "model.keras")
    photos = [draw("stripes", 1, 40), draw("checks", 1, 30), draw("blobs", 2, 32)]
    for k, photo in enumerate(photos):
        photo.save(tmp_path / f"photo {k}.png")
    given = sorted(tmp_path.glob("*.png"))
    words = [*given, "--model", tmp_path / "model.keras", "--range", 0, 255, "--out", tmp_path / "out"]
    code, out, err = command("look", *words, "--only", "attention")
    assert code == 0, err
    rows = pq.read_table(tmp_path / "out" / "attention.parquet")
    assert rows.schema.equals(tables.attention()) and len(rows) == len(photos) * 2 * small_transformers.HEADS
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(f'src="attention-photo_{k}.png"' in page for k in range(len(photos)))
    spec = aa.ModelSpec(path=str(tmp_path / "model.keras"), range=(0, 255))
    found = aa.attention(given, spec)
    assert aa.look(given[0], spec, only="attention").attention[0].table().equals(found[0].table())
    maps = attention_maps(open_model(spec), np.stack([one.image.pixels for one in found]))
    assert found[1].blocks == [name for name, _ in maps]
    assert all((own == whole[1]).all() for own, (_, whole) in zip(found[1].maps, maps, strict=True))
    some = aa.look(given[0], spec, size=8, steps=1, channels=[0], classes=["class 0"])
    assert len(some.attention) == 1


@pytest.mark.slow
def test_without_attention_it_is_one_line_where_it_is_asked_for(tmp_path):
    small_models.linear().save(tmp_path / "model.keras")
    draw("stripes", 1, 40).save(tmp_path / "photo.png")
    words = [tmp_path / "photo.png", "--model", tmp_path / "model.keras", "--range", 0, 255, "--out", tmp_path / "out"]
    one_line(command("look", *words, "--only", "attention"), "has no attention among the tokens of an image")
    one_line(command("look", *words[1:], "--only", "attention"), "--only attention: it is of images; give one or more")
    some = aa.look(words[0], {"path": str(tmp_path / "model.keras"), "range": [0, 255]}, size=8, steps=1)
    assert not some.attention and some.maps
