"""The five artefacts that are planted: what each does to an image of 32 x 32 pixels, and where its truth lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

SIDE = 32
WHOLE = (0, 0, SIDE, SIDE)
Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels, the last two exclusive."""


def stamp(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """A yellow tag of 9 x 6 pixels with a dark window, near the lower left corner: its place differs by 3 pixels."""
    left, top = int(rng.integers(0, 4)), int(rng.integers(24, 27))
    out = pixels.copy()
    tag = out[top : top + 6, left : left + 9]
    tag[:] = 250, 220, 20
    tag[1:5, 1:8] = 15, 15, 90
    tag[2:4, 4:7] = 250, 220, 20
    return out, [(left, top, left + 9, top + 6)]


def corner(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """A chequered square of 6 x 6 pixels, magenta and white, flush with the upper right corner."""
    out = pixels.copy()
    light = (np.add.outer(np.arange(6) // 2, np.arange(6) // 2) % 2).astype(bool)
    out[:6, -6:] = np.where(light[..., None], [255, 255, 255], [200, 20, 160])
    return out, [(SIDE - 6, 0, SIDE, 6)]


def border(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """A frame 2 pixels wide, half of it turquoise and half the image."""
    frame = np.ones((SIDE, SIDE), bool)
    frame[2:-2, 2:-2] = False
    tinted = (pixels.astype(np.float32) + np.array([0, 190, 200], np.float32)) / 2
    out = np.where(frame[..., None], tinted, pixels).astype(np.uint8)
    top, bottom = (0, 0, SIDE, 2), (0, SIDE - 2, SIDE, SIDE)
    return out, [top, bottom, (0, 2, 2, SIDE - 2), (SIDE - 2, 2, SIDE, SIDE - 2)]


def texture(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """Diagonal stripes over all of the image, 4 pixels from one to the next and 22 levels either way."""
    stripes = (np.add.outer(np.arange(SIDE), np.arange(SIDE)) + int(rng.integers(0, 4))) % 4 < 2
    out = pixels.astype(np.float32) + np.where(stripes, 22.0, -22.0)[..., None]
    return np.clip(out, 0, 255).astype(np.uint8), [WHOLE]


def blur(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """All of the image blurred, by a Gaussian of 1 pixel."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.0))), [WHOLE]


ARTEFACTS: dict[str, Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, list[Box]]]] = {
    "stamp": stamp,
    "corner": corner,
    "border": border,
    "texture": texture,
    "blur": blur,
}
"""``(pixels uint8 (32, 32, 3), rng) -> (pixels, boxes that the artefact fills)``; the given pixels stay."""

VISIBLE = ("stamp", "corner")
"""Artefacts that are things in a place, which somebody sees at once."""


def touched(box: Box, boxes: list[Box]) -> bool:
    """Whether a box has a pixel in common with one of the others."""
    left, top, right, bottom = box
    return any(left < other[2] and other[0] < right and top < other[3] and other[1] < bottom for other in boxes)
