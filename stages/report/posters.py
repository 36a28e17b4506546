"""Posters: an atlas drawn large, with the names of what its regions argue for and a key to its signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.report import words
from stages.report.evidence import Atlas, Grid, full_count
from stages.report.labels import Rect, Region, clashes, regions, worth_naming, wrapped
from stages.report.sheet import FAINT, INK, QUIET, Sheet
from stages.report.tiles import cell_pixels, raster, sides


def poster(atlas: Atlas, grid: Grid, tiles: Sequence, what: str, model: str, extent: int) -> Sheet:
    """One atlas, one grid.

    Args:
        tiles: one picture per cell, or None.
        what: ``icons`` or ``photographs``: what the tiles are; the key says so.
        model: the model's name.
        extent: side of the map in pixels, about.
    """
    cell = cell_pixels(grid.n, extent)
    extent = grid.n * cell
    u = extent / 2400
    margin, header = round(150 * u), round(330 * u)
    axis = round(110 * u) if atlas.view.pair else 0
    sheet = Sheet(extent + 2 * margin, header + extent + axis + round(430 * u))
    sheet.text(margin, 165 * u, sheet.fitted(words.title(atlas), 100 * u, extent, "semibold"), 100 * u, "semibold")
    line = words.subtitle(atlas, model)
    sheet.text(margin, 235 * u, sheet.fitted(line, 44 * u, extent), 44 * u, color=QUIET)
    _atlas(sheet, atlas, grid, tiles, margin, header, cell, u, axis)
    _key(sheet, atlas, grid, what, model, margin, header + extent + axis + 60 * u, extent, u)
    return sheet


def side_by_side(atlas: Atlas, grid: Grid, left: Sequence, right: Sequence, model: str, extent: int) -> Sheet:
    """Icons and the photographs' patches of the same cells, for comparison by eye."""
    cell = cell_pixels(grid.n, extent)
    extent = grid.n * cell
    u = extent / 2400
    margin, header, gap = round(150 * u), round(330 * u), round(150 * u)
    axis = round(110 * u) if atlas.view.pair else 0
    sheet = Sheet(2 * extent + gap + 2 * margin, header + extent + axis + round(190 * u))
    for start, tiles, name, line in (
        (margin, left, "What the layer looks for", "icons: pictures synthesised to excite it as each cell's mean does"),
        (margin + extent + gap, right, "Where it found it", "patches of the photographs nearest to each cell's mean"),
    ):
        heading = f"{words.title(atlas)}: {name[0].lower() + name[1:]}" if start == margin else name
        sheet.text(start, 165 * u, sheet.fitted(heading, 84 * u, extent, "semibold"), 84 * u, "semibold")
        sheet.text(start, 235 * u, line, 44 * u, color=QUIET)
        _atlas(sheet, atlas, grid, tiles, start, header, cell, u, axis, named=False)
    line = words.measures(atlas, grid, model)
    sheet.text(margin, header + extent + axis + 100 * u, line, 36 * u, color=QUIET)
    return sheet


def _atlas(
    sheet: Sheet, atlas: Atlas, grid: Grid, tiles: Sequence, left: int, top: int, cell: int, u: float, axis: int,
    named: bool = True,
) -> None:  # fmt: skip
    shares = sides(grid, atlas.min_count)
    empty = np.array([s <= 0 or t is None for s, t in zip(shares, tiles, strict=True)])
    extent = grid.n * cell
    if axis:
        middle = left + extent / 2
        sheet.line([middle, middle], [top, top + extent], FAINT, 3 * u, (0, (6, 5)))
    sheet.picture(raster(grid, tiles, shares, cell), left, top, extent, extent)
    x, y = left + (grid.x + 0.5) * cell, top + (grid.y + 0.5) * cell
    sheet.dots(x[empty], y[empty], max(0.045 * cell, 3 * u), "#a9a9a4")
    if axis:
        _pair_axis(sheet, atlas, left, top + extent, extent, u)
    if named:
        place_labels(sheet, atlas, grid, left, top, cell, u)


def _pair_axis(sheet: Sheet, atlas: Atlas, left: float, top: float, extent: float, u: float) -> None:
    y, names = top + 50 * u, atlas.view.pair or ("", "")
    sheet.line([left, left + extent], [y, y], INK, 3 * u)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + share * extent
        sheet.line([x, x], [y - 12 * u, y + 12 * u], INK, 3 * u)
    width = 0.36 * extent
    for x, ha, words_ in (
        (left, "left", "← " + sheet.fitted(f"speaks for {names[0]}", 42 * u, width, "semibold")),
        (left + extent, "right", sheet.fitted(f"speaks for {names[1]}", 42 * u, width, "semibold") + " →"),
    ):
        sheet.text(x, y + 62 * u, words_, 42 * u, "semibold", ha=ha)
    sheet.text(left + extent / 2, y + 62 * u, "0.5: no preference", 36 * u, color=QUIET, ha="center")


def place_labels(sheet: Sheet, atlas: Atlas, grid: Grid, left: float, top: float, cell: int, u: float) -> list[Rect]:
    """Names the regions, heaviest first; one that would touch another name is moved within its region or left out.

    Names stand on the seams between rows of cells, where they hide least of the pictures.
    """
    chosen = worth_naming(regions(atlas, grid), grid)
    if atlas.kind == "class":  # its own class is what the title says already
        chosen = [r for r in chosen if r.class_index not in atlas.own_classes]
    placed: list[Rect] = []
    if not chosen:
        return placed
    extent, heaviest = grid.n * cell, chosen[0].weight
    inside = (left - 0.4 * cell, top - 0.4 * cell, left + extent + 0.4 * cell, top + extent + 0.4 * cell)
    for region in chosen:
        size = (30 + 24 * np.sqrt(region.weight / heaviest)) * u
        name = wrapped(atlas.label(region.class_index))
        for x, y in _seams(region, grid):
            drawn = sheet.text(
                left + x * cell, top + y * cell, name, size, "semibold", halo=4.5 * u, ha="center", va="center"
            )
            x0, y0, x1, y1 = sheet.box(drawn)
            pad = 8 * u
            rect = (x0 - pad, y0 - pad, x1 + pad, y1 + pad)
            if x0 > inside[0] and y0 > inside[1] and x1 < inside[2] and y1 < inside[3] and not clashes(rect, placed):
                placed.append(rect)
                break
            drawn.remove()
    return placed


def _seams(region: Region, grid: Grid) -> list[tuple[float, float]]:
    """Points on the horizontal seams of a region, nearest its centre first."""
    points = {(round(2 * region.x) / 2, float(round(region.y)))}
    for k in region.cells:
        points |= {(float(grid.x[k]) + 0.5, float(grid.y[k]) + 1), (float(grid.x[k]) + 0.5, float(grid.y[k]))}
    return sorted(points, key=lambda p: ((p[0] - region.x) ** 2 + 2 * (p[1] - region.y) ** 2, p))[:12]


def _key(
    sheet: Sheet,
    atlas: Atlas,
    grid: Grid,
    what: str,
    model: str,
    left: float,
    top: float,
    extent: float,
    u: float,
) -> None:
    full = full_count(grid, atlas.min_count)
    cell = min(extent / grid.n, 120 * u)
    counts = [c for c in (full, full / 4) if c >= max(atlas.min_count, 1)] or [full]
    x, base = left, top + cell
    for k, count in enumerate(counts):
        side = max(0.3, min(1.0, (count / full) ** 0.5)) * cell
        sheet.square(x, base - side, side, "#e4e4df", "#8a8a86")
        sheet.text(
            x + side / 2,
            base + 46 * u,
            ("≥ " if k == 0 else "") + words.number(count),
            34 * u,
            ha="center",
            color=QUIET,
        )
        x += side + 80 * u
    if atlas.min_count > 1:
        sheet.dots([x], [base - 10 * u], 6 * u, "#a9a9a4")
        sheet.text(x, base + 46 * u, f"< {atlas.min_count}", 34 * u, ha="center", color=QUIET)
        x += 90 * u
    column, width = x + 30 * u, left + extent - x - 30 * u
    y = top + 34 * u
    about = {
        "icons": "Each picture is synthesised to excite the layer as the mean of its cell does;",
        "photographs": (
            "Each picture is the photograph nearest to the mean of its cell;"
            if atlas.view.images
            else "Each picture is cut from the photograph whose activation is nearest to the mean of its cell;"
        ),
    }[what]
    size = f"its area is proportional to their number, up to {words.number(full)}."
    names = ""
    if grid.attribution is not None:
        names = " Names: classes that a neighbourhood argues for more than the rest of the map does"
        names += ", and whose photographs crowd there." if grid.present is not None else "."
    y = sheet.paragraph(column, y, f"{about} {size}{names}", 38 * u, width)
    y = sheet.paragraph(column, y + 6 * u, words.measures(atlas, grid, model), 34 * u, width, color=QUIET)
    if what == "icons" and words.fidelity(grid):
        sheet.paragraph(column, y + 6 * u, words.fidelity(grid), 34 * u, width, color=QUIET)
