"""Two runs on one sheet: where images went on the atlas, and which sets of images are told better or worse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from activation_atlas.stages.compared.links import drawn_from
from activation_atlas.stages.compared.population import SURE
from activation_atlas.stages.compared.wording import p_words
from activation_atlas.stages.drawing.overlays import coloured
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet

if TYPE_CHECKING:
    from activation_atlas.stages.compared import Compared

WIDTH, MARGIN, TOP = 1600, 48, 190
SHOWN, SLICES = 20, 6
"""Sets at most, and slices among them."""
WORSE, BETTER = "#b2182b", "#2166ac"
_LINE, _FOOT, _FOREST = 30, 150, 470
_CORNERS = np.array([[[0.87, 0.47, 0.24], [0.62, 0.25, 0.55]], [[0.55, 0.73, 0.28], [0.16, 0.50, 0.73]]])
"""RGB at x = 0, 1 and y = 0, 1."""


def drawn(found: Compared) -> Sheet:
    """The sheet."""
    sets = chosen(found)
    side = (WIDTH - 2 * MARGIN - _FOREST - 230) // (2 if found.units is not None else 1)
    if found.population is None and found.units is None:
        side = 0
    forest = len(sets) * _LINE
    side = min(side, 760)
    bottom = TOP + max(side, forest, 120)
    sheet = Sheet(WIDTH, bottom + _FOOT)
    one, two = found.names
    sheet.text(MARGIN, 62, "What has changed", 34, "semibold")
    sheet.text(MARGIN, 96, sheet.fitted(f"from {one} to {two}", 20, WIDTH - 2 * MARGIN), 20, color=QUIET)
    words = ["Right: share of images that are told rightly, with 95 % intervals; red is surely less, blue surely more."]
    left = MARGIN
    if found.population is not None:
        words.insert(0, _shift(sheet, found, left, side))
        left += side + 50
    elif found.units is not None:
        words.insert(0, _linked(sheet, found, left, side - 20))
        left += 2 * side + 30
    _forest(sheet, sets, left, bottom)
    sheet.paragraph(MARGIN, bottom + 56, " ".join(words), 16, WIDTH - 2 * MARGIN, color=QUIET)
    return sheet


def chosen(found: Compared) -> list[dict[str, Any]]:
    """The whole, then what has changed most surely of classes and groups, and the slices that have changed most."""
    rows = [row for row in found.tables["sets"].to_pylist() if row["low"] is not None]
    slices = sorted((row for row in rows if row["kind"] == "slice"), key=lambda row: -abs(row["change"]))[:SLICES]
    rest = [row for row in rows[1:] if row["kind"] != "slice"]
    rest = sorted(rest, key=lambda row: (_p(row), row["change"]))[: SHOWN - 1 - len(slices)] + slices
    order = {kind: k for k, kind in enumerate(("all", "shared", "class", "group", "slice"))}
    return rows[:1] + sorted(rest, key=lambda row: (order[row["kind"]], row["change"]))


def _p(row: dict[str, Any]) -> float:
    return 2.0 if row["p_value"] is None else row["p_value"]


def _square(sheet: Sheet, left: float, side: float, grid: int, x: int, y: int, share: float, colour: Any) -> None:
    """A cell's square, in the middle of its cell, of an area that is a share of it."""
    step = side / grid
    width = step * max(0.25, min(1.0, share) ** 0.5)
    at = left + (x + 0.5) * step - width / 2, TOP + (y + 0.5) * step - width / 2
    sheet.rectangle(*at, width, width, colour)


def _frame(sheet: Sheet, left: float, side: float, title: str) -> None:
    sheet.text(left, TOP - 22, sheet.fitted(title, 18, side, "semibold"), 18, "semibold")
    sheet.line([left, left + side, left + side, left, left], [TOP, TOP, TOP + side, TOP + side, TOP], FAINT, 1)


def _shift(sheet: Sheet, found: Compared, left: float, side: float) -> str:
    """Every cell, by how much more of the second run's images reach it."""
    cells = found.population
    assert cells is not None
    _frame(sheet, left, side, "Share of the images that reach each cell")
    rows = cells.table.to_pylist()
    top = max([abs(row["change"]) for row in rows] + [1e-9])
    most = max(max(row["share"], row["other_share"]) for row in rows)
    colours = coloured(np.array([[row["change"] for row in rows]], np.float64), top, True)[0]
    for row, colour in zip(rows, colours, strict=True):
        alpha = colour[3] / 255
        tint = tuple(float(v) for v in (colour[:3] / 255 * alpha + 0.86 * (1 - alpha)))
        share = max(row["share"], row["other_share"]) / most
        _square(sheet, left, side, cells.grid, row["cell_x"], row["cell_y"], share, tint)
        if row["state"] != "same":
            step = side / cells.grid
            x, y = left + row["cell_x"] * step + 1, TOP + row["cell_y"] * step + 1
            sheet.rectangle(x, y, step - 2, step - 2, "none", edge=INK)
            sign = {"appeared": "+", "emptied": "−"}.get(row["state"])
            if sign:
                sheet.text(x + step / 2 - 1, y + step / 2 + 6, sign, 18, "semibold", halo=2, ha="center")
    together = "" if np.isnan(cells.p_value) else f" All cells together: p {p_words(cells.p_value)}."
    return (
        "Left: cells of the first run’s layout; all rows of both runs are placed anew in it. The larger a square, the "
        "larger the share of the images there; red: more of the second run’s, blue: fewer, at most "
        f"{100 * top:.1f} points. Framed: surely (q < {SURE:g}); + appeared, − emptied.{together}"
    )


def _linked(sheet: Sheet, found: Compared, left: float, side: float) -> str:
    """Both atlases; the second one in the colours of where its images lie in the first."""
    units = found.units
    assert units is not None
    for which, (cell, grid) in enumerate(((units.cell, found.grids[0]), (units.other_cell, found.grids[1]))):
        at = left + which * (side + 30)
        _frame(sheet, at, side, found.names[which])
        cells, counts = np.unique(cell, return_counts=True)
        places = drawn_from(units, found.grids[0])
        for code, count in zip(cells.tolist(), counts.tolist(), strict=True):
            x, y = code // grid, code % grid
            place = places[code] if which else ((x + 0.5) / grid, (y + 0.5) / grid)
            _square(sheet, at, side, grid, x, y, count / counts.max(), _colour(*place))
    what = "positions of shared images" if units.positions else "shared images"
    return (
        f"Left: cells of both atlases, by the {what}. A cell of the first has the colour of its place; one of the "
        "second the colour of where the same lie in the first on average: what is grey comes from everywhere."
    )


def _colour(x: float, y: float) -> tuple[float, ...]:
    """Of a place; grey in the middle."""
    mixed = (
        _CORNERS[0, 0] * (1 - x) * (1 - y) + _CORNERS[0, 1] * x * (1 - y)
        + _CORNERS[1, 0] * (1 - x) * y + _CORNERS[1, 1] * x * y
    )  # fmt: skip
    far = min(1.0, 2 * max(abs(x - 0.5), abs(y - 0.5)))
    return tuple((mixed * far + 0.72 * (1 - far)).tolist())


def _forest(sheet: Sheet, sets: Sequence[dict[str, Any]], left: float, bottom: float) -> None:
    """Changes of accuracy with their intervals."""
    if not sets:
        sheet.text(left, TOP + 20, "No image has a label: accuracy is not known.", 16, color=QUIET)
        return
    right = WIDTH - MARGIN
    names = left + 0.46 * (right - left)
    most = max(max(abs(row["low"]), abs(row["high"])) for row in sets)
    unit = next(u for u in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if u * 2 >= most or u == 1.0)
    ends = -most * 1.06, most * 1.06

    def at(value: float) -> float:
        return names + 16 + (value - ends[0]) / (ends[1] - ends[0]) * (right - names - 16)

    sheet.text(left, TOP - 22, "Change of accuracy, percentage points", 18, "semibold")
    for k in range(-2, 3):
        if ends[0] <= k * unit <= ends[1]:
            x = at(k * unit)
            sheet.line([x, x], [TOP, TOP + len(sets) * _LINE], INK if k == 0 else FAINT, 1)
            label = f"{100 * k * unit:+.0f}".replace("-", "−") if k else "0"
            sheet.text(x, TOP + len(sets) * _LINE + 20, label, 15, color=QUIET, ha="center")
    kind = ""
    for number, row in enumerate(sets):
        y = TOP + number * _LINE + _LINE / 2
        if kind and row["kind"] != kind:
            sheet.line([left, right], [y - _LINE / 2, y - _LINE / 2], FAINT, 1)
        kind = row["kind"]
        sure = row["q_value"] is not None and row["q_value"] < SURE
        colour = (WORSE if row["change"] < 0 else BETTER) if sure else "#8b8b90"
        name = row["name"].split(":")[0] if kind == "slice" else row["name"]
        weight = "semibold" if kind in ("all", "shared") else "regular"
        sheet.text(names, y + 5, sheet.fitted(name, 15, names - left - 4, weight), 15, weight, ha="right")
        sheet.line([at(row["low"]), at(row["high"])], [y, y], colour, 2)
        sheet.dots([at(row["change"])], [y], 4.5, colour)
