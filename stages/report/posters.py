"""Posters: an atlas drawn large, with the names of what its regions argue for and a key to its signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activation_atlas.stages.drawing.numbers import thousands
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet, encoded
from activation_atlas.stages.report import captions, lettering, names
from activation_atlas.stages.report.evidence import Atlas, Grid, full_count
from activation_atlas.stages.report.lettering import Rect
from activation_atlas.stages.report.tiles import cell_pixels, raster, sides

GROUP = "#0b5cad"
"""Of names of groups of classes."""


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
    sheet.text(margin, 165 * u, sheet.fitted(captions.title(atlas), 100 * u, extent, "semibold"), 100 * u, "semibold")
    line = captions.subtitle(atlas, model)
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
        heading = f"{captions.title(atlas)}: {name[0].lower() + name[1:]}" if start == margin else name
        sheet.text(start, 165 * u, sheet.fitted(heading, 84 * u, extent, "semibold"), 84 * u, "semibold")
        sheet.text(start, 235 * u, line, 44 * u, color=QUIET)
        _atlas(sheet, atlas, grid, tiles, start, header, cell, u, axis, named=False)
    line = captions.measures(atlas, grid, model)
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
        place_names(sheet, atlas, grid, left, top, cell, u)


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


def place_names(sheet: Sheet, atlas: Atlas, grid: Grid, left: float, top: float, cell: int, u: float) -> list[Rect]:
    """Names each cell that has a name and room for it; the rectangles they take, each inside its cell."""
    found = [
        lettering.write(
            sheet, name.text, left + grid.x[k] * cell, top + grid.y[k] * cell, cell, u, GROUP if name.group else INK
        )
        for k, name in names.drawn(atlas, grid)
    ]
    return [rect for rect in found if rect is not None]


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
            ("≥ " if k == 0 else "") + thousands(count),
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
    size = f"its area is proportional to their number, up to {thousands(full)}."
    key = ""
    if any(grid.names):
        key = " Names: classes that clearly more of a cell’s photographs rank high there than elsewhere on the map"
        key += "; blue ones are groups of classes." if any(n[0].group for n in grid.names if n) else "."
    y = sheet.paragraph(column, y, f"{about} {size}{key}", 38 * u, width)
    for line in (captions.purity(atlas), captions.measures(atlas, grid, model)):
        if line:
            y = sheet.paragraph(column, y + 6 * u, line, 34 * u, width, color=QUIET)
    if what == "icons" and captions.fidelity(grid):
        sheet.paragraph(column, y + 6 * u, captions.fidelity(grid), 34 * u, width, color=QUIET)


def preview(pixels: np.ndarray, width: int = 1200) -> bytes:
    """A poster as the page shows it, WebP."""
    from PIL import Image

    image = Image.fromarray(pixels)
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    return encoded(np.asarray(image), "WEBP", 82)
