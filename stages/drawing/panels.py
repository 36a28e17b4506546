"""Panels: image x method x target. One photograph's maps side by side, or those of several, with their scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from activation_atlas.stages.drawing import overlays
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet
from activation_atlas.stages.drawing.surface import Style

SIDE = 420
"""Longer side of a picture in pixels at most; photographs of fewer are enlarged by a whole factor."""

ACROSS = 8
"""Methods beside one another at most; further ones follow below."""

_LEAST = 330  # width of a column, for its lettering
_MARGIN, _GAP, _HEAD, _BAR, _TITLES = 60, 28, 58, 92, 96
_NAME, _DETAIL, _APART, _SECOND = 23, 20, 14, 26  # of a row's head: lettering, what is between, a second line


@dataclass(frozen=True)
class Column:
    """One method's maps of one image, which share a colour scale.

    Attributes:
        heading, detail: the method; where it looks, and how its maps are enlarged.
        top: of the colour scale. style: how the maps are drawn.
        pictures: uint8 (h, w, 3), one for each row of its group.
        notes: in a picture's place to say what colours cannot: ``zero everywhere``; or empty.
    """

    heading: str
    detail: str
    top: float
    style: Style
    pictures: Sequence[np.ndarray]
    notes: Sequence[str]


@dataclass(frozen=True)
class Group:
    """One image: the photograph, what is said of it, and a row for each class that is explained.

    Attributes:
        photo: uint8 (h, w, 3), as large as the pictures.
        name: of the image.
        lines: under the photograph.
        rows: (class, what else is known of it), one for each row.
        columns: the same methods in every group.
    """

    photo: np.ndarray
    name: str
    lines: Sequence[str]
    rows: Sequence[tuple[str, str]]
    columns: Sequence[Column]


def shown_size(upright: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """How a photograph of a size is shown: whole factor to draw it with, and (height, width) on the panel."""
    factor = max(1, SIDE // max(upright))
    height, width = factor * upright[0], factor * upright[1]
    share = min(1.0, SIDE / max(height, width))
    return factor, (max(1, round(share * height)), max(1, round(share * width)))


def panel(groups: Sequence[Group], title: str, subtitle: str, words: Sequence[str], most: int = ACROSS) -> Sheet:
    """Rows are targets, columns are methods, the photograph stands at the left; several images under one another.

    Args:
        words: paragraphs under the pictures: what the colours mean and how maps are enlarged.
        most: methods beside one another at most.
    """
    sizes = [shown_size(group.photo.shape[:2])[1] for group in groups]
    cell = max([_LEAST, *(width for _, width in sizes)])
    bands = _bands(groups, most)
    count = 1 + max(len(band[0].columns) for band in bands)
    width = count * cell + (count - 1) * _GAP
    across = min(len(band[0].columns) for band in bands) * (cell + _GAP) - _GAP
    trial = Sheet(width + 2 * _MARGIN, 400)
    head = _HEAD if all(_beside(trial, row, across) for group in groups for row in group.rows) else _HEAD + _SECOND
    heights = [_height(group, size[0], head) for group, size in zip(groups, sizes, strict=True)]
    top = round(_subtitle(trial, subtitle, width))
    foot = round(_foot(trial, words, width, 34)) + 20
    sheet = Sheet(width + 2 * _MARGIN, top + 20 + len(bands) * (_TITLES + sum(heights)) + foot)
    _line(sheet, _MARGIN, 84, title, 40, width, "semibold")
    _subtitle(sheet, subtitle, width)
    y = top
    for band in bands:
        for k, column in enumerate(band[0].columns, 1):
            left = _MARGIN + k * (cell + _GAP)
            _line(sheet, left, y + 56, column.heading, 28, cell, "semibold")
            _line(sheet, left, y + 82, column.detail, 19, cell, color=QUIET)
        y += _TITLES
        for group, size, height in zip(band, sizes, heights, strict=True):
            sheet.line([_MARGIN, _MARGIN + width], [y, y], FAINT, 1.5)
            _group(sheet, group, size, cell, y, head)
            y += height
    sheet.line([_MARGIN, _MARGIN + width], [y, y], FAINT, 1.5)
    _foot(sheet, words, width, y + 34)
    return sheet


def _bands(groups: Sequence[Group], most: int) -> list[list[Group]]:
    """The groups once for every ``most`` methods or fewer, as many in each band as can be."""
    columns = len(groups[0].columns)
    each = -(-columns // -(-columns // most))
    return [[replace(g, columns=g.columns[k : k + each]) for g in groups] for k in range(0, columns, each)]


def _subtitle(sheet: Sheet, words: str, width: float) -> float:
    """In as many lines as it takes; the baseline of the last."""
    size, leading = 22, 1.35
    fitting = " ".join(sheet.fitted(word, size, width) for word in words.split())
    return sheet.paragraph(_MARGIN, 120, fitting, size, width, leading, color=QUIET) - leading * size


def _beside(sheet: Sheet, row: tuple[str, str], width: float) -> bool:
    """Whether a class and what is known of it stand on one line; else that goes below its name."""
    name, detail = row
    return sheet.span(name, _NAME, "semibold") + _APART + sheet.span(detail, _DETAIL) <= width


def _height(group: Group, picture: int, head: int) -> int:
    rows = len(group.rows) * (head + picture) + _BAR
    return max(rows, head + picture + 30 * len(group.lines) + 24)


def _group(sheet: Sheet, group: Group, size: tuple[int, int], cell: int, top: float, head: int) -> None:
    height, width = size
    _line(sheet, _MARGIN, top + 46, group.name, _NAME, cell, "semibold")
    sheet.picture(_resized(group.photo, size), _MARGIN, top + head, width, height)
    for k, line in enumerate(group.lines):
        _line(sheet, _MARGIN, top + head + height + 30 * (k + 1), line, 20, cell, color=QUIET)
    for r, (name, detail) in enumerate(group.rows):
        y = top + r * (head + height)
        across = len(group.columns) * (cell + _GAP) - _GAP
        left = _MARGIN + cell + _GAP
        drawn = _line(sheet, left, y + 46, name, _NAME, across, "semibold")
        x, down = (left + drawn + _APART, 0) if head == _HEAD else (left, _SECOND)
        _line(sheet, x, y + 46 + down, detail, _DETAIL, left + across - x, color=QUIET)
        for k, column in enumerate(group.columns, 1):
            left = _MARGIN + k * (cell + _GAP)
            sheet.picture(_resized(column.pictures[r], size), left, y + head, width, height)
            if column.notes[r]:
                middle = (left + width / 2, y + head + height / 2)
                words = sheet.fitted(column.notes[r], 22, cell, "semibold")
                sheet.text(*middle, words, 22, "semibold", halo=4, ha="center", va="center")
    y = top + len(group.rows) * (head + height)
    for k, column in enumerate(group.columns, 1):
        _bar(sheet, column, _MARGIN + k * (cell + _GAP), y + 16, min(cell, max(width, 270)))


def _bar(sheet: Sheet, column: Column, left: float, top: float, width: int) -> None:
    sheet.picture(overlays.bar(column.top, column.style.signed, width, 22, column.style.opacity), left, top, width, 22)
    numbers = overlays.ticks(column.top, column.style.signed)
    widest = max(sheet.span(number, 18) for _, number in numbers)
    if 1.5 * widest + 8 > width / (len(numbers) - 1):  # an end's number spans its own place, the next one's half
        numbers = numbers[::2]
    for share, number in numbers:
        x = left + share * width
        sheet.line([x, x], [top + 22, top + 29], INK, 1.5)
        ha = "left" if share == 0 else "right" if share == 1 else "center"
        sheet.text(x, top + 49, number, 18, ha=ha, color=QUIET)


def _line(
    sheet: Sheet, x: float, y: float, words: str, size: float, width: float, weight: str = "regular", color: str = INK
) -> float:
    """One line that spans at most ``width``: smaller where it is long, cut to an ellipsis where that is not enough."""
    span = sheet.span(words, size, weight)
    if span > width:
        size = max(0.72 * size, size * width / span * 0.995)
        words = sheet.fitted(words, size, width, weight)
        span = sheet.span(words, size, weight)
    sheet.text(x, y, words, size, weight, color=color)
    return span


_TEXT = 20


def _foot(sheet: Sheet, words: Sequence[str], width: float, y: float) -> float:
    for words_ in words:
        y = sheet.paragraph(_MARGIN, y, words_, _TEXT, width, color=QUIET) + 5
    return y


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.LANCZOS))
