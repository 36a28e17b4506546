"""Where the thing is: boxes from columns of the images table, or masks, brought to the model's input."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import Fit, decode, fit_size, input_box

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1): left, top, right, bottom, in pixels of the upright image, x1 and y1 beyond the last pixel."""


def boxes_of(values: Sequence[Any]) -> list[Box]:
    """The boxes of one image: four numbers, or one text of four numbers or of a list of such fours.

    None where it is null, or a text of nothing: what a CSV has for an image without a box.

    Raises:
        ValueError: it is no box.
    """
    if len(values) == 1:
        text = "" if values[0] is None else str(values[0]).strip()
        if not text:
            return []
        found: Any = json.loads(text) if text[:1] == "[" else [float(v) for v in re.split(r"[\s,;]+", text)]
        fours = found if found and isinstance(found[0], list) else [found] if found else []
    else:
        fours = [] if any(v is None or v != v for v in values) else [values]  # pandas writes NaN for null
    boxes = [[float(v) for v in four] for four in fours]
    if any(len(box) != 4 or not np.isfinite(box).all() for box in boxes):
        raise ValueError("a box is four numbers: x0, y0, x1, y1")
    return [(left, top, right, bottom) for left, top, right, bottom in boxes]


def given(images: pa.Table, columns: Sequence[str]) -> dict[str, list[Box]]:
    """Boxes of each image that has any.

    Raises:
        UserError: a text that is no box.
    """
    found = {}
    for image_id, uri, *values in zip(*(images[c].to_pylist() for c in ("image_id", "uri", *columns)), strict=True):
        try:
            boxes = boxes_of(values)
        except (ValueError, TypeError):
            shown = ", ".join(str(v) for v in values)[:80]
            names = ", ".join(c.removeprefix("meta.") for c in columns)
            raise UserError(
                f"evaluate.boxes: {names} of {uri} is {shown}, not a box; write four numbers, e.g. [0, 0, 64, 48]"
            ) from None
        if boxes:
            found[image_id] = boxes
    return found


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
