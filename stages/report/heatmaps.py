"""Heat maps: what an atlas shows for a class, cell by cell, against the same of all of the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet
from activation_atlas.stages.report import captions, classview, validity
from activation_atlas.stages.report.evidence import Atlas, Grid
from activation_atlas.stages.report.tiles import sides

COLOURS = "RdBu_r"
"""Red is more than the map as a whole, blue less, white as much; told apart by colour-blind readers too."""

PALE = 0.25
"""Of a colour where the interval holds the map's rate."""

MOST = 48
"""Classes on one sheet at most."""


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
        index = class_index(name, atlas.classes, "report.classes")
        if index in atlas.attributed and index not in found:
            found.append(index)
    if found:
        return found[:MOST]
    own = [c for c in atlas.own_classes if c in atlas.attributed]
    if own:
        return own
    weight = grid.count / grid.count.sum()
    centred = classview.shown(grid, classview.possible(atlas, grid)[0]).excess * np.sqrt(weight)[:, None]
    spread = np.sqrt((centred**2).sum(0))
    unit = centred / np.maximum(spread, 1e-12)
    columns: list[int] = []
    for j in np.argsort(-spread, kind="stable"):
        if spread[j] > 0 and all(unit[:, j] @ unit[:, i] < 0.6 for i in columns):
            columns.append(int(j))
        if len(columns) == 6:
            break
    return [atlas.attributed[j] for j in columns or [0]]


def colours(values: np.ndarray, top: float, sure: np.ndarray | bool = True) -> np.ndarray:
    """RGBA in [0, 1] of signed values, white at 0, full colour at +-``top``; pale where not ``sure``."""
    from matplotlib import colormaps

    found = colormaps[COLOURS](np.clip(values / (2 * top) + 0.5, 0, 1))
    neutral = np.array(colormaps[COLOURS](0.5))
    return neutral + (found - neutral) * np.where(sure, 1.0, PALE)[..., None]


def heat_maps(atlas: Atlas, grid: Grid, classes: Sequence[int], model: str) -> Sheet:
    """The maps of ``classes`` side by side, all on one colour scale; empty cells stay blank."""
    across = min(len(classes), 4 if len(classes) == 4 or len(classes) > 6 else 3)
    down = -(-len(classes) // across)
    side, gap, margin = 520, 60, 90
    width = max(across * side + (across - 1) * gap + 2 * margin, 900)
    statistic = classview.possible(atlas, grid)[0]
    told = _told(atlas, grid, statistic)
    top, foot = 210, 150 + 60 * len(told)
    sheet = Sheet(width, top + down * (side + 90) + foot)
    inner = sheet.width - 2 * margin
    heading = f"{captions.title(atlas)}: what it argues for, and where"
    sheet.text(margin, 92, sheet.fitted(heading, 46, inner, "semibold"), 46, "semibold")
    line = f"{atlas.view.layer}" + (f" of {model}" if model else "") + f", {grid.n} × {grid.n} grid"
    sheet.text(margin, 130, sheet.fitted(line, 24, inner), 24, color=QUIET)
    of, column = classview.shown(grid, statistic), {c: j for j, c in enumerate(atlas.attributed)}
    columns = [column[c] for c in classes]
    excess, sure = of.excess[:, columns], of.sure[:, columns]
    reach = classview.Shown(excess, np.zeros(len(columns)), sure).reach(grid.count >= atlas.min_count)
    shares = sides(grid, atlas.min_count)
    for k, (index, j) in enumerate(zip(classes, columns, strict=True)):
        left, y = margin + k % across * (side + gap), top + k // across * (side + 90)
        about = f"map {number(statistic, of.rate[j])}" + _own(atlas, grid, statistic, index)
        room = side - sheet.span(about, 22) - 20
        sheet.text(left, y - 14, sheet.fitted(atlas.label(index), 28, room, "semibold"), 28, "semibold")
        sheet.text(left + side, y - 14, about, 22, ha="right", color=QUIET)
        sheet.rectangle(left, y, side, side, "none", FAINT)
        sheet.picture(_map(grid, colours(excess[:, k], reach, sure[:, k]), shares, side), left, y, side, side)
    least = max(-reach, -float(of.rate[columns].max())) if statistic == "top_share" else -reach
    y = top + down * (side + 90) + 10
    _bar(sheet, statistic, margin, y, min(520, inner), least, reach, atlas.measured)
    y += 110
    for line in told:
        y = sheet.paragraph(margin, y, line, 22, inner, color=QUIET)
    return sheet


def number(statistic: str, value: float, sign: bool = False) -> str:
    """A value of a statistic as text: a share in percent, or logits."""
    if statistic == "top_share":
        digits = 0 if value == 0 or abs(value) >= 0.0995 else 1 if abs(value) >= 0.00095 else 2
        return f"{100 * value:{'+' if sign else ''}.{digits}f} %".replace("-", "−")
    return f"{value:+.2g}".replace("-", "−") if value else "0"


def _told(atlas: Atlas, grid: Grid, statistic: str) -> list[str]:
    before, after = classview.worded(atlas, statistic)
    what = f"{before}the class{after}"
    pale = "the same of all of the map (its number stands over each). Red: more, blue: less, pale: may be as the map is"
    first = f"{what[0].upper()}{what[1:]}, against {pale}: the 95 % interval, of photographs, holds it."
    far = validity.sentence(atlas, grid, statistic)
    return [first, f"How far to trust it: {far}"] if far else [first]


def _own(atlas: Atlas, grid: Grid, statistic: str, index: int) -> str:
    found = validity.own(atlas, grid, statistic)[0].get(index)
    return f", correlation {validity.decimal(found[0])}" if found else ""


def _map(grid: Grid, rgba: np.ndarray, shares: np.ndarray, side: int) -> np.ndarray:
    """Squares sized as on the posters: a cell of few rows, whose mean is uncertain, takes little of the eye."""
    cell = max(3, side // grid.n)
    pixels = np.zeros((grid.n * cell, grid.n * cell, 4), np.uint8)
    for x, y, colour, share in zip(grid.x, grid.y, np.rint(255 * rgba).astype(np.uint8), shares, strict=True):
        width = max(2, round((share or 0.25) * cell))
        left, top = x * cell + (cell - width) // 2, y * cell + (cell - width) // 2
        pixels[top : top + width, left : left + width] = colour
    return pixels


def _bar(
    sheet: Sheet, statistic: str, left: float, top: float, width: float, least: float, most: float, measured: bool
) -> None:
    ramp: Any = colours(np.linspace(least, most, 257)[None, :], most)
    sheet.picture(np.rint(255 * ramp).astype(np.uint8), left, top, width, 26)
    unit = "" if statistic == "top_share" or measured else ", logits"
    for value in (least, 0.0, most):
        x = left + (value - least) / (most - least) * width
        sheet.line([x, x], [top + 26, top + 34], INK, 1.5)
        if value or -least > 0.2 * most:
            text = "map" if value == 0 else number(statistic, value, sign=True)
            sheet.text(x, top + 60, text, 22, ha="left" if value < 0 else "right" if value else "center", color=QUIET)
    sheet.text(left, top - 12, f"above or below all of the map{unit}", 22, color=QUIET)
