"""Photographs with a patch in them, as data that goes into the page."""

from __future__ import annotations

import base64

import numpy as np
from PIL import Image, ImageDraw

from activation_atlas.stages.drawing.sheet import encoded
from activation_atlas.stages.intervention import Rect

SIDE = 144
"""Pixels of a photograph's shorter side on the page, at least: small ones are enlarged by whole pixels."""
FRAME = (0, 229, 255)


def embedded(pixels: np.ndarray) -> str:
    """A data URI of pixels uint8 (h, w, 3)."""
    return f"data:image/png;base64,{base64.b64encode(encoded(pixels, 'PNG')).decode('ascii')}"


def source(pixels: np.ndarray, rect: Rect | None = None) -> str:
    """A data URI of an image uint8 (h, w, c), with a rectangle framed where one is given."""
    colours = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    times = max(1, -(-SIDE // min(pixels.shape[:2])))
    large = np.repeat(np.repeat(colours, times, 0), times, 1)
    if rect is not None:
        image = Image.fromarray(large)
        top, left, bottom, right = (times * side for side in rect)
        pen = ImageDraw.Draw(image)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=(0, 0, 0), width=4)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=FRAME, width=2)
        large = np.asarray(image)
    return embedded(large)
