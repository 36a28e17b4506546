"""From a position of a layer to the piece of the photograph it saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Box = tuple[float, float, float, float]
"""left, top, right, bottom as shares of what the model was shown, in [0, 1]."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def patch_side(layer: Mapping[str, Any], input_size: tuple[int, int], icon: int | None, asked: int | None) -> float:
    """Side of an exemplar patch, in pixels of the model's input.

    A deep layer's receptive field is often larger than the image, though what
    moves the unit lies near its middle. So a patch spans as much of the input as
    the cell's icon does (the two can then be compared), or, without icons, 0.4
    of the shorter side; never more than the receptive field, nor than 0.75 of
    the shorter side, and never less than three strides.

    Args:
        layer: receptive_field and stride, (height, width) in input pixels.
        input_size: height and width of the model's input.
        icon: side of the icons in pixels, None where there are none.
        asked: the user's own choice, which overrides all but the input's size.
    """
    short = min(input_size)
    if asked:
        return float(min(asked, short))
    side = min(icon or 0.4 * short, 0.75 * short)
    if layer.get("receptive_field"):
        side = min(side, max(layer["receptive_field"]))
    if layer.get("stride"):
        side = max(side, 3 * max(layer["stride"]))
    return float(min(side, short))


def patch_box(row: int, col: int, side: float, layer: Mapping[str, Any], input_size: tuple[int, int]) -> Box:
    """The square of ``side`` input pixels around a position, moved inside the input where it would stick out.

    Returns:
        shares of the input in [0, 1]; the whole input for row = col = -1 or an unknown layer.
    """
    if row < 0 or col < 0 or "stride" not in layer or "offset" not in layer:
        return WHOLE
    spans = []
    for index, stride, offset, size in zip((row, col), layer["stride"], layer["offset"], input_size, strict=True):
        share = min(side / size, 1.0)
        start = (offset + index * stride + 0.5) / size - share / 2
        start = min(max(start, 0.0), 1.0 - share)
        spans.append((start, start + share))
    (top, bottom), (left, right) = spans
    return left, top, right, bottom
