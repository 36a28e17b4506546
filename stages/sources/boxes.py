"""Boxes that are given with images: columns of the images table, of numbers, lists or texts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.stage import UserError

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


def columns_of(asked: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns of the images table that `evaluate.boxes` names: four, one, or none."""
    names = (asked,) if isinstance(asked, str) else asked or ()
    return tuple(f"meta.{name.removeprefix('meta.')}" for name in names)


def given(images: pa.Table, columns: Sequence[str]) -> dict[str, list[Box]]:
    """Boxes of each image that has any.

    Args:
        columns: as :func:`columns_of` has them.

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
