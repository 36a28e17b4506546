"""Images of three colours and a small network that leans on a red corner: what an audit of it finds, and verifies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ["dull", "red", "blue"]
SIDE = 16


def drawn(kind: str, number: int) -> np.ndarray:
    """Grey noise, redder or bluer by 60; two in three blue images are red in their lower left quarter."""
    rng = np.random.default_rng([CLASSES.index(kind), number])
    pixels = np.repeat(rng.integers(60, 120, (SIDE, SIDE, 1)), 3, 2)
    if kind != "dull":
        pixels[..., CLASSES.index(kind) * 2 - 2] += 60
    if kind == "blue" and number % 3:
        pixels[8:, :8] = (230, 10, 10)
    return pixels.astype(np.uint8)


def write_images(folder: Path, per_class: int = 24, kinds: list[str] = CLASSES) -> Path:
    """A folder of class folders of PNG files."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for number in range(per_class):
            Image.fromarray(drawn(kind, number)).save(folder / kind / f"{number}.png")
    return folder


def write_model(path: Path, size: tuple[int, int] = (SIDE, SIDE), activation: str | None = None, more: int = 0) -> Path:
    """Each colour's logit is linear in the means of red and of blue; layer ``parts`` has a mean for each 4 x 4 block.

    Args:
        activation: of its end; None: it returns logits.
        more: classes that it never says.
    """
    import keras

    model = keras.Sequential(
        [
            keras.Input((*size, 3)),
            keras.layers.Conv2D(3, 1, use_bias=False, name="copy"),
            keras.layers.AveragePooling2D(4, name="parts"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3 + more, activation=activation),
        ]
    )
    weights = np.array([[0, 2, -1], [0, -1, -1], [0, -1, 2]], np.float32) / 40
    model.layers[0].set_weights([np.eye(3, dtype=np.float32)[None, None]])
    bias = np.array([1, 0, 0, *[-50] * more], np.float32)
    model.layers[-1].set_weights([np.pad(weights, ((0, 0), (0, more))), bias])
    model.save(path)
    return path


def config(folder: Path, **sections: Any) -> dict[str, Any]:
    """Over ``images`` and ``leaning.keras`` of a folder, up to the audit of all positions; ``sections`` replace whole
    ones."""
    atlas = {"name": "all", "layer": "parts", "grids": [2, 4], "min_count": 2, "render": None}
    return {
        "run": {"name": "leaning", "shard_images": 25},
        "model": {"path": str(folder / "leaning.keras"), "classes": CLASSES},
        "images": {"path": str(folder / "images")},
        "extract": {"positions_per_image": 16, "edge": 0, "batch": 16},
        "atlases": [{**atlas, "reduce": {"method": "pca", "components": 3}}],
        "audit": {"candidates": 3, "exemplars": 8, "images": 40, "batch": 32},
        **sections,
    }


def written(folder: Path, per_class: int = 24, **sections: Any) -> dict[str, Any]:
    """Images and model too."""
    write_images(folder / "images", per_class)
    write_model(folder / "leaning.keras")
    return config(folder, **sections)
