"""Sheets of many small pictures in rows, each with a line of its own: filters, feature maps, what channels answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.caches import cached
from activation_atlas.stages.drawing.numbers import short
from activation_atlas.stages.drawing.sheet import QUIET, Sheet

WIDTH = 1480
"""Pixels that the tiles share between them across."""

SIDE, LEAST = 160, 36
"""Pixels of a tile's longer side, at most and at least."""

_MARGIN, _GAP, _BESIDE, _TEXT = 40, 6, 320, 820
_EMPTY, _CROSS = 226, 178  # greys of what never answers


@dataclass(frozen=True)
class Bar:
    """A colour scale that all tiles of a sheet share: what is at its ends, and in which colours it is drawn.

    Attributes:
        low, high: values at the ends.
        colours: name of the scale, see :func:`painted`.
    """

    low: float
    high: float
    colours: str


@dataclass(frozen=True)
class Beside:
    """A picture at the right of the tiles: uint8 (h, w, 3 or 1), and what it is."""

    picture: np.ndarray
    words: str


def painted(values: np.ndarray, low: float, high: float, colours: str) -> np.ndarray:
    """Values (h, w) as colours, uint8 (h, w, 3): ``low`` and ``high`` are the ends of the scale, beyond them it stays.

    Args:
        colours: ``viridis``; ``signed``, blue to red with white in the middle; ``grey``. What is not finite is magenta,
            which no scale has.
    """
    share = (np.where(np.isfinite(values), values, low).astype(np.float64) - low) / ((high - low) or 1)
    drawn = _scale(colours)[np.rint(255 * np.clip(share, 0, 1)).astype(int)]
    drawn[~np.isfinite(values)] = (255, 0, 255)
    return drawn


@cached(3)
def _scale(colours: str) -> np.ndarray:
    if colours == "grey":
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    from matplotlib import colormaps

    name, ends = ("RdBu_r", (0.06, 0.94)) if colours == "signed" else (colours, (0.0, 1.0))
    return np.rint(255 * colormaps[name](np.linspace(*ends, 256))[:, :3]).astype(np.uint8)


def crossed(height: int, width: int) -> np.ndarray:
    """The picture of what never answers: a light grey field crossed out, uint8 (height, width, 3)."""
    tile = np.full((height, width, 3), _EMPTY, np.uint8)
    down, right = (np.arange(n) / max(n - 1, 1) for n in (height, width))
    near = 0.7 / max(min(height, width) - 1, 1)
    on = (np.abs(down[:, None] - right) <= near) | (np.abs(1 - down[:, None] - right) <= near)
    tile[on] = _CROSS
    return tile


def across(count: int, ratio: float = 1.0) -> int:
    """Tiles beside one another, so that ``count`` of them make a sheet a little wider than high.

    Args:
        ratio: height of a tile over its width.
    """
    return max(1, min(count, int(np.ceil(np.sqrt(1.5 * count * ratio))), WIDTH // (LEAST + _GAP)))


def side_of(columns: int, pixels: tuple[int, int], most: int = SIDE) -> tuple[int, int]:
    """(height, width) at which a picture of ``pixels`` is shown in a sheet of so many columns.

    Enlarged by a whole factor where it is smaller, so that each value is a square.
    """
    room = max(LEAST, min(most, (WIDTH + _GAP) // columns - _GAP))
    height, width = pixels
    factor = room / max(height, width)
    if factor >= 1:
        factor = int(factor)
    return max(1, round(height * factor)), max(1, round(width * factor))


def resized(tile: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w, 3) at another size: repeated where it grows by a whole factor, else smoothly made smaller."""
    from PIL import Image

    height, width = size
    if height % tile.shape[0] == 0 and width % tile.shape[1] == 0:
        return tile.repeat(height // tile.shape[0], 0).repeat(width // tile.shape[1], 1)
    return np.asarray(Image.fromarray(np.ascontiguousarray(tile)).resize((width, height), Image.Resampling.LANCZOS))


def tile_sheet(
    title: str,
    subtitle: str,
    tiles: Sequence[np.ndarray],
    labels: Sequence[str],
    words: Sequence[str],
    *,
    columns: int | None = None,
    rows: Sequence[str] = (),
    bar: Bar | None = None,
    most: int = SIDE,
    beside: Beside | None = None,
) -> Sheet:
    """Pictures in rows with a line under each, a heading above and paragraphs below.

    Args:
        tiles: uint8 (h, w, 3), all of one size.
        labels: a line for each, or empty.
        columns: tiles in a row; default: as :func:`across` says, and as many as fill the width of the lettering.
        rows: a heading at the left of each row, or empty.
        bar: the colours' scale, where the tiles share one.
        most: longer side of a tile, pixels.
        beside: what stands at the right of all tiles.
    """
    shape = tiles[0].shape[:2]
    if columns is None:
        columns = across(len(tiles), shape[0] / shape[1])
        _, width = side_of(columns, shape, most)
        columns = max(columns, min(len(tiles), (_TEXT + _GAP) // (width + _GAP)))  # small ones fill the lines' width
    height, width = side_of(columns, shape, most)
    count = -(-len(tiles) // columns)
    line = 15 if any(labels) else 0
    trial = Sheet(WIDTH, 100)
    head = max((round(trial.span(row, 15)) + 14 for row in rows), default=0)
    wide = columns * (width + _GAP) - _GAP
    text = max(wide + head + (3 * _GAP + _BESIDE if beside else 0), _TEXT)
    begin = round(_head(trial, title, subtitle, text))
    grid = max(count * (height + line + _GAP), _BESIDE + 30 if beside else 0)
    foot = round(_foot(trial, words, text, 0)) + (58 if bar else 0)
    sheet = Sheet(text + 2 * _MARGIN, begin + grid + foot + 40)
    _head(sheet, title, subtitle, text)
    longest = max(labels, key=len, default="")
    size = min(11.0, 0.94 * width / trial.span(longest, 1.0)) if longest else 11.0
    raster = np.full((count * (height + line + _GAP), wide, 4), 0, np.uint8)
    for k, tile in enumerate(tiles):
        left, top = k % columns * (width + _GAP), k // columns * (height + line + _GAP)
        raster[top : top + height, left : left + width, :3] = resized(tile, (height, width))
        raster[top : top + height, left : left + width, 3] = 255
        if labels[k]:
            sheet.text(_MARGIN + head + left, begin + top + height + 11, labels[k], max(size, 7), color=QUIET)
    sheet.picture(raster, _MARGIN + head, begin, wide, len(raster))
    if beside:
        _beside(sheet, beside, _MARGIN + head + wide + 3 * _GAP, begin)
    for k, row in enumerate(rows):
        sheet.text(_MARGIN, begin + k * (height + line + _GAP) + height / 2 + 5, row, 15)
    y = begin + grid + 22
    if bar:
        _bar(sheet, bar, y - 12)
        y += 58
    _foot(sheet, words, text, y)
    return sheet


def _beside(sheet: Sheet, beside: Beside, left: float, top: float) -> None:
    rows, columns = beside.picture.shape[:2]
    height, width = (max(1, round(_BESIDE * side / max(rows, columns))) for side in (rows, columns))
    picture = resized(np.broadcast_to(beside.picture, (rows, columns, 3)), (height, width))
    sheet.picture(picture, left, top, width, height)
    sheet.text(left, top + height + 20, beside.words, 15, color=QUIET)


def _head(sheet: Sheet, title: str, subtitle: str, width: float) -> float:
    sheet.text(_MARGIN, 52, sheet.fitted(title, 28, width, "semibold"), 28, "semibold")
    return sheet.paragraph(_MARGIN, 80, subtitle, 17, width, color=QUIET) - 6


def _foot(sheet: Sheet, words: Sequence[str], width: float, y: float) -> float:
    for paragraph in words:
        y = sheet.paragraph(_MARGIN, y, paragraph, 15, width, color=QUIET) + 3
    return y


def _bar(sheet: Sheet, bar: Bar, top: float, width: int = 240) -> None:
    ramp = painted(np.linspace(bar.low, bar.high, width)[None].repeat(14, 0), bar.low, bar.high, bar.colours)
    sheet.picture(ramp, _MARGIN, top, width, 14)
    for share, ha in ((0.0, "left"), (0.5, "center"), (1.0, "right")):
        value = bar.low + share * (bar.high - bar.low)
        sheet.text(_MARGIN + share * width, top + 30, short(value, bar.low < 0), 14, ha=ha, color=QUIET)
