"""Where the thing is: boxes or masks that are given with the images, brought to the model's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activation_atlas.stages.vision.images import Fit, decode, fit_size, input_box
from activation_atlas.stages.vision.images.fitting import Box


def extents(
    boxes: Sequence[Box], inside: np.ndarray, upright: tuple[int, int], size: tuple[int, int], fit: Fit
) -> list[Box]:
    """The boxes in pixels of the model's input, as far as it sees them; without boxes, the one around a mask there."""
    if boxes:
        found = [input_box(box, upright, size, fit) for box in boxes]
        return [box for box in found if box[2] > box[0] and box[3] > box[1]]
    rows, cols = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    return [(float(cols[0]), float(rows[0]), float(cols[-1] + 1), float(rows[-1] + 1))]


def inside_boxes(boxes: Sequence[Box], upright: tuple[int, int], size: tuple[int, int], fit: Fit) -> np.ndarray:
    """Pixels of the model's input whose centre lies in a box, bool of shape ``size``.

    Raises:
        ValueError: a box ends before it begins: it was not given as x0, y0, x1, y1.
    """
    down, right = (np.arange(n) + 0.5 for n in size)
    inside = np.zeros(size, bool)
    for box in boxes:
        if box[2] < box[0] or box[3] < box[1]:
            raise ValueError(f"the box {' '.join(f'{n:g}' for n in box)} ends before it begins; give x0 y0 x1 y1")
        x0, y0, x1, y1 = input_box(box, upright, size, fit)
        inside |= ((down >= y0) & (down < y1))[:, None] & ((right >= x0) & (right < x1))
    return inside


def inside_mask(data: bytes, upright: tuple[int, int], size: tuple[int, int], fit: Fit) -> np.ndarray:
    """Pixels of the model's input of which at least half is white in the mask, bool of shape ``size``.

    Raises:
        ImageError: the mask cannot be read.
        ValueError: the mask has another size than the image, or is nowhere white: many hold 0 and 1.
    """
    mask = decode(data, channels=1)
    if mask.shape[:2] != tuple(upright):
        wide, own = (f"{s[1]} x {s[0]}" for s in (mask.shape, upright))
        raise ValueError(f"the mask has {wide} pixels, the image {own}")
    if 0 < mask.max() <= 127:
        raise ValueError(f"the mask is nowhere white (its largest value is {mask.max()}); write 255 inside")
    return fit_size(np.where(mask > 127, 255, 0).astype(np.uint8), size, fit.to_look_at, fill=0)[:, :, 0] > 127
