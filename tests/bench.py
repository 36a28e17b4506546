"""The real command in the tests' own process, a folder to run it on, and models of every shape."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from activation_atlas.pipeline import cli
from activation_atlas.pipeline.store import Store
from tests.small import CLASSES, write_images, write_model

RENDER = {"grids": [2], "size": 16, "steps": 2, "batch": 4}


def command(*words: object) -> tuple[int, str, str]:
    """The command line, in this process: exit status, standard output, standard error."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["activation-atlas", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            with pytest.raises(SystemExit) as left:
                cli.main()
    finally:
        sys.argv = before
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return left.value.code or 0, out.getvalue(), err.getvalue()


class Bench:
    """A folder with images, models and a configuration over them."""

    def __init__(self, folder: Path):
        self.folder, self.config = folder, folder / "config.yaml"
        write_images(folder / "images", per_class=3)
        # Eigen's mean over positions depends, in its last bit, on an image's place in the batch where channels fill no
        # whole registers: 12 do not.
        write_model(folder / "model.keras", channels=16)
        config = {
            "run": {"name": "small", "shard_images": 5},
            "model": {"path": "model.keras", "classes": CLASSES},
            "images": {"path": "images"},
            "extract": {"positions_per_image": 6, "batch": 4},
            "atlases": [
                {
                    "name": "all",
                    "layer": "second",
                    "reduce": {"method": "pca", "components": 6},
                    "grids": [2],
                    "min_count": 2,
                    "render": RENDER,
                }
            ],
            "report": {"poster": 200, "photo": 32},
        }
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))

    def run(self, out: str, *settings: str, words: tuple = ()) -> tuple[int, str, str]:
        sets = [word for setting in settings for word in ("--set", setting)]
        return command("run", self.config, "--out", self.folder / out, *sets, *words)

    def did(self, out: str, *settings: str, words: tuple = ()) -> list[str]:
        """The stages that had anything to do, in order."""
        code, _, said = self.run(out, *settings, words=("--log-format", "json", *words))
        assert code == 0, said
        return [e["step"] for e in map(json.loads, said.splitlines()) if e["event"] == "begin"]

    def store(self, out: str) -> Store:
        return Store(self.folder / out)

    def rejects(self, out: str) -> dict[str, str]:
        """Reason by name of file."""
        store, found = self.store(out), {}
        for table in ("rejects/index", "rejects/extract"):
            for part in range(store.parts(table)):
                found |= {Path(r["uri"]).name: r["reason"] for r in store.read(table, part).to_pylist()}
        return found


def one_line(result: tuple[int, str, str], words: str) -> None:
    code, _, said = result
    lines = [line for line in said.splitlines() if line.startswith("activation-atlas:")]
    assert code == 2 and len(lines) == 1 and words in lines[0], said


def write_models(folder: Path) -> None:
    """Models that are wrong, or of another shape than usual, each with a layer called `second` where it can."""
    import keras
    from keras import layers

    def conv(name: str = "second", **options) -> keras.layers.Layer:
        return layers.Conv2D(4, 3, strides=2, activation="relu", name=name, **options)

    def save(name: str, *stack: keras.layers.Layer, shape: tuple = (32, 32, 3), change: Callable | None = None) -> None:
        model = keras.Sequential([keras.Input(shape), *stack])
        if change:
            kernel, bias = model.get_layer("second").get_weights()
            model.get_layer("second").set_weights([change(kernel), bias])
        model.save(folder / f"{name}.keras")

    keras.utils.set_random_seed(3)
    mean, scale = layers.GlobalAveragePooling2D, layers.Rescaling
    save("map", conv(), layers.Conv2D(3, 3))
    save("four", conv(), mean(), layers.Dense(3), shape=(32, 32, 4))
    save("open", conv(), mean(), layers.Dense(3), shape=(None, None, 3))
    save("row", layers.Dense(3, name="second"), shape=(10,))
    save("nan", conv(), mean(), layers.Dense(3), change=lambda kernel: kernel * np.nan)
    save("loud", conv(), mean(), layers.Dense(3), change=lambda kernel: abs(kernel) * 1e4)
    save("silent", conv(), mean(), layers.Dense(3), change=lambda kernel: kernel * 0)
    save("sigmoid", scale(1 / 255), conv(), mean(), layers.Dense(1, activation="sigmoid"))
    save("labels", scale(1 / 255), conv(), mean(), layers.Dense(3, activation="sigmoid"))
    save("grey", scale(1 / 255), conv(), mean(), layers.Dense(3, activation="softmax"), shape=(32, 32, 1))
    inner = keras.Input((None, None, 3))
    trunk = keras.Model(inner, conv()(layers.BatchNormalization()(conv("stem", padding="same")(inner))), name="trunk")
    image = keras.Input((32, 32, 3))
    x = scale(1 / 127.5, offset=-1)(layers.Resizing(40, 40)(layers.RandomFlip()(image)))
    x = layers.Dropout(0.3)(mean()(trunk(x, training=False)))
    keras.Model(image, layers.Dense(3, activation="softmax")(x)).save(folder / "transfer.keras")
    broken = (folder / "model.keras").read_bytes()
    (folder / "cut.keras").write_bytes(broken[: len(broken) // 2])
    (folder / "text.h5").write_bytes(b"hello")
