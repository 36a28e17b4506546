"""Bad input: processed correctly, a row in `rejects`, or one clear line; never a traceback, never a lost row.

Every case goes through the real command, in this process: TensorFlow starts once.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bench import Bench, command, one_line, write_models
from tests.small import draw, write_images


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("bad"))
    write_tables(made.folder)
    write_models(made.folder)
    return made


# -- images ------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def write_odd(folder: Path) -> dict[str, str]:
    """Odd images, of which some can be used; the others by name, with a word of why not."""
    picture = draw("stripes", 1, 40)
    jpeg, png = io.BytesIO(), io.BytesIO()
    picture.save(jpeg, "JPEG")
    draw("checks", 2, 40).convert("RGB").effect_spread(9).save(png, "PNG")
    jpeg, png = jpeg.getvalue(), png.getvalue()
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray((np.arange(1600).reshape(40, 40) * 40).astype("uint16")).save(folder / "16bit.png")
    for mode in ("P", "RGBA", "L", "LA", "1"):
        picture.convert(mode).save(folder / f"mode {mode}.png")
    for kind in ("gif", "webp"):
        picture.save(folder / f"moving.{kind}", save_all=True, append_images=[draw("checks", 1, 40)])
    picture.crop((0, 0, 40, 20)).save(folder / "turned.jpg", exif=turned)
    picture.crop((0, 0, 1, 1)).save(folder / "pixel.png")
    (folder / "a jpeg.png").write_bytes(jpeg)
    for name in ("ünï cödé 😀", "new\nline", "-dash", "a#1", "q?x=1", "50%20", "[br]", 'quo"te', "<b>", "${HOME}"):
        (folder / f"{name}.png").write_bytes(png)
    (folder / "UPPER.PNG").write_bytes(png)
    bad = {
        "cut.jpg": (jpeg[: len(jpeg) * 3 // 4], "cannot be decoded"),
        "cut.png": (png[: len(png) // 2], "cannot be decoded"),
        "header.png": (png[:20], "damaged PNG"),
        "empty.png": (b"", "empty"),
        "text.jpg": (b"hello", "not an image"),
        "pointer.png": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        "bomb.png": (bomb(), "max_pixels"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    os.symlink("nowhere.png", folder / "link.png")
    (folder / os.fsdecode(b"latin\xff.png")).write_bytes(png)
    return {name: why for name, (_, why) in bad.items()} | {"link.png": "no such file", "latin\\xff.png": "not UTF-8"}


@pytest.mark.slow
def test_odd_images_are_read_or_rejected_and_none_is_lost(bench):
    folder = bench.folder / "odd/stripes"
    write_images(bench.folder / "odd", per_class=1)
    expected = write_odd(folder)
    files = sum(len(names) for _, _, names in os.walk(bench.folder / "odd"))
    code, said, errors = bench.run("odd-run", "images.path=odd")
    assert code == 3 and "too many rejects" in errors and f"{len(expected)} of {files} images were rejected" in said
    rejects, store = bench.rejects("odd-run"), bench.store("odd-run")
    assert rejects.keys() == expected.keys()
    assert all(expected[name] in reason for name, reason in rejects.items())
    assert store.rows("predictions") + len(rejects) == files == store.rows("images") + store.rows("rejects/index")
    assert store.rows("activations/second") == 6 * store.rows("predictions")
    code, said, _ = bench.run("odd-run", "images.path=odd", "extract.max_rejects=0.9")
    assert code == 0 and "images were rejected" in said


def test_where_no_image_can_be_used_the_first_reason_is_said(bench):
    (bench.folder / "none").mkdir()
    (bench.folder / "none/a.png").write_bytes(b"")
    one_line(bench.run("none-run", "images.path=none"), "none of the 1 images could be used")
    assert bench.run("nan-run", "model.path=nan.keras", "model.range=[0, 1]", "atlases=[]")[0] == 2
    assert "NaN" in next(iter(bench.rejects("nan-run").values()))


# -- what is wrong is one line --------------------------------------------------


def write_tables(folder: Path) -> None:
    tables = {
        "outside": "path,label\n../../etc/passwd,stripes\n",
        "absolute": "path,label\n/etc/passwd,stripes\n",
        "unknown": "path,label\nimages/stripes/0.png,zebra\n",
        "ragged": "path,label\nimages/stripes/0.png,stripes,more\n",
        "headless": "images/stripes/0.png,stripes\n",
        "bare": "path,label\n",
        "mixed": "path,label\nimages/stripes/0.png,stripes\nimages/stripes/0.png,\nimages/checks/0.png,zebra\n,x\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "latin.csv").write_bytes(b"path,label\nimages/stripes/0.png,stri\xffpes\n")
    (folder / "hollow").mkdir()


WRONG = {
    "images.path=nowhere": "does not exist",
    "images.path=hollow": "holds no images",
    "images.path=model.keras": "is not a folder of images",
    "images.path=foo://x": "cannot be opened",
    "images.path=outside.csv": "points outside",
    "images.path=absolute.csv": "points outside",
    "images.path=unknown.csv": "zebra",
    "images.path=ragged.csv": "cannot be read",
    "images.path=headless.csv": "first line must name the columns",
    "images.path=bare.csv": "no rows",
    "images.path=latin.csv": "UTF-8",
    "images.split=train": "the source has none",
    "images.resize=64": "the model takes [32, 32]",
    "model.classes=[stripes, checks]": "2 names for model model.keras, which returns 3",
    "model.classes=nowhere.txt": "cannot be read",
    "model.path=modl.keras": "does not exist",
    "model.path=cut.keras": "cannot be loaded",
    "model.path=text.h5": "cannot be loaded",
    "model.path=images": "is a folder; give a whole model",
    "model.path=config.yaml": "must be a whole model",
    "model.path=map.keras": "one number per class",
    "model.path=four.keras": "1 or 3 channels",
    "model.path=open.keras": "give model.input_size",
    "model.path=row.keras": "must take images",
    "model.path=loud.keras": "extract.dtype: float32",
    "model.path=silent.keras": "never answers",
    "atlases.0.layer=secnd": "did you mean second?",
    "atlases.0.layer=dense": "has no positions",
    "extract.edge=4": "lower extract.edge",
    "extract.attribution=[strips]": "did you mean stripes?",
    "atlases.0.class=strips": "did you mean stripes",
    "atlases.0.pair=[stripes, stripes]": "two different classes",
    "report.classes=[zebra]": "unknown class 'zebra'; there are stripes, checks, blobs",
    "atlases.0.grids=[100000]": "finer than 8192",
    "atlases.0.render.grids=[3]": "not among its grids",
    "run.seed=[": "not YAML",
    "run.sed=1": "did you mean seed?",
    "extract.attribution=some": "extract.attribution: ",
}


@pytest.mark.parametrize("setting", WRONG)
def test_what_is_wrong_is_one_line_with_exit_status_2(bench, setting):
    one_line(bench.run(f"wrong-{zlib.crc32(setting.encode())}", setting), WRONG[setting])


def test_wrong_choices_are_refused_before_any_image_is_read(bench):
    for settings in (
        ("atlases.0.class=stripes", "extract.attribution=[checks]"),
        ("report.classes=[stripes]", "extract.attribution=[checks]"),
        ("atlases.0.images=true", "atlases.0.layer=global_average_pooling2d"),
    ):
        shutil.rmtree(bench.folder / "early", ignore_errors=True)
        code, _, said = bench.run("early", *settings)
        assert code == 2 and not bench.store("early").parts("images"), said


def test_labels_of_no_class_and_duplicate_rows_are_told(bench):
    code, _, said = bench.run("mixed", "images.path=mixed.csv", words=("--until", "index"))
    assert code == 3 and "no class, e.g. 'zebra'" in said  # two of four are rejected
    assert bench.store("mixed").rows("images") == 2
    reasons = "; ".join(bench.rejects("mixed").values())
    assert "row 4 names no image" in reasons
    assert bench.store("mixed").rows("rejects/index") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("frobnicate",), "No such command"),
        (("run",), "Missing argument"),
        (("run", "x.yaml", "--nope"), "No such option"),
        (("run", "x.yaml", "--workers", "x"), "--workers"),
        (("run", "x.yaml"), "no such file"),
        (("run", "demo", "--log-format", "xml"), "text or json"),
        (("status", "nowhere"), "nowhere is no run folder: it holds no run.json; give what a run wrote to"),
        (("serve", "nowhere"), "holds no site"),
        (("layers", "nowhere.keras"), "no such file"),
    ],
)
def test_wrong_words_are_one_line(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one_line(command(*words), said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--until", "indx"), "no such stage"),
        (("--redo", "indx"), "no such stage"),
        (("--scheduler", "foo"), "choose sync"),
        (("--workers", "0", "--scheduler", "threads"), "at least 1"),
    ],
)
def test_wrong_options_of_a_run(bench, words, said):
    one_line(bench.run("options", words=words), said)


def test_configurations_that_are_none(bench, tmp_path):
    texts = {"": "mapping", "- 1": "mapping", "a: [1": "not YAML", "run: {}\nrun: {}": "given twice", "a: *x": "alias"}
    for text, said in texts.items():
        (tmp_path / "c.yaml").write_text(text)
        one_line(command("plan", tmp_path / "c.yaml"), said)
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    one_line(command("plan", tmp_path / "c.yaml"), "cannot be read")


# -- whole runs of other shapes --------------------------------------------------

SHAPES = {
    "more positions than there are": ("extract.positions_per_image=1000",),
    "one image": ("images.limit=1", "atlases.0.reduce.method=tsne"),
    "one row": ("images.limit=1", "extract.positions_per_image=1", "atlases.0.min_count=1"),
    "top attributions": ("extract.attribution=top", "atlases.0.class=checks"),
    "no attributions": ("extract.attribution=none",),
    "a chosen class": ("extract.attribution=[checks]", "report.classes=[checks]"),
    "no icons": ("atlases.0.render=null",),
    "no cell has enough rows": ("atlases.0.min_count=1000",),
    "an image atlas": ("atlases.0.images=true",),
    "an image atlas of a vector": (
        "atlases.0.images=true",
        "atlases.0.layer=global_average_pooling2d",
        "atlases.0.render=null",
    ),
    "no labels": ("images.label_column=none", "model.classes=null"),
    "no atlases": ("atlases=[]",),
    "one sigmoid": ("model.path=sigmoid.keras", "model.classes=null", "images.label_column=none"),
    "several sigmoids": ("model.path=labels.keras",),
    "one channel": ("model.path=grey.keras",),
    "transfer learning": ("model.path=transfer.keras", "atlases.0.layer=trunk/second"),
    "float32": ("model.path=loud.keras", "extract.dtype=float32"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_whole_runs_of_every_shape(bench, shape):
    out, asked = f"shape {shape}", ("audit={}", *SHAPES[shape])
    code, said, errors = bench.run(out, *asked)
    assert code == 0 and "index.html" in said, errors
    assert "What it leans on" in (bench.folder / out / "site/audit.html").read_text(encoding="utf-8")
    store, count = bench.store(out), 1 if "images.limit=1" in SHAPES[shape] else 9
    assert store.rows("images") == store.rows("predictions") == count
    assert not bench.did(out, *asked)
