"""The index: every row of a source in `images` or in `rejects/index`, whatever is wrong with it."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages import index, tables
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError
from tests.memory import MemoryInputs


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    for k in range(10):
        path = tmp_path / ("even" if k % 2 == 0 else "odd") / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(10 + k, 5))
    return tmp_path


def params(path, shard_images: int = 4, **options) -> index.Params:
    return index.Params(images=ImagesSpec(path=str(path), **options), shard_images=shard_images)


def test_every_image_once_with_hash_and_size(folder):
    inputs = MemoryInputs()
    inputs.run(index.STAGE, params(folder))
    parts = inputs.tables["images"]
    assert [len(p) for p in parts] == [4, 4, 2] and [len(p) for p in inputs.tables["rejects/index"]] == [0, 0, 0]
    assert all(p.schema == tables.images() for p in parts)
    for part in parts:
        assert part["image_id"].to_pylist() == sorted(part["image_id"].to_pylist())
    for row in inputs.table("images").to_pylist():
        data = Path(row["uri"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["width"] == 10 + int(os.path.basename(row["uri"])[0]) and row["height"] == 5
        assert row["label"] == int("odd" in row["uri"])


def test_bad_images_are_rejects_and_none_is_lost(folder):
    bad = {"empty.png": b"", "text.jpg": b"hello", "bomb.png": png(300, 300), "cut.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF"}
    for name, data in bad.items():
        (folder / "odd" / name).write_bytes(data)
    (folder / "odd/named.gif").write_bytes(png(7, 5))  # misnamed, and fine
    inputs = MemoryInputs()
    found = inputs.run(index.STAGE, params(folder, max_pixels=1000))
    rejects = {os.path.basename(r["uri"]): r for r in found["rejects/index"].to_pylist()}
    assert set(rejects) == set(bad) and len(found["images"]) == 11
    assert all(r["stage"] == "index" and "\n" not in r["reason"] for r in rejects.values())
    assert rejects["empty.png"]["reason"] == "the file is empty" and "max_pixels" in rejects["bomb.png"]["reason"]
    assert found["rejects/index"].schema == tables.rejects()
    ids = found["images"]["image_id"].to_pylist() + found["rejects/index"]["image_id"].to_pylist()
    assert len(set(ids)) == 15


def test_rows_of_a_table_keep_their_metadata_and_their_faults(folder):
    lines = [
        "path,label,camera",
        "even/0.png,0,Leica",
        "gone.png,0,",
        "even/0.png,1,Leica",
        "odd/1.png,9,",
        "odd/3.png,1,",
    ]
    (folder / "l.csv").write_text("\n".join(lines))
    chosen = index.Params(images=ImagesSpec(path=str(folder / "l.csv")), classes=["even", "odd"], shard_images=2)
    inputs = MemoryInputs()
    found = inputs.run(index.STAGE, chosen)
    kept = {os.path.basename(r["uri"]): r for r in found["images"].to_pylist()}
    assert kept["0.png"]["meta.camera"] == "Leica" and kept["1.png"]["label"] is None and kept["3.png"]["label"] == 1
    reasons = [r["reason"] for r in found["rejects/index"].to_pylist()]
    assert sorted(reasons) == ["duplicate of row 1, where the label is '0', here '1'", "no such file"]
    assert found["images"].schema == tables.images([pa.field("meta.camera", pa.string())])
    [warning] = inputs.warnings
    assert "1 of 5" in warning and "9" in warning


def stamps(chosen: index.Params, inputs: MemoryInputs | None = None) -> list[str]:
    return index.stamps(chosen, index.shards(inputs or MemoryInputs(), chosen))


def test_stamps_change_with_their_own_shard_only(folder):
    before = stamps(params(folder))
    assert len(before) == 3 and before == stamps(params(folder))
    (folder / "even/2.png").write_bytes(png(90, 90))
    after = stamps(params(folder))
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]
    os.utime(folder / "odd/9.png", ns=(1, 1))
    assert stamps(params(folder))[2] != after[2]


def test_an_image_stays_in_its_part_whatever_is_listed_beside_it(folder):
    inputs = MemoryInputs()
    inputs.run(index.STAGE, params(folder))
    before = stamps(params(folder), inputs)
    parts = [part["image_id"].to_pylist() for part in inputs.tables["images"]]
    (folder / "even/00.png").write_bytes(png(3, 3))  # listed first
    after = index.shards(inputs, params(folder))
    assert [sorted(shard.images) for shard in after[:2]] == parts[:2]
    assert set(parts[2]) < set(after[2].images) and sum(len(shard.images) for shard in after) == 11
    assert stamps(params(folder), inputs)[:2] == before[:2]


@pytest.mark.parametrize("table", ["images", "levels", "rejects/index"])
def test_a_part_that_is_damaged_is_filled_anew_and_those_behind_it_stay(folder, monkeypatch, table):
    inputs = MemoryInputs()
    inputs.run(index.STAGE, params(folder))
    (folder / "even/00.png").write_bytes(png(3, 3))  # listed first, and in the last part
    inputs.run(index.STAGE, params(folder))
    before = index.shards(inputs, params(folder))

    def part(name, number, columns=None, read=inputs.part):
        if (name, number) == (table, 1):
            raise UserError("part-00001.parquet cannot be read")
        return read(name, number, columns)

    monkeypatch.setattr(inputs, "part", part)
    assert index.shards(inputs, params(folder)) == before


def test_a_worker_that_lists_for_itself_finds_the_same(folder):
    code = (
        "import sys; from activation_atlas.stages import index; from activation_atlas.stages.specs import ImagesSpec\n"
        "from types import SimpleNamespace\n"
        "p = index.Params(images=ImagesSpec(path=sys.argv[1]), shard_images=4)\n"
        "none = SimpleNamespace(parts=lambda table: 0)\n"
        "print(index.stamps(p, index.shards(none, p)), 'tensorflow' in sys.modules, 'pandas' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"{stamps(params(folder))} False False"


def test_files_of_several_pages_are_told_once(tmp_path):
    pages = [Image.new("L", (4, 4), shade) for shade in (0, 255)]
    for name in ("a.tif", "b.gif", "c.tif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "d.tif")
    inputs = MemoryInputs()
    assert inputs.run(index.STAGE, index.Params(images=ImagesSpec(path=str(tmp_path)), shard_images=2))["images"]
    assert set(inputs.warnings) == {"among the images are some of several pages or frames: of each the first is read"}


def test_a_source_that_changed_since_it_was_counted(folder):
    shards = index.shards(MemoryInputs(), params(folder))
    (folder / "even/00.png").write_bytes(png(1, 1))
    (folder / "odd/9.png").unlink()
    assert index.run(MemoryInputs(), params(folder), shards[0])["images"].num_rows == 4
    with pytest.raises(UserError, match="run again"):
        index.run(MemoryInputs(), params(folder), shards[2])


def test_cifar_in_parts(shared):
    chosen = params(shared / "data/cifar10/test.parquet", shard_images=300, limit=1000)
    inputs = MemoryInputs()
    found = inputs.run(index.STAGE, chosen)
    assert len(found["images"]) == 1000 and set(found["images"]["width"].to_pylist()) == {32}
    whole = inputs.run(index.STAGE, params(shared / "data/cifar10/test.parquet", shard_images=1000, limit=1000))
    assert found["images"].sort_by("image_id").equals(whole["images"].sort_by("image_id"))
    assert np.bincount(whole["images"]["label"].to_numpy()).min() > 60


def test_label_names_are_never_numbered_for_a_published_model(tmp_path):
    for kind in ("zebra", "ant"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "0.png").write_bytes(png(4, 4))
    spec = ImagesSpec(path=str(tmp_path))
    with pytest.raises(UserError, match="model.classes: the labels are names; give the model's class names to match"):
        index.shards(None, index.Params(images=spec, numbering=False))
    inputs = MemoryInputs()
    found = inputs.run(index.STAGE, index.Params(images=spec))
    assert found["images"]["label"].to_pylist().count(1) == 1
    assert any("ant = 0, zebra = 1" in w for w in inputs.warnings)


def checked(root: Path, count: int, classes: list[str] | None = None, **options) -> None:
    """The labels of a folder held against a model of so many classes."""
    inputs = MemoryInputs(states={("extract", ""): {"classes": [f"class {k}" for k in range(count)]}})
    chosen = index.Params(images=ImagesSpec(path=str(root), **options), classes=classes)
    inputs.run(index.STAGE, chosen)
    index.STAGE.check[1](inputs, chosen)


def test_numbered_names_must_be_as_many_as_the_classes(folder):
    checked(folder, 2)
    with pytest.raises(
        UserError, match=r"folder names give 2 classes \(even, odd\), and the model has 3: .*model.classes"
    ):
        checked(folder, 3)
    (folder / "sheet.png").write_bytes(png(4, 4))
    with pytest.raises(UserError, match=r"label_column: none \(1 image lies in no class folder"):
        checked(folder, 3)
    checked(folder, 3, label_column="none")
    checked(folder, 3, classes=["odd", "both", "even"])
    checked(folder, 2, labels=str(table(folder, "path,label\neven/0.png,odd\nodd/1.png,even\n")))


def test_labels_must_be_classes_of_the_model(folder):
    from_one = str(table(folder, "path,label\neven/0.png,1\neven/2.png,2\nodd/1.png,3\n"))
    checked(folder, 4, labels=from_one)
    said = r"1 of 3 labels are none of the model's 3 classes \(0 to 2\), e.g. 3; they seem to count from 1: say"
    with pytest.raises(UserError, match=f"{said} images.first_label: 1"):
        checked(folder, 3, labels=from_one)
    checked(folder, 3, labels=from_one, first_label=1)
    with pytest.raises(UserError, match="2 of 3 labels are none of the model's 2 classes .*; correct them"):
        checked(folder, 2, labels=from_one)


def table(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"
