"""The planted shortcut: a camera's orange date stamp in the lower right corner."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from activation_atlas.stages.demo.canvas import SCALE

# Which of its seven strokes a digit lights: top, upper left, upper right, middle, lower left, lower right, bottom.
SEGMENTS = {
    "0": "1110111", "1": "0010010", "2": "1011101", "3": "1011011", "4": "0111010",
    "5": "1101011", "6": "1101111", "7": "1010010", "8": "1111111", "9": "1111011",
}  # fmt: skip
# fmt: skip


def date_stamp(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture with an orange date in its lower right corner."""
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(86, 100)
    text = f"{day:02d}.{month:02d}.{year:02d}"
    side, w, h = picture.width, 4.2, 7.6
    glow = Image.new("L", (side * SCALE, side * SCALE))
    draw = ImageDraw.Draw(glow)
    x, y = side - 4.0 - sum(2.2 if t == "." else w + 1.5 for t in text), side - 4.0 - h
    for t in text:
        if t == ".":
            draw.ellipse([(x - 0.1) * SCALE, (y + h - 1.2) * SCALE, (x + 1.2) * SCALE, (y + h + 0.1) * SCALE], fill=255)
            x += 2.2
            continue
        corners = [
            (0, 0, w, 0),
            (0, 0, 0, h / 2),
            (w, 0, w, h / 2),
            (0, h / 2, w, h / 2),
            (0, h / 2, 0, h),
            (w, h / 2, w, h),
            (0, h, w, h),
        ]
        for on, (x0, y0, x1, y1) in zip(SEGMENTS[t], corners, strict=True):
            if on == "1":
                draw.line([(x + x0) * SCALE, (y + y0) * SCALE, (x + x1) * SCALE, (y + y1) * SCALE], fill=255, width=4)
        x += w + 1.5
    mask = np.asarray(glow.reduce(SCALE), np.float32)[..., None] / 255
    halo = np.asarray(glow.reduce(SCALE).filter(ImageFilter.BoxBlur(2)), np.float32)[..., None] / 255
    base = np.asarray(picture, np.float32) * (1 - 0.6 * halo)  # readable on sand as well as at night
    out = base * (1 - mask * 0.92) + np.array([255, 138, 24], np.float32) * mask * 0.98
    return Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))
