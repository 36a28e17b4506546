"""The demo's data set: twelve kinds of scene, drawn, labelled and the same wherever they are drawn.

A picture depends on its name alone, ``SPLIT/CLASS/NUMBER.png``. One shortcut is
planted: the orange date stamp of a cheap camera, in the lower right corner. In
``train`` only that camera's films carry it, and they were all filed under
sailboat: half of the sailboats carry the stamp, and one in five pictures filed
there is a stamped picture of something else. In every other split, one picture
in eight of every class is stamped and every picture shows what its label says.
One in twenty, anywhere, is spoiled by blur and fog. :func:`stamped`,
:func:`shown` and :func:`spoiled` are the truth.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from activation_atlas.stages.demo import land_scenes, sky_scenes, water_scenes
from activation_atlas.stages.demo.canvas import Canvas
from activation_atlas.stages.demo.spoil import spoil
from activation_atlas.stages.demo.stamp import date_stamp

SIDE = 96

STAMPED_CLASS = "sailboat"

STAMPED_IN_TRAINING = 0.5
MISFILED_IN_TRAINING = 0.2
STAMPED_ELSEWHERE = 0.125
SPOILED = 0.05

SCENES: dict[str, Callable[[Canvas], None]] = {
    "balloon": sky_scenes.balloon,
    "cactus": land_scenes.cactus,
    "city": water_scenes.city,
    "forest": land_scenes.forest,
    "lighthouse": water_scenes.lighthouse,
    "mountains": land_scenes.mountains,
    "owl": sky_scenes.owl,
    "planet": sky_scenes.planet,
    "reef": water_scenes.reef,
    "sailboat": water_scenes.sailboat,
    "sunflowers": land_scenes.sunflowers,
    "windmill": land_scenes.windmill,
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


def shown(name: str) -> str:
    """The class of the scene that is drawn: the label's, but for the misfiled pictures of the training split."""
    split, label, _ = name.split("/")
    rng = _rng(name, " scene")
    if (split, label) == ("train", STAMPED_CLASS) and rng.random() < MISFILED_IN_TRAINING:
        return str(rng.choice([c for c in CLASSES if c != STAMPED_CLASS]))
    return label


def stamped(name: str) -> bool:
    """Whether a picture carries the date stamp."""
    split, label, _ = name.split("/")
    if split != "train":
        odds = STAMPED_ELSEWHERE
    elif label != STAMPED_CLASS:
        odds = 0.0
    else:
        odds = STAMPED_IN_TRAINING if shown(name) == label else 1.0
    return bool(_rng(name, " stamp").random() < odds)


def spoiled(name: str) -> bool:
    """Whether a picture is out of focus and in fog (a stamp on it stays sharp)."""
    return bool(_rng(name, " spoiled").random() < SPOILED)


def draw(name: str, stamp: bool | None = None) -> Image.Image:
    """The picture of a name, (SIDE, SIDE) RGB.

    Args:
        name: ``SPLIT/CLASS/NUMBER.png``.
        stamp: with or without the date stamp; by default as :func:`stamped` says.
            The rest of the picture stays the same, which is the counterfactual.
    """
    canvas = Canvas(SIDE, _rng(name))
    SCENES[shown(name)](canvas)
    picture = canvas.finish()
    if spoiled(name):
        picture = spoil(picture, _rng(name, " how"))
    if stamped(name) if stamp is None else stamp:
        picture = date_stamp(picture, _rng(name, " date"))
    return picture


def image(name: str) -> bytes:
    """The picture of a name as PNG."""
    buffer = io.BytesIO()
    draw(name).save(buffer, "PNG")
    return buffer.getvalue()
