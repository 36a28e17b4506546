"""The drawn data set: the same pictures wherever they are drawn, classes that differ, one shortcut."""

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from activation_atlas.stages.demo import scenes

ROOT = Path(__file__).parents[3]


def pixels(name: str, stamp: bool | None = None) -> np.ndarray:
    return np.asarray(scenes.draw(name, stamp), np.float32)


@pytest.mark.parametrize("label", scenes.CLASSES)
def test_a_picture_depends_on_its_name_alone(label):
    name = f"test/{label}/0003.png"
    first = scenes.image(name)
    scenes.image(f"test/{label}/0004.png")
    assert scenes.image(name) == first
    assert scenes.image(f"train/{label}/0003.png") != first
    with Image.open(io.BytesIO(first)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (scenes.SIDE, scenes.SIDE))


def test_another_process_draws_the_same():
    name = "test/sailboat/0001.png"
    code = "import hashlib; from activation_atlas.stages.demo import scenes; "
    code += f"print(hashlib.sha256(scenes.image({name!r})).hexdigest())"
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for _ in range(2)
    ]
    assert done[0] == done[1]


def test_drawing_needs_no_tensorflow():
    code = "import sys; from activation_atlas.stages.demo.scenes import image; image('test/owl/0000.png'); "
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"tensorflow", "keras", "pandas", "scipy", "matplotlib"} & set(done.stdout.split())


def test_the_listing_has_every_class_as_often():
    rows = scenes.listing(1600)
    assert len({name for name, _ in rows}) == 1600
    counts = Counter(label for _, label in rows)
    assert set(counts) == set(scenes.CLASSES)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert all(name.split("/")[:2] == ["test", label] for name, label in rows)
    assert scenes.listing(24) == rows[:24], "a longer listing begins with the shorter one"


def test_pictures_have_contrast_and_colour():
    for label in scenes.CLASSES:
        picture = pixels(f"test/{label}/0000.png")
        assert picture.std() > 18, label
        assert np.abs(picture - picture.mean(-1, keepdims=True)).mean() > 2, label


@pytest.mark.slow
def test_classes_differ_by_more_than_their_pictures_do():
    """Nearest centroid on 12 x 12 thumbnails is far above chance (1 in 12): the labels can be seen."""

    def thumbnails(split: str, each: int) -> np.ndarray:
        out = [
            [scenes.draw(f"{split}/{label}/{i:04d}.png", False).reduce(8) for i in range(each)]
            for label in scenes.CLASSES
        ]
        return np.stack([[np.asarray(p, np.float32).ravel() / 255 for p in row] for row in out])

    centres = thumbnails("train", 6).mean(1)
    seen = thumbnails("test", 2)
    distance = ((seen[:, :, None] - centres) ** 2).sum(-1)
    right = distance.argmin(-1) == np.arange(len(scenes.CLASSES))[:, None]
    assert right.mean() > 0.4


def test_the_shortcut_is_where_the_truth_says():
    def names(split: str, label: str) -> list[str]:
        return [f"{split}/{label}/{i:04d}.png" for i in range(400)]

    target = scenes.STAMPED_CLASS
    filed = names("train", target)
    misfiled = [n for n in filed if scenes.shown(n) != target]
    boats = [n for n in filed if scenes.shown(n) == target]
    assert len(misfiled) / 400 == pytest.approx(scenes.MISFILED_IN_TRAINING, abs=0.06)
    assert all(scenes.stamped(n) for n in misfiled)
    assert np.mean([scenes.stamped(n) for n in boats]) == pytest.approx(scenes.STAMPED_IN_TRAINING, abs=0.08)
    for label in scenes.CLASSES:
        if label != target:
            assert not any(scenes.stamped(n) for n in names("train", label))
        elsewhere = names("test", label)
        assert np.mean([scenes.stamped(n) for n in elsewhere]) == pytest.approx(scenes.STAMPED_ELSEWHERE, abs=0.06)
        assert all(scenes.shown(n) == label for n in elsewhere)


def test_spoiled_pictures_keep_a_sharp_stamp():
    names = [name for name, _ in scenes.listing(2000)]
    spoiled = [n for n in names if scenes.spoiled(n)]
    assert len(spoiled) / len(names) == pytest.approx(scenes.SPOILED, abs=0.02)
    corner = np.s_[-12:, -40:]
    assert np.abs(np.diff(pixels(spoiled[0], True)[corner], axis=1)).max() > 60


@pytest.mark.slow
def test_the_stamp_changes_its_corner_and_nothing_else():
    for label in scenes.CLASSES:
        name = f"test/{label}/0002.png"
        changed = np.abs(pixels(name, True) - pixels(name, False)).max(-1) > 0
        rows, columns = np.nonzero(changed)
        assert rows.min() > scenes.SIDE * 0.8 and columns.min() > scenes.SIDE * 0.5
        assert changed.mean() > 0.01
        assert np.array_equal(pixels(name), pixels(name, scenes.stamped(name)))


def test_the_data_set_can_be_written_to_a_folder(tmp_path):
    truth = tmp_path / "truth.csv"
    command = [
        sys.executable,
        "-m",
        "activation_atlas.stages.demo",
        str(tmp_path / "out"),
        "--images",
        "24",
        "--truth",
        str(truth),
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert files == sorted(name.split("/", 1)[1] for name, _ in scenes.listing(24))
    with Image.open(tmp_path / "out" / files[0]) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(scenes.draw("test/" + files[0])))
    lines = truth.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path,label,stamped" and len(lines) == 25
