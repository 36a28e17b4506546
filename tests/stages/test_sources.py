"""Whatever images lie in: listed whole, read back, and said plainly where that cannot be."""

from __future__ import annotations

import csv
import http.server
import io
import json
import os
import shutil
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activation_atlas.stages.caches import clear_all
from activation_atlas.stages.sources import SOURCES, image_id, open_source, read_image, read_images
from activation_atlas.stages.sources.labels import match
from activation_atlas.stages.sources.places import filesystem
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import ImageError, decode


def png(value: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (3, 2), value).save(file, "PNG")
    return file.getvalue()


def put(root: Path, *names: str) -> Path:
    """Small images under these names, each of its own grey."""
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value))
    return root


def table(path: Path, rows: list[dict], **options) -> str:
    """A CSV, or a Parquet, by the extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, **options)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), **options)
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def hugging_face(path: Path, rows: list[dict], names: list[str] | None = None, **options) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    found = pa.Table.from_pylist(rows)
    found = found.set_column(0, "image", pa.array([r["image"] for r in rows], image))
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    if names:
        found = found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(found, path, **options)
    return str(path)


def opened(path, classes=None, **options):
    return open_source(ImagesSpec(path=str(path), **options), classes)


def column(source, name: str) -> list:
    return source.listing[name].to_pylist()


def read(source, **options) -> list:
    return list(read_images(column(source, "uri"), options))


# -- every kind of source ---------------------------------------------------------------


def folder_source(root: Path):
    return opened(put(root, "cat/a.png", "cat/b.png", "dog/c.png")), 3


def flat_source(root: Path):
    return opened(put(root, "a.png", "b.png")), 2


def csv_source(root: Path):
    put(root, "a.png", "b.png")
    return opened(table(root / "x.csv", [{"path": "a.png", "label": 0}, {"path": "b.png", "label": 1}])), 2


def parquet_source(root: Path):
    rows = [{"image": {"bytes": png(k), "path": None}, "label": k % 2} for k in range(5)]
    return opened(hugging_face(root / "x.parquet", rows)), 5


def metadata_source(root: Path):
    put(root, "a.png", "b.png")
    table(root / "metadata.csv", [{"file_name": "a.png", "label": 0}, {"file_name": "b.png", "label": 1}])
    return opened(root), 2


def demo_source(root: Path):
    return opened("demo:scenes?images=12"), 12


KINDS = {
    "folder": (folder_source, flat_source),
    "paths": (csv_source,),
    "parquet": (parquet_source,),
    "metadata": (metadata_source,),
    "demo": (demo_source,),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_keeps_the_contract(kind, tmp_path):
    for number, make in enumerate(KINDS[kind]):
        root = tmp_path / str(number)
        source, count = make(root)
        listing = source.listing
        assert source.kind == kind and listing.num_rows == count
        assert listing.schema.field("label").type == pa.int32()
        for name in ("image_id", "uri", "split", "stamp", "reject"):
            assert listing.schema.field(name).type == pa.string()
        ids = column(source, "image_id")
        assert len(set(ids)) == count and all(len(i) == 16 and int(i, 16) >= 0 for i in ids)
        assert all(column(source, "stamp")) and column(source, "reject") == [None] * count
        found = read(source)
        assert all(decode(data).ndim == 3 for data in found)
        assert [read_image(uri) for uri in column(source, "uri")] == found
        assert make(root)[0].listing.drop_columns("stamp").equals(listing.drop_columns("stamp"))


def test_ids_are_those_of_relative_paths_wherever_the_folder_is(tmp_path):
    here, there = (opened(put(tmp_path / name, "cat/ä 1.png")) for name in ("x", "y"))
    assert column(here, "image_id") == column(there, "image_id") == [image_id("cat/ä 1.png")]
    by_csv = opened(table(tmp_path / "x/l.csv", [{"path": "./cat/../cat/ä 1.png"}]))
    assert column(by_csv, "image_id") == column(here, "image_id")


# -- folders ---------------------------------------------------------------------------------


def test_class_folders_are_numbered_in_sorted_order(tmp_path):
    source = opened(put(tmp_path, "zebra/1.png", "ant/deep/er/2.PNG", "ant/3.jpeg"))
    assert column(source, "label") == [0, 0, 1] and source.classes == ["ant", "zebra"]


def test_class_folders_are_matched_with_the_classes(tmp_path):
    put(tmp_path, "Great_White-shark/1.png", "tench/2.png")
    source = opened(tmp_path, ["tench", "goldfish", "great white shark"])
    assert column(source, "label") == [2, 0] and not source.warnings


def test_class_folders_none_of_which_is_a_class(tmp_path):
    put(tmp_path, "zebras/1.png", "zebras/2.png", "quux/3.png")
    with pytest.raises(UserError) as error:
        opened(tmp_path, ["zebra", "horse"])
    assert "'zebras' (nearest: 'zebra')" in str(error.value) and "label_column: none" in str(error.value)
    assert column(opened(tmp_path, ["zebra", "horse"], label_column="none"), "label") == [None] * 3


def test_some_class_folders_are_no_class(tmp_path):
    put(tmp_path, "horse/1.png", "zebraa/2.png", "zebraa/3.png")
    source = opened(tmp_path, ["zebra", "horse"])
    assert column(source, "label") == [1, None, None]
    [warning] = source.warnings
    assert "2 of 3" in warning and "'zebraa' (nearest: 'zebra')" in warning


def test_numbered_class_folders_are_names_first(tmp_path):
    put(tmp_path, "10/1.png", "2/2.png")
    assert column(opened(tmp_path, ["2", "10"]), "label") == [1, 0]
    assert column(opened(tmp_path, [f"class {k}" for k in "abcdefghijk"]), "label") == [10, 2]


def test_splits_above_the_classes(tmp_path):
    put(tmp_path, "train/cat/1.png", "val/cat/2.png", "val/dog/3.png")
    source = opened(tmp_path)
    assert column(source, "split") == ["train", "val", "val"] and column(source, "label") == [0, 0, 1]
    assert column(opened(tmp_path, split="val"), "label") == [0, 1]
    with pytest.raises(UserError, match="no image .* of split 'test'; there are train, val"):
        opened(tmp_path, split="test")


def test_flat_folder_has_no_labels(tmp_path):
    source = opened(put(tmp_path, "a.png", "b.png"), ["cat", "dog"])
    assert column(source, "label") == [None, None]


def test_hidden_files_and_other_files_are_passed_over_and_garbage_is_listed(tmp_path):
    put(tmp_path, "a.png", ".hidden.png", ".cache/b.png", "c/._a.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "png").write_bytes(png())
    (tmp_path / "garbage.jpg").write_text("garbage")
    (tmp_path / "phone.HEIC").write_text("x")
    source = opened(tmp_path)
    assert [os.path.basename(u) for u in column(source, "uri")] == ["a.png", "garbage.jpg", "phone.HEIC"]


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=30)


@settings(max_examples=30, deadline=None)
@given(st.sets(NAMES.filter(lambda n: not n.startswith(".") and len(n.encode()) < 200), min_size=1, max_size=5))
def test_odd_names_come_back(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("odd")
    files = sorted(f"{name}.png" for name in names)
    put(root, *files)
    source = opened(root)
    assert [os.path.basename(u) for u in column(source, "uri")] == files
    assert read(source) == [(root / f).read_bytes() for f in files]
    listed = opened(table(root / "rows.csv", [{"path": f, "label": 0} for f in files]))
    assert column(listed, "reject") == [None] * len(files)
    assert read(listed) == read(source) and column(listed, "image_id") == column(source, "image_id")


@pytest.mark.parametrize(
    "name", ["a b.png", "é.png", "e\u0301.png", "a\nb.png", "a::b.png", "#1?.png", "50%.png", "[x]*.png"]
)
def test_names_that_trip_others(tmp_path, name):
    for root in (str(put(tmp_path, name)), _in_memory(f"names-{image_id(name)}", {name: png(7)})):
        source = opened(root)
        assert source.listing.num_rows == 1 and decode(read(source)[0]).shape == (2, 3, 3)


def test_a_name_that_is_not_utf8_is_a_reject(tmp_path):
    put(tmp_path, "good/a.png")
    try:
        os.rename(put(tmp_path / "good", "b.png") / "b.png", os.fsencode(tmp_path / "good") + b"/\xff\xfe.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    source = opened(tmp_path)
    assert column(source, "reject") == [None, "the file's name is not UTF-8: rename it"]
    assert column(source, "uri")[1].endswith("\\xff\\xfe.png")


def test_links_are_followed_and_circles_end(tmp_path):
    put(tmp_path / "elsewhere", "a.png", "b.png")
    root = put(tmp_path / "root", "dog/c.png")
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    (root / "cat/round").symlink_to(root)
    (root / "dog/gone.png").symlink_to(tmp_path / "gone")
    source = opened(root, label_column="none")
    names = [os.path.relpath(u, root) for u in column(source, "uri")]
    assert names == ["cat/a.png", "cat/b.png", "dog/c.png", "dog/gone.png"]
    assert read(source)[-1].reason == "no such file"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root, "holds no images"),
        (lambda root: root / "nothing", "does not exist"),
        (lambda root: put(root, "photos/a.png") / "photo", "beside it there is photos"),
        (lambda root: put(root, "a.png") / "a.png", "is not a folder of images"),
    ],
)
def test_nothing_to_open(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        opened(make(tmp_path))


def test_options_that_would_be_ignored_are_refused(tmp_path):
    put(tmp_path, "cat/a.png")
    with pytest.raises(UserError, match="label_column names a column"):
        opened(tmp_path, label_column="class")
    with pytest.raises(UserError, match="images.labels is for a folder"):
        opened(hugging_face(tmp_path / "x.parquet", [{"image": {"bytes": png(), "path": None}}]), labels="x.csv")
    with pytest.raises(UserError, match="images.labels is for a folder"):
        opened("demo:scenes?images=4", labels="x.csv")


# -- tables of paths ---------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_table_of_paths_with_metadata(tmp_path, extension):
    put(tmp_path, "a.png", "b.png")
    rows = [
        {"file": "a.png", "class": "dog", "split": "test", "weight": 1.5, "who": "Ann"},
        {"file": "b.png", "class": "cat", "split": "train", "weight": 2.5, "who": None},
    ]
    source = opened(table(tmp_path / f"x{extension}", rows), ["cat", "dog"])
    assert column(source, "label") == [1, 0] and column(source, "split") == ["test", "train"]
    assert column(source, "meta.weight") == [1.5, 2.5] and column(source, "meta.who") == ["Ann", None]
    assert "meta.file" not in source.listing.column_names


@pytest.mark.parametrize("images", ["paths", "bytes"])
def test_lists_of_few_numbers_are_kept_as_texts_and_other_lists_are_told(tmp_path, images):
    put(tmp_path, "a.png", "b.png", "c.png")
    boxes = [[0, 1.5, 3, 2], None, []]
    columns = {
        "box": boxes,
        "whole": pa.array([[1, 2, 3, 4]] * 3, pa.list_(pa.int64(), 4)),
        "large": pa.array(boxes, pa.large_list(pa.float32())),
        "several": [[[0, 1, 3, 2], [0, 0, 1, 1]], [], None],
        "exact": pa.array([[Decimal("0.5")]] * 3),
        "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((3, 2, 2), "int16")),
        "features": [[0.5] * 500] * 3,
        "tags": [["x"]] * 3,
        "about": [{"box": [1, 2, 3, 4]}] * 3,
        "coded": [b"x"] * 3,
    }
    if images == "bytes":
        first = {"image": [{"bytes": png(k), "path": None} for k in range(3)]}
    else:
        first = {"path": ["a.png", "b.png", "c.png"]}
    pq.write_table(pa.table(first | columns), tmp_path / "x.parquet", row_group_size=2)
    source = opened(tmp_path / "x.parquet", image_column=next(iter(first)))
    texts = {
        "box": ["[0.0, 1.5, 3.0, 2.0]", None, "[]"],
        "whole": ["[1, 2, 3, 4]"] * 3,
        "several": ["[[0, 1, 3, 2], [0, 0, 1, 1]]", "[]", None],
        "exact": ["[0.5]"] * 3,
        "tensor": ["[0, 0, 0, 0]"] * 3,
    }
    for name, expected in (texts | {"large": texts["box"]}).items():
        assert column(source, f"meta.{name}") == expected, name
        assert source.listing.schema.field(f"meta.{name}").type == pa.string()
    (said,) = source.warnings
    assert "x.parquet: columns left out: features, tags, about, coded; kept are" in said
    assert not {"meta.features", "meta.tags"} & set(source.listing.column_names)


def test_labels_that_seem_to_be_there_and_are_not_taken_are_told(tmp_path):
    put(tmp_path, "a.png")
    for name, told in {"fine_label": True, "Category": True, "class_id": True, "weight": False}.items():
        path = table(tmp_path / f"{name}.csv", [{"path": "a.png", name: 0.5 if name == "weight" else 1}])
        said = " ".join(opened(path).warnings)
        assert (f"no column is called label, class, target, so that none gives labels; name that of the labels with "
                f"images.label_column (there are {name})" in said) == told  # fmt: skip
        assert not opened(path, label_column="none").warnings
        if told:
            assert not opened(path, label_column=name).warnings
        else:
            with pytest.raises(
                UserError, match=r"numbers such as 0.5, .*; if they are quantities .*model.task: quantit"
            ):
                opened(path, label_column=name)
    beside = table(tmp_path / "Category.csv", [{"path": "a.png", "kind": "dog"}])
    assert "so that none gives labels" in " ".join(opened(tmp_path, labels=beside).warnings)


def test_spaces_beside_the_names_of_columns(tmp_path):
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "x.csv").write_text("path, label, split, weight\na.png, 007, test, 2\nb.png, 8, train, 3\n")
    source = opened(tmp_path / "x.csv", split="test")
    assert column(source, "label") == [7] and column(source, "meta.weight") == [2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_byte_order_marks(tmp_path, delimiter):
    put(tmp_path, "a,b.png")
    path = Path(table(tmp_path / "x.csv", [{"path": "a,b.png", "label": "007"}], delimiter=delimiter))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert column(opened(path), "label") == [7]


def test_codes_stay_texts_where_they_are_names(tmp_path):
    put(tmp_path, "0001.png")
    source = opened(table(tmp_path / "x.csv", [{"path": "0001.png", "label": "NA"}]))
    assert source.classes == ["NA"] and column(source, "label") == [0]


def test_labels_beside_a_folder(tmp_path):
    put(tmp_path / "images", "n1/a.png", "n2/b.png")
    rows = [{"path": "n2/b.png", "label": 1, "name": "two"}, {"path": "n1/a.png", "label": 0, "name": "one"}]
    source = opened(tmp_path / "images", labels=table(tmp_path / "labels.csv", rows))
    assert column(source, "label") == [1, 0] and column(source, "meta.name") == ["two", "one"] and not source.warnings
    from_table = [{**r, "path": f"images/{r['path']}"} for r in rows]  # relative to the table
    again = opened(tmp_path / "images", labels=table(tmp_path / "from_table.csv", from_table))
    assert column(again, "image_id") == column(source, "image_id")
    absolute = [{**r, "path": str(tmp_path / "images" / r["path"])} for r in rows]
    again = opened(tmp_path / "images", labels=table(tmp_path / "absolute.parquet", absolute))
    assert column(again, "image_id") == column(source, "image_id")
    stems = [{**r, "path": r["path"].removesuffix(".png")} for r in rows]
    again = opened(tmp_path / "images", labels=table(tmp_path / "stems.csv", stems))
    assert column(again, "image_id") == column(source, "image_id")


def test_an_ambiguous_stem_is_a_reject(tmp_path):
    put(tmp_path, "a.png", "a.jpg", "b.png")
    source = opened(tmp_path, labels=table(tmp_path / "x.csv", [{"id": "a"}, {"id": "b"}]), image_column="id")
    assert "several files" in column(source, "reject")[0] and column(source, "reject")[1] is None


def test_images_the_labels_do_not_name_are_kept(tmp_path):
    put(tmp_path, "a.png", "b.png", "c.png")
    rows = [{"path": "b.png", "label": 1, "note": 5}]
    source = opened(tmp_path, labels=table(tmp_path / "x.csv", rows))
    assert column(source, "label") == [1, None, None] and column(source, "meta.note") == [5, None, None]
    assert "2 images" in source.warnings[0] and "'a.png'" in source.warnings[0]


def test_missing_files_are_rejects(tmp_path):
    put(tmp_path, "a.png", "d.png/x.png")
    rows = [{"path": p} for p in ("a.png", "gone.png", "", "d.png", "a.png/b.png")]
    source = opened(table(tmp_path / "x.csv", [{**r, "k": 0} for r in rows]))
    reasons = [None, "no such file", "row 3 names no image", "is a folder", "no such file"]
    assert column(source, "reject") == reasons


def test_when_all_files_are_missing_the_remedy_is_said(tmp_path):
    put(tmp_path / "images", "a.png")
    with pytest.raises(UserError, match="none of its 1 files is there, e.g. .*a.png; paths are relative to"):
        opened(table(tmp_path / "x.csv", [{"path": "a.png"}]))


def test_duplicate_rows_are_rejects_with_ids_of_their_own(tmp_path):
    put(tmp_path, "a.png", "b.png")
    rows = [("a.png", "cat"), ("b.png", "dog"), ("./a.png", "cat"), ("x/../a.png", "dog")]
    source = opened(table(tmp_path / "x.csv", [{"path": p, "label": c} for p, c in rows]))
    rejects = column(source, "reject")
    assert rejects[:3] == [None, None, "duplicate of row 1"]
    assert rejects[3] == "duplicate of row 1, where the label is 'cat', here 'dog'"
    assert len(set(column(source, "image_id"))) == 4


def test_the_same_name_in_two_folders_is_no_duplicate(tmp_path):
    assert column(opened(put(tmp_path, "x/a.png", "y/a.png")), "reject") == [None, None]


@pytest.mark.parametrize("path", ["../b.png", "x/../../b.png", "/etc/passwd", "file:///etc/passwd", ".."])
def test_a_table_that_points_outside_is_refused(tmp_path, path):
    put(tmp_path / "in", "a.png")
    put(tmp_path, "b.png")
    where = table(tmp_path / "in/x.csv", [{"path": "a.png"}, {"path": path}])
    with pytest.raises(UserError) as error:
        opened(where)
    assert "row 2" in str(error.value) and repr(path) in str(error.value) and "images.labels" in str(error.value)


def test_absolute_paths_within_the_folder(tmp_path):
    put(tmp_path, "a.png", "b.png")
    rows = [{"path": str(tmp_path / "a.png")}, {"path": (tmp_path / "b.png").as_uri()}]
    assert column(opened(table(tmp_path / "x.csv", rows)), "reject") == [None, None]


def test_windows_paths_and_stray_spaces(tmp_path):
    put(tmp_path, "cat/a.png", "b.png")
    source = opened(table(tmp_path / "x.csv", [{"path": "cat\\a.png", "k": 1}, {"path": " b.png ", "k": 2}]))
    assert column(source, "reject") == [None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path,label\n", "names no images"),
        ("a.png,0\nb.png,1\n", "first line must name the columns"),
        ("picture,label\na.png,0\n", "no column of paths; name one with images.image_column: picture, label"),
        ("path,path\na.png,b.png\n", "two columns named 'path'"),
        ("path,label\na.png\n", "cannot be read: .*Expected 2 columns"),
        (b"path\n\xff\xfe.png\n", "not UTF-8"),
    ],
)
def test_csvs_that_cannot_be_understood(tmp_path, text, message):
    put(tmp_path, "a.png")
    path = tmp_path / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        opened(path)


@pytest.mark.parametrize(("name", "text"), [("coco.json", '\n{"images": []}'), ("voc.xml", "<annotation/>")])
def test_annotations_that_are_no_table(tmp_path, name, text):
    put(tmp_path, "a.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"{name} is no table: write a CSV, a Parquet or JSON lines"):
        opened(tmp_path, labels=str(tmp_path / name))


def test_columns_that_are_not_there(tmp_path):
    put(tmp_path, "a.png")
    path = table(tmp_path / "x.csv", [{"path": "a.png", "breed": "pug"}])
    with pytest.raises(UserError, match="no column 'bred'; did you mean breed"):
        opened(path, label_column="bred")
    with pytest.raises(UserError, match="label_column: .* no column 'xyz'; there are path, breed"):
        opened(path, label_column="xyz")
    assert opened(path, label_column="breed").classes == ["pug"]


def test_a_broken_parquet(tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        opened(tmp_path / "x.parquet")


# -- labels ------------------------------------------------------------------------------------


def test_integer_labels():
    assert match([0, 2, None, -1], ["a", "b", "c"], None, "labels")[0] == [0, 2, None, None]
    assert match(["0", " 2 ", ""], ["a", "b", "c"], None, "labels")[0] == [0, 2, None]
    assert match([1.0, float("nan")], None, None, "labels")[0] == [1, None]
    found, _, warnings = match([0, 3, 3], ["a", "b", "c"], None, "labels")
    assert found == [0, None, None] and "2 of 3" in warnings[0] and "3 (the classes are numbered 0 to 2)" in warnings[0]
    with pytest.raises(UserError, match=r"e\.g\. 5 \(the classes are numbered 0 to 1\)"):
        match([5, 6], ["a", "b"], None, "labels")


def test_named_labels():
    classes = ["Sea lion", "crane", "crane", "café"]
    found, _, warnings = match(["sea_lion", "SEA-LION", "cafe\u0301", "crane"], classes, None, "labels")
    assert found == [0, 0, 3, None] and "the name of classes 1 and 2: give the number" in warnings[0]
    assert match(["dog", "cat", None], None, None, "labels")[:2] == ([1, 0, None], ["cat", "dog"])
    with pytest.raises(UserError, match=r"'dgo' \(nearest: 'dog'\)"):
        match(["dgo"], ["cat", "dog"], None, "labels")


def test_numbers_of_a_source_with_other_names_or_another_order():
    model = ["cat", "dog", "horse"]
    assert match([0, 1], model, ["dog", "cat"], "labels")[0] == [1, 0]  # names decide
    assert match([0, 1, 2], model, ["cat", "dog", "pony"], "labels")[0] == [0, 1, 2]  # numbers agree
    assert match([0, 1], model, ["n01", "n02"], "labels")[0] == [0, 1]  # names mean nothing
    assert match([0, 1], None, ["x", "y"], "labels")[:2] == ([0, 1], ["x", "y"])


# -- Parquet of images ---------------------------------------------------------------------------


def test_hugging_face_rows(tmp_path):
    rows = [{"image": {"bytes": png(k), "path": f"{k}.png"}, "label": k % 2, "weight": k * 1.0} for k in range(10)]
    source = opened(
        hugging_face(tmp_path / "train-00000-of-00001.parquet", rows, ["b", "a"], row_group_size=3), ["a", "b"]
    )
    assert column(source, "label") == [1, 0] * 5 and column(source, "split") == ["train"] * 10
    assert column(source, "meta.path")[3] == "3.png" and column(source, "meta.weight")[3] == 3.0
    assert column(source, "image_id")[4] == image_id("train-00000-of-00001.parquet#4")
    assert read(source) == [png(k) for k in range(10)]
    some = [column(source, "uri")[k] for k in (7, 0, 9, 3, 0)]
    assert list(read_images(some)) == [png(k) for k in (7, 0, 9, 3, 0)]


def test_a_folder_of_parquet_files(tmp_path):
    first = [{"image": {"bytes": png(1), "path": "a"}, "label": 0, "age": 3}]
    second = [{"image": {"bytes": png(2), "path": "b"}, "label": 1, "age": 2.5, "city": "Bonn"}]
    hugging_face(tmp_path / "data/test-1.parquet", first, ["x", "y"])
    hugging_face(tmp_path / "data/train-1.parquet", second, ["x", "y"])
    source = opened(tmp_path)
    assert column(source, "split") == ["test", "train"] and column(source, "meta.age") == [3.0, 2.5]
    assert column(source, "meta.city") == [None, "Bonn"] and read(source) == [png(1), png(2)]
    assert source.classes == ["x", "y"]


def test_plain_binary_and_several_image_columns(tmp_path):
    pq.write_table(pa.table({"before": [png(1)], "after": [png(2)], "tags": [["x"]]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="several columns hold images: before, after"):
        opened(tmp_path / "x.parquet")
    source = opened(tmp_path / "x.parquet", image_column="after")
    assert read(source) == [png(2)] and "before, tags" in source.warnings[0]


def test_rows_without_bytes_are_read_by_their_path(tmp_path):
    put(tmp_path / "in", "pics/a.png")
    put(tmp_path, "b.png")
    paths = ["pics/a.png", "../b.png", "gone.png", None]
    rows = [{"image": {"bytes": None, "path": p}, "label": 0} for p in paths]
    rows += [{"image": None, "label": 0}, {"image": {"bytes": b"", "path": None}, "label": 0}]
    found = read(opened(hugging_face(tmp_path / "in/x.parquet", rows)))
    assert found[0] == (tmp_path / "in/pics/a.png").read_bytes()
    assert "leads out of the folder" in found[1].reason and "no such file" in found[2].reason
    assert found[3].reason == found[4].reason == "the row holds no image" and found[5] == b""


def test_rows_are_read_a_row_group_at_a_time_and_none_twice(tmp_path, monkeypatch):
    rows = [{"image": {"bytes": png(k), "path": None}, "label": 0} for k in range(40)]
    source = opened(hugging_face(tmp_path / "x.parquet", rows, row_group_size=7))
    asked = []
    whole = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, g, **k: asked.append(g) or whole(self, g, **k))
    uris = column(source, "uri")
    for start in range(0, 40, 10):
        assert list(read_images(uris[start : start + 10])) == [png(k) for k in range(start, start + 10)]
    assert asked == [0, 1, 2, 3, 4, 5]


def test_large_row_groups_are_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr("activation_atlas.stages.sources.reading._WHOLE", 100)
    rows = [{"image": {"bytes": png(k), "path": None}, "label": 0} for k in range(200)]
    uris = column(opened(hugging_face(tmp_path / "x.parquet", rows, row_group_size=150)), "uri")
    assert list(read_images(uris[::-7])) == [png(k) for k in range(200)][::-7]


def test_a_parquet_that_shrank_or_went(tmp_path):
    path = Path(hugging_face(tmp_path / "x.parquet", [{"image": {"bytes": png(), "path": None}}]))
    assert "no row 5" in next(read_images([f"{path}#5"])).reason
    path.unlink()
    with pytest.raises(UserError, match=r"x.parquet was listed and cannot be read any more .* run the same command"):
        next(read_images([f"{path}#0"]))


# -- other places than the disk ------------------------------------------------------------------


def _in_memory(name: str, files: dict[str, bytes]) -> str:
    fs = fsspec.filesystem("memory")
    for path, data in files.items():
        fs.pipe_file(f"/{name}/{path}", data)
    return f"memory://{name}"


def test_memory_folder_table_and_parquet(tmp_path):
    files = {"cat/a b.png": png(1), "dog/c.png": png(2), ".x/d.png": png(3)}
    files["l.csv"] = b"path,label\ndog/c.png,1\ngone.png,0\n/remote/cat/a b.png,0\n"
    put(tmp_path, "x")
    hugging_face(tmp_path / "h.parquet", [{"image": {"bytes": png(k), "path": None}, "label": 0} for k in range(3)])
    root = _in_memory("remote", files)
    source = opened(root)
    assert source.listing.num_rows == 2 and column(source, "label") == [0, 1] and read(source) == [png(1), png(2)]
    assert column(source, "image_id") == [image_id("cat/a b.png"), image_id("dog/c.png")]
    listed = opened(f"{root}/l.csv")
    assert [decode(x).shape if isinstance(x, bytes) else x.reason for x in read(listed)] == [
        (2, 3, 3),
        "no such file",
        (2, 3, 3),
    ]
    beside = opened(root, labels=f"{root}/l.csv")
    assert column(beside, "reject") == [None, "no such file", None]
    rows = opened(f"{_in_memory('rows', {'h.parquet': (tmp_path / 'h.parquet').read_bytes()})}/h.parquet")
    assert read(rows) == [png(k) for k in range(3)]


def test_a_memory_table_that_points_outside():
    root = _in_memory("outside", {"in/l.csv": b"path,k\n../b.png,0\n"})
    with pytest.raises(UserError, match="row 1: '../b.png' points outside"):
        opened(f"{root}/in/l.csv")


def test_urls_in_a_local_table(tmp_path):
    root = _in_memory("urls", {"a.png": png(9)})
    put(tmp_path, "b.png")
    source = opened(
        table(tmp_path / "x.csv", [{"path": f"{root}/a.png"}, {"path": "b.png"}, {"path": f"{root}/c.png"}])
    )
    first, second, third = read(source)
    assert first == png(9) and decode(second).shape == (2, 3, 3) and third.reason == "no such file"


def test_within_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("cat/a.png", png(1))
        archive.writestr("dog/b c.png", png(2))
    source = opened(f"zip://::{tmp_path / 'x.zip'}")
    assert column(source, "label") == [0, 1] and read(source) == [png(1), png(2)]
    inner = f"zip://cat/a.png::{tmp_path / 'x.zip'}"
    held = filesystem(inner, {})[0]
    assert filesystem(inner, {})[0] is held, "its index is read once"
    clear_all()
    assert filesystem(inner, {})[0] is not held and held.cat_file("cat/a.png") == png(1)
    with pytest.raises(UserError, match="zip://::"):
        opened(tmp_path / "x.zip")


def test_over_http(tmp_path):
    pytest.importorskip("aiohttp")
    put(tmp_path, "a#1?.png", "[b].png")
    table(tmp_path / "l.csv", [{"path": "a#1?.png"}, {"path": "[b].png"}, {"path": "gone.png"}])

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = read(opened(f"http://127.0.0.1:{server.server_port}/l.csv"))
        assert found[0] == (tmp_path / "a#1?.png").read_bytes() and found[1] == (tmp_path / "[b].png").read_bytes()
        assert found[2].reason == "no such file"
    finally:
        server.shutdown()


def test_an_unknown_protocol():
    with pytest.raises(UserError, match="cannot be opened"):
        opened("nosuch://x")


@pytest.mark.parametrize(
    ("url", "message"),
    [("demo:nope", "no demo 'nope'"), ("demo:scenes?imagez=3", "imagez"), ("demo:../x", "no demo")],
)
def test_demos_that_are_not_there(url, message):
    with pytest.raises(UserError, match=message):
        opened(url)


# -- limits, changes, threads ---------------------------------------------------------------------


def test_limit_takes_the_smallest_ids_in_source_order(tmp_path):
    put(tmp_path, *(f"{k}.png" for k in range(20)))
    whole = opened(tmp_path)
    some = opened(tmp_path, limit=5)
    smallest = sorted(column(whole, "image_id"))[:5]
    assert column(some, "image_id") == [i for i in column(whole, "image_id") if i in smallest]
    assert opened(tmp_path, limit=50).listing.equals(whole.listing)


def test_limit_counts_usable_rows(tmp_path):
    put(tmp_path, "a.png", "b.png")
    source = opened(table(tmp_path / "x.csv", [{"path": p} for p in ("a.png", "gone.png", "b.png")]), limit=2)
    assert column(source, "reject").count(None) == 2


def test_a_listing_is_kept_until_its_folder_changes(tmp_path):
    put(tmp_path, "cat/a.png")
    first = opened(tmp_path)
    assert opened(tmp_path) is first
    put(tmp_path, "cat/b.png")
    assert opened(tmp_path).listing.num_rows == 2
    assert open_source(ImagesSpec(path=str(tmp_path)), None, refresh=True) is not first
    shutil.rmtree(tmp_path / "cat")
    with pytest.raises(UserError, match="holds no images"):
        opened(tmp_path)


def test_errors_of_reading_stand_in_place(tmp_path):
    put(tmp_path, "a.png")
    found = list(read_images([str(tmp_path / "gone.png"), str(tmp_path / "a.png"), str(tmp_path)]))
    assert isinstance(found[0], ImageError) and isinstance(found[1], bytes) and "directory" in found[2].reason
    with pytest.raises(ImageError, match="no such file"):
        read_image(str(tmp_path / "gone.png"))


def test_threads_may_read_at_once(tmp_path):
    rows = [{"image": {"bytes": png(k), "path": None}, "label": 0} for k in range(60)]
    uris = column(opened(hugging_face(tmp_path / "x.parquet", rows, row_group_size=9)), "uri")
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda uri: read_image(uri), uris)) == [png(k) for k in range(60)]


# -- the real thing ---------------------------------------------------------------------------------


def test_imagenet_sample(shared):
    root = shared / "data/imagenet_sample"
    classes = (shared / "models/imagenet_classes.txt").read_text().split("\n")[:1000]
    source = opened(root / "images", classes, labels=str(root / "labels.csv"))
    assert column(source, "label") == list(range(1000)) and not source.warnings
    assert column(source, "image_id")[0] == image_id("n01440764/n01440764.jpg")
    assert column(source, "reject") == [None] * 1000
    assert all(decode(x).shape[2] == 3 for x in read_images(column(source, "uri")[:20]))
    with pytest.raises(UserError, match="none of the folder names .*an id of WordNet: give imagenet_class_index.json"):
        opened(root / "images", classes)
    ids = sorted(folder.name for folder in (root / "images").iterdir())
    by_id = open_source(ImagesSpec(path=str(root / "images")), classes, also=ids)
    assert sorted(column(by_id, "label")) == list(range(1000)) and not by_id.warnings


def test_cifar10(shared):
    classes = (shared / "models/cifar10_classes.txt").read_text().split()
    source = opened(shared / "data/cifar10", classes)
    assert source.listing.num_rows == 60_000 and source.classes == classes
    assert column(source, "split").count("train") == 50_000
    test = opened(shared / "data/cifar10", classes, split="test")
    assert test.listing.num_rows == 10_000 and column(test, "meta.path")[0] == "test/airplane/0000.jpg"
    assert decode(next(read_images(column(test, "uri")[9999:]))).shape == (32, 32, 3)
