"""A small classifier, a few drawn images and a configuration over them: a whole run in seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

CLASSES = ["stripes", "checks", "blobs"]


def draw(kind: str, number: int, size: int = 32) -> Image.Image:
    """One image of a class: a texture of its kind in random colours."""
    rng = np.random.default_rng([CLASSES.index(kind), number])
    y, x = np.mgrid[:size, :size] / size
    phase, pitch = rng.uniform(0, 6), rng.uniform(3, 5)
    waves = {
        "stripes": np.sin(2 * np.pi * pitch * x + phase),
        "checks": np.sign(np.sin(2 * np.pi * pitch * x + phase) * np.sin(2 * np.pi * pitch * y)),
        "blobs": np.cos(2 * np.pi * pitch * np.hypot(x - rng.uniform(), y - rng.uniform())),
    }
    dark, light = rng.integers(0, 120, 3), rng.integers(130, 256, 3)
    share = (waves[kind][..., None] + 1) / 2
    return Image.fromarray((dark + share * (light - dark)).astype("uint8"))


def write_images(folder: Path, per_class: int = 8, size: int = 32) -> Path:
    """A folder of class folders of PNG files."""
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
        for number in range(per_class):
            draw(kind, number, size).save(folder / kind / f"{number}.png")
    return folder


def write_model(path: Path, size: int = 32, channels: int = 12) -> Path:
    """Two convolutions, an average, a softmax; fixed random weights that do react to the images."""
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 5, strides=2, padding="same", activation="relu", name="first"),
            layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu", name="second"),
            layers.GlobalAveragePooling2D(name="global_average_pooling2d"),
            layers.Dense(len(CLASSES), activation="softmax", name="dense"),
        ]
    )
    model.save(path)
    return path


def write_config(folder: Path, **changes) -> Path:
    """The images, the model and ``config.yaml`` over them in a folder; ``changes`` replace whole sections."""
    write_images(folder / "images")
    write_model(folder / "model.keras")
    render = {"grids": [2], "size": 24, "steps": 4, "batch": 4}
    config = {
        "run": {"name": "small", "shard_images": 9},
        "model": {"path": "model.keras", "classes": CLASSES},
        "images": {"path": "images"},
        "extract": {"positions_per_image": 6, "batch": 4},
        "atlases": [
            {
                "name": "all",
                "layer": "second",
                "reduce": {"method": "pca", "components": 6},
                "grids": [2, 4],
                "min_count": 2,
                "render": render,
            },
            {
                "name": "checks",
                "layer": "first",
                "class": "checks",
                "rows": 40,
                "reduce": {"method": "pca", "components": 4},
                "grids": [2],
                "min_count": 1,
                "render": render,
            },
        ],
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of every table part and state file of a run folder."""
    files = [p for p in root.rglob("*") if p.suffix in {".parquet", ".npz"} and "cache" not in p.parts]
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}
