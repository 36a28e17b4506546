"""Names inside the cells they belong to: as large as they fit there, or not at all."""

from __future__ import annotations

import re

from activation_atlas.stages.caches import cached
from activation_atlas.stages.drawing.sheet import Sheet

Rect = tuple[float, float, float, float]

LEADING = 1.04


@cached(4096)
def _span(words: str) -> float:
    """Width of a line in semibold, in sizes of its lettering."""
    return Sheet(10, 10).span(words, 100, "semibold") / 100 if words else 0.0


def fitted(name: str, room: float, least: float, most: float) -> tuple[float, list[str]] | None:
    """The largest lettering of a name that stands in a square: size and lines; None where even the least does not.

    Lines break at spaces and after hyphens; nothing is cut.

    Args:
        room: side of the square. least, most: sizes of the lettering; all in pixels.
    """
    pieces = [p for word in name.replace("_", " ").split() for p in re.split(r"(?<=[-/])(?=.)", word)]
    size = most
    while pieces and size >= least:
        lines: list[str] = []
        for piece in pieces:
            longer = piece if not lines else lines[-1] + ("" if lines[-1][-1] in "-/" else " ") + piece
            if lines and 1.03 * _span(longer) * size <= room:
                lines[-1] = longer
            else:
                lines.append(piece)
        if max(1.03 * _span(line) * size for line in lines) <= room and len(lines) * LEADING * size <= 0.75 * room:
            return size, lines
        size *= 0.95
    return None


def write(sheet: Sheet, name: str, left: float, top: float, cell: float, u: float, color: str) -> Rect | None:
    """Writes a name at the foot of a cell; the rectangle it takes, None where there is no room.

    Args:
        left, top, cell: of the cell, in pixels. u: pixels of a 2,400th of the map.
    """
    room = 0.94 * cell
    found = fitted(name, room, 11 * u, min(44 * u, max(14 * u, 0.22 * room)))
    if found is None:
        return None
    size, lines = found
    foot, height = top + cell - 0.03 * cell - 0.18 * size, LEADING * size
    for k, line in enumerate(reversed(lines)):
        sheet.text(left + cell / 2, foot - k * height, line, size, "semibold", color, halo=0.1 * size, ha="center")
    half = max(_span(line) for line in lines) * size / 2
    return (left + cell / 2 - half, foot - len(lines) * height + 0.2 * size, left + cell / 2 + half, foot + 0.2 * size)
