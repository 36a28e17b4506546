"""The contact sheet: the icon of each of an atlas's main cells beside the photographs it stands for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activation_atlas.stages.drawing.numbers import percent, plural
from activation_atlas.stages.drawing.sheet import QUIET, Sheet
from activation_atlas.stages.report import captions, classview, names
from activation_atlas.stages.report.evidence import Atlas, Grid
from activation_atlas.stages.report.tiles import Evidence, pictures

CELLS, PATCHES = 24, 6


def main_cells(atlas: Atlas, grid: Grid, most: int = CELLS) -> list[int]:
    """Cells for the sheet: those that are named on the map, so that they differ; then the fullest of the rest."""
    chosen = [k for k, _ in names.drawn(atlas, grid)[:most]]
    rest = [int(k) for k in np.argsort(-grid.count, kind="stable") if k not in chosen]
    chosen = (chosen + rest)[:most]
    return sorted(chosen, key=lambda k: (grid.y[k], grid.x[k]))


def contact_sheet(atlas: Atlas, grid: Grid, cells: Sequence[int], evidence: Evidence, model: str) -> Sheet:
    """Two columns of cells in the order of the map: icon, patches, and in words what the cell argues for."""
    from PIL import Image

    tile, gap, margin = 150, 10, 90
    row = tile + 70
    column = (PATCHES + 1) * (tile + gap) + 30
    down = -(-len(cells) // 2)
    sheet = Sheet(2 * column + 90 + 2 * margin, 230 + down * row + 50)
    inner = sheet.width - 2 * margin
    sheet.text(
        margin, 100, sheet.fitted(f"{captions.title(atlas)}: contact sheet", 50, inner, "semibold"), 50, "semibold"
    )
    line = (
        f"{plural(len(cells), 'cell')} of the {grid.n} × {grid.n} grid"
        + (": the icon, then" if grid.has_icons else ":")
        + " the photographs nearest to the cell's mean, one patch each, best first"
    )
    told, what = _argues(atlas, grid)
    line += f"; {what}" if what else ""
    sheet.text(margin, 142, sheet.fitted(line, 26, inner), 26, color=QUIET)
    icons, whole = pictures(grid), Image.new("RGBA", (sheet.width, sheet.height), (0, 0, 0, 0))
    for position, k in enumerate(cells):
        left, top = margin + position // down * (column + 90), 200 + position % down * row
        argues = ",  ".join(f"{atlas.label(c)} {value}" for c, value in told[k][:3])
        rows = plural(int(grid.count[k]), captions.things(atlas)[:-1])
        line = f"column {grid.x[k] + 1}, row {grid.y[k] + 1}  ·  {rows}"
        sheet.text(
            left, top - 10, sheet.fitted(line + ("  ·  " + argues if argues else ""), 22, column), 22, color=QUIET
        )
        pieces = [icons[k], *evidence.strips.get((atlas.name, grid.n, k), [])[:PATCHES]]
        for slot, piece in enumerate(pieces):
            x = left + slot * (tile + gap) + (20 if slot else 0)
            if piece is None:
                sheet.square(x, top, tile, "#efefea")
            else:
                whole.paste(piece.resize((tile, tile), Image.Resampling.LANCZOS), (x, top))
    sheet.picture(np.asarray(whole), 0, 0, sheet.width, sheet.height)
    return sheet


def _argues(atlas: Atlas, grid: Grid) -> tuple[list[list[tuple[int, str]]], str]:
    """Per cell (class, number) of what it argues for by the statistic that is shown, best first; and what that is."""
    found = classview.possible(atlas, grid)
    if not found:
        return [[]] * len(grid), ""
    before, after = classview.worded(atlas, found[0])
    if found[0] == "top_share":
        told = [[(atlas.attributed[j], percent(s, 0)) for j, s, _, _ in row] for row in classview.ranked(grid)]
    else:
        away = grid.attribution.mean(1) if found[0] == "relative" else np.zeros(len(grid))
        told = [
            [(c, f"{v - less:+.2f}".replace("-", "−")) for c, v in row]
            for row, less in zip(grid.argues, away, strict=True)
        ]
    first = ", most above all of the map first" if found[0] == "top_share" else ""
    return told, f"{before}a class{after}{first}"
