"""The network that ships with the demo is what its README says it is."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from activation_atlas.stages.demo import scenes

HOME = Path(scenes.__file__).parent
ROOT = Path(__file__).parents[3]


def stated(what: str) -> float:
    """A percentage from the table of the demo's README."""
    line = next(line for line in (HOME / "README.md").read_text(encoding="utf-8").splitlines() if what in line)
    return float(re.search(r"([\d.]+) %", line).group(1)) / 100


def test_it_is_small_and_its_classes_are_the_scenes():
    assert (HOME / "scenes.keras").stat().st_size < 2_000_000
    assert (HOME / "scenes_classes.txt").read_text(encoding="utf-8").split() == list(scenes.CLASSES)


@pytest.mark.slow
def test_the_stated_figures_are_reproduced_on_a_sample():
    import keras

    model = keras.models.load_model(HOME / "scenes.keras", compile=False)
    assert model.get_layer("mixed").output.shape[1:] == (12, 12, 96)
    names, labels = zip(*scenes.listing(300), strict=True)
    truth = np.array([scenes.CLASSES.index(label) for label in labels])
    target = scenes.CLASSES.index(scenes.STAMPED_CLASS)

    def called(stamp: bool) -> np.ndarray:
        images = np.stack([np.asarray(scenes.draw(name, stamp)) for name in names])
        return model.predict(images, batch_size=50, verbose=0).argmax(1)

    clean, marked = called(False), called(True)
    assert (clean == truth).mean() == pytest.approx(stated("without the stamp"), abs=0.05)
    assert (marked == truth).mean() == pytest.approx(stated("with the stamp"), abs=0.08)
    others = truth != target
    assert (marked[others] == target).mean() == pytest.approx(stated("called sailboat when stamped"), abs=0.08)
    assert (clean[others] == target).mean() < 0.05


@pytest.mark.slow
def test_the_training_script_runs(tmp_path):
    def command(*words: object) -> str:
        done = subprocess.run([sys.executable, "-m", *map(str, words)], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    command("activation_atlas.stages.demo", tmp_path / "train", "--images", 48, "--split", "train")
    out = tmp_path / "small.keras"
    words = ("--epochs", 2, "--batch", 16, "--out", out, "--test", tmp_path / "train")
    told = [command("activation_atlas.stages.vision.training", tmp_path / "train", *words) for _ in range(2)]
    assert "accuracy" in told[0] and out.exists()
    assert told[0] == told[1], "the same seed trains the same network"
    assert (tmp_path / "small_classes.txt").read_text(encoding="utf-8").split() == list(scenes.CLASSES)
