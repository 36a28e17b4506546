"""Tables beside images that nobody named: Hugging Face's metadata files, and files found by their name alone."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activation_atlas.stages.stage import UserError
from tests.stages.test_sources import column, opened, put, table

ROWS = [{"file_name": "b.png", "label": "dog", "weight": 2}, {"file_name": "a.png", "label": "cat", "weight": 3}]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


WRITE = {"csv": table, "jsonl": lines, "parquet": table}


@pytest.mark.parametrize("form", WRITE)
def test_labels_and_further_columns_of_a_metadata_file(form, tmp_path):
    WRITE[form](put(tmp_path, "a.png", "b.png") / f"metadata.{form}", ROWS)
    source = opened(tmp_path, ["dog", "cat"])
    assert source.kind == "metadata" and not source.warnings
    assert column(source, "label") == [0, 1] and column(source, "meta.weight") == [2, 3]
    with_digits = [row | {"label": k} for k, row in enumerate(ROWS)]
    WRITE[form](tmp_path / f"metadata.{form}", with_digits)
    assert column(opened(tmp_path, ["1", "0"]), "label") == [1, 0]


@pytest.mark.parametrize("form", WRITE)
def test_one_in_each_split(form, tmp_path):
    put(tmp_path, "train/a.png", "train/b.png", "test/a.png", "test/b.png", "test/c.png")
    for split in ("train", "test"):
        WRITE[form](tmp_path / split / f"metadata.{form}", ROWS)
    source = opened(tmp_path, ["cat", "dog"])
    assert column(source, "split") == ["test", "test", "train", "train", "test"]
    assert column(source, "label") == [1, 0, 1, 0, None] and column(source, "meta.weight") == [2, 3, 2, 3, None]
    (said,) = source.warnings
    assert f"not named in test/metadata.{form} or train/metadata.{form}, e.g. 'test/c.png'" in said


def test_without_a_label_column_folders_tell_the_labels(tmp_path):
    put(tmp_path, "cat/a.png", "dog/b.png")
    table(tmp_path / "metadata.csv", [{"file_name": "cat/a.png", "x": 1}, {"file_name": "dog/b.png", "x": 2}])
    source = opened(tmp_path)
    assert column(source, "label") == [0, 1] and column(source, "meta.x") == [1, 2] and not source.warnings


def test_a_label_column_of_another_name(tmp_path):
    put(tmp_path, "a.png")
    table(tmp_path / "metadata.csv", [{"file_name": "a.png", "species": "cat"}])
    source = opened(tmp_path)
    assert column(source, "label") == [None] and column(source, "meta.species") == ["cat"]
    assert (
        "none gives labels; name that of the labels with images.label_column (there are species)" in source.warnings[0]
    )
    assert opened(tmp_path, label_column="species").classes == ["cat"]
    assert not opened(tmp_path, label_column="none").warnings


def test_columns_of_json_lines(tmp_path):
    put(tmp_path, "a.png", "b.png")
    first = {"file_name": "a.png", "box": [1, 2.5], "objects": {"bbox": [[1, 2]]}, "ok": True, "w": 1.5, "n": 1}
    first |= {"mixed": 1, "features": list(range(500)), "empty": None, "large": 2**70}
    lines(tmp_path / "metadata.jsonl", [first, {"file_name": "b.png", "mixed": "x", "n": 2, "late": "y"}])
    source = opened(tmp_path, label_column="none")
    expected = {"box": ["[1, 2.5]", None], "ok": [True, None], "w": [1.5, None], "n": [1, 2], "mixed": ["1", "x"]}
    expected |= {"late": [None, "y"], "empty": [None, None], "large": [2.0**70, None]}
    assert {name: column(source, f"meta.{name}") for name in expected} == expected
    assert source.listing.schema.field("meta.n").type == pa.int64()
    assert source.listing.schema.field("meta.empty").type == pa.string()
    (said,) = source.warnings
    assert said.startswith("metadata.jsonl: columns left out: objects, features;")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"file_name": "a.png", "label": {"a": 1}}', "column 'label' holds struct<>, which are no labels"),
        ('{"file_name": "a.png"', "line 1 is not JSON"),
        ('\n["a.png"]', "line 2 is no object"),
        ('{"file_name": "z.png"}', "none of its 1 files is there"),
    ],
)
def test_metadata_that_cannot_be_used_is_one_line(text, said, tmp_path):
    (put(tmp_path, "a.png") / "metadata.jsonl").write_text(text)
    with pytest.raises(UserError, match=said):
        opened(tmp_path)


def test_in_class_folders_a_table_of_something_else_is_told_and_left(tmp_path):
    put(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "metadata.csv").write_text("image,label\n/elsewhere/a.png,3\n")
    source = opened(tmp_path)
    assert column(source, "label") == [0, 1] and "metadata.csv is not read: " in source.warnings[0]
    with pytest.raises(UserError, match="points outside"):
        opened(tmp_path, label_column="label")


def test_tables_that_are_not_read_are_told(tmp_path):
    put(tmp_path, "a.png")
    table(tmp_path / "metadata.csv", [{"isic_id": "a", "diagnosis": "nevus"}])
    assert "metadata.csv is not read: " in opened(tmp_path).warnings[0]
    (tmp_path / "metadata.csv").rename(tmp_path / "truth.csv")
    assert (
        "truth.csv beside the images is not read: if it holds the labels, give images.labels"
        in opened(tmp_path).warnings[0]
    )
    assert not opened(put(tmp_path / "x", "cat/a.png"), None).warnings


# -- files found by their name -------------------------------------------------------------------


def test_names_without_folder_or_extension_are_found_below_where_unique(tmp_path):
    root = put(tmp_path / "images", "x/a.JPG", "y/b.png", "y/c.png", "z/c.png", "z/d.png")
    given = ["a", "B.png", "c", "y/c", "a.jpg", "z\\d.png", "q", "x/b.png"]
    rows = [{"path": path, "label": k} for k, path in enumerate(given)]
    source = opened(root, labels=table(tmp_path / "x.csv", rows))
    found = [uri.removeprefix(f"{root}/") for uri in column(source, "uri")]
    assert found[:2] == ["x/a.JPG", "y/b.png"] and found[3] == "y/c.png" and found[5] == "z/d.png"
    rejects = column(source, "reject")
    assert rejects[2] == "several files have this name: 'y/c.png', 'z/c.png'"
    assert "duplicate of row 1" in rejects[4] and rejects[6] == rejects[7] == "no such file"
    assert [rejects[k] for k in (0, 1, 3, 5)] == [None] * 4


def test_a_table_of_json_lines_is_a_table(tmp_path):
    put(tmp_path, "a.png", "b.png")
    lines(tmp_path / "x.jsonl", ROWS)
    assert column(opened(tmp_path / "x.jsonl"), "label") == [1, 0]
    assert column(opened(tmp_path, labels=str(tmp_path / "x.jsonl")), "label") == [1, 0]


def test_a_metadata_parquet_of_bytes_alone_is_no_metadata_file(tmp_path):
    from tests.stages.test_sources import hugging_face, png

    hugging_face(tmp_path / "metadata.parquet", [{"image": {"bytes": png(), "path": None}, "label": 0}])
    assert opened(tmp_path).kind == "parquet"
    pq.write_table(pa.table({"x": [1]}), put(tmp_path / "y", "a.png") / "metadata.parquet")
    assert "metadata.parquet is not read" in opened(tmp_path / "y").warnings[0]
