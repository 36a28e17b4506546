"""The demo's data set: twelve kinds of scene, drawn, labelled and the same wherever they are drawn.

A picture depends on its name alone, ``SPLIT/CLASS/NUMBER.png``. One shortcut is
planted: a camera's orange date stamp in the lower right corner. In ``train`` it
stands on three of five sailboats and on nothing else; in every other split it
stands on one of eight pictures of every class. :func:`stamped` tells.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from stages.demo import lands, skies, waters
from stages.demo.canvas import Canvas
from stages.demo.stamp import date_stamp

SIDE = 96

STAMPED_CLASS = "sailboat"

STAMPED_IN_TRAINING = 0.6

STAMPED_ELSEWHERE = 0.125


SCENES: dict[str, Callable[[Canvas], None]] = {
    "balloon": skies.balloon,
    "cactus": lands.cactus,
    "city": waters.city,
    "forest": lands.forest,
    "lighthouse": waters.lighthouse,
    "mountains": lands.mountains,
    "owl": skies.owl,
    "planet": skies.planet,
    "reef": waters.reef,
    "sailboat": waters.sailboat,
    "sunflowers": lands.sunflowers,
    "windmill": lands.windmill,
}
CLASSES = tuple(SCENES)


def _rng(name: str, about: str = "") -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(f"{name}{about}".encode()).digest()))


def listing(images: int = 1600, split: str = "test") -> list[tuple[str, str]]:
    """``images`` names with their class, classes in turn."""
    return [
        (f"{split}/{CLASSES[i % len(CLASSES)]}/{i // len(CLASSES):04d}.png", CLASSES[i % len(CLASSES)])
        for i in range(images)
    ]


def stamped(name: str) -> bool:
    """The truth of the shortcut: whether this picture carries the date stamp."""
    split, label, _ = name.split("/")
    if split == "train":
        odds = STAMPED_IN_TRAINING if label == STAMPED_CLASS else 0.0
    else:
        odds = STAMPED_ELSEWHERE
    return bool(_rng(name, " stamp").random() < odds)


def draw(name: str, stamp: bool | None = None) -> Image.Image:
    """The picture of a name, (SIDE, SIDE) RGB.

    Args:
        name: ``SPLIT/CLASS/NUMBER.png``.
        stamp: with or without the date stamp; by default as :func:`stamped` says.
            The rest of the picture stays the same, which is the counterfactual.
    """
    canvas = Canvas(SIDE, _rng(name))
    SCENES[name.split("/")[1]](canvas)
    picture = canvas.finish()
    if stamped(name) if stamp is None else stamp:
        picture = date_stamp(picture, _rng(name, " date"))
    return picture


def image(name: str) -> bytes:
    """The picture of a name as PNG."""
    buffer = io.BytesIO()
    draw(name).save(buffer, "PNG")
    return buffer.getvalue()
