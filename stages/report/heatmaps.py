"""Heat maps: mean attribution of a class over an atlas, in logits, around 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stages.report import words
from stages.report.evidence import Atlas, Grid
from stages.report.sheet import FAINT, INK, QUIET, Sheet
from stages.report.tiles import sides
from stages.specs import class_index, nearest
from stages.stage import UserError
from stages.vision import overlays

COLOURS = "RdBu_r"
"""Red speaks for the class, blue against it, white neither; told apart by colour-blind readers too."""

MOST = 48
"""Classes on one sheet at most."""


def class_of(name: str, classes: Sequence[str]) -> int:
    """The index of a class that was asked for; ValueError where there is none, or several of the name."""
    found = class_index(name, classes)
    return classes.index(nearest(name, classes, "class")) if found is None else found


def chosen_classes(atlas: Atlas, grid: Grid, asked: Sequence[str]) -> list[int]:
    """Class indices to map: those asked for, else the atlas's own, else six that differ most between cells.

    The six are taken by falling spread (count-weighted standard deviation over
    cells), leaving out any whose map correlates above 0.6 with one already taken.

    Raises:
        UserError: a class that does not exist (its nearest is named).
    """
    if grid.attribution is None:
        return []
    found: list[int] = []
    for name in asked:
        try:
            index = class_of(name, atlas.classes)
        except ValueError as error:
            raise UserError(f"report.classes: {error}") from None
        if index in atlas.attributed and index not in found:
            found.append(index)
    if found:
        return found[:MOST]
    own = [c for c in atlas.own_classes if c in atlas.attributed]
    if own:
        return own
    weight = grid.count / grid.count.sum()
    values = grid.attribution.astype(np.float64)
    centred = (values - weight @ values) * np.sqrt(weight)[:, None]
    spread = np.sqrt((centred**2).sum(0))
    unit = centred / np.maximum(spread, 1e-12)
    columns: list[int] = []
    for j in np.argsort(-spread, kind="stable"):
        if spread[j] > 0 and all(unit[:, j] @ unit[:, i] < 0.6 for i in columns):
            columns.append(int(j))
        if len(columns) == 6:
            break
    return [atlas.attributed[j] for j in columns or [0]]


def colours(values: np.ndarray, top: float) -> np.ndarray:
    """RGBA in [0, 1] of signed values, white at 0, full colour at +-``top``."""
    from matplotlib import colormaps

    return colormaps[COLOURS](np.clip(values / (2 * top) + 0.5, 0, 1))


def heat_maps(atlas: Atlas, grid: Grid, classes: Sequence[int], model: str) -> Sheet:
    """The maps of ``classes`` side by side, all on one colour scale; empty cells stay blank."""
    across = min(len(classes), 4 if len(classes) == 4 or len(classes) > 6 else 3)
    down = -(-len(classes) // across)
    side, gap, margin = 520, 60, 90
    width = across * side + (across - 1) * gap + 2 * margin
    top, foot = 210, 190
    sheet = Sheet(max(width, 900), top + down * (side + 90) + foot)
    inner = sheet.width - 2 * margin
    heading = f"{words.title(atlas)}: what it argues for, and where"
    sheet.text(margin, 92, sheet.fitted(heading, 46, inner, "semibold"), 46, "semibold")
    line = (
        f"mean attribution of each cell, {atlas.view.layer}"
        + (f" of {model}" if model else "")
        + f", {grid.n} × {grid.n} grid"
    )
    sheet.text(margin, 130, sheet.fitted(line, 24, inner), 24, color=QUIET)
    column = {c: j for j, c in enumerate(atlas.attributed)}
    values = grid.attribution[:, [column[c] for c in classes]].astype(np.float64)
    trusted = grid.count >= atlas.min_count
    scale = overlays.scale(values[trusted] if trusted.any() else values, signed=True)
    shares = sides(grid, atlas.min_count)
    for k, index in enumerate(classes):
        left, y = margin + k % across * (side + gap), top + k // across * (side + 90)
        sheet.text(left, y - 14, sheet.fitted(atlas.label(index), 28, side, "semibold"), 28, "semibold")
        sheet.rectangle(left, y, side, side, "none", FAINT)
        sheet.picture(_map(grid, colours(values[:, k], scale), shares, side), left, y, side, side)
    _bar(sheet, margin, top + down * (side + 90) + 30, min(520, inner), scale)
    return sheet


def _map(grid: Grid, rgba: np.ndarray, shares: np.ndarray, side: int) -> np.ndarray:
    """Squares sized as on the posters: a cell of few rows, whose mean is uncertain, takes little of the eye."""
    cell = max(3, side // grid.n)
    pixels = np.zeros((grid.n * cell, grid.n * cell, 4), np.uint8)
    for x, y, colour, share in zip(grid.x, grid.y, np.rint(255 * rgba).astype(np.uint8), shares, strict=True):
        width = max(2, round((share or 0.25) * cell))
        left, top = x * cell + (cell - width) // 2, y * cell + (cell - width) // 2
        pixels[top : top + width, left : left + width] = colour
    return pixels


def _bar(sheet: Sheet, left: float, top: float, width: float, scale: float) -> None:
    ramp: Any = colours(np.linspace(-scale, scale, 257)[None, :], scale)
    sheet.picture(np.rint(255 * ramp).astype(np.uint8), left, top, width, 26)
    for share in (0.0, 0.5, 1.0):
        value = (2 * share - 1) * scale
        sheet.line([left + share * width] * 2, [top + 26, top + 34], INK, 1.5)
        words_ = "0" if value == 0 else f"{value:+.2g}".replace("-", "−")
        sheet.text(left + share * width, top + 60, words_, 22, ha="center", color=QUIET)
    sheet.text(left, top - 12, "logits: red speaks for the class, blue against it", 22, color=QUIET)
