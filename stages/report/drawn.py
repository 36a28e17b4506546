"""The files of ``figures/`` that show atlases: posters, heat maps and contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from activation_atlas.stages.drawing.sheet import Sheet, encoded
from activation_atlas.stages.report import captions, contact, heatmaps, posters, tiles
from activation_atlas.stages.report.evidence import Atlas, Grid
from activation_atlas.stages.specs import slug
from activation_atlas.stages.stage import Inputs

if TYPE_CHECKING:
    from activation_atlas.stages.report import ReportSpec


def contact_grid(atlas: Atlas) -> Grid:
    """The coarsest grid with icons, else the coarsest."""
    return next((g for g in atlas.grids if g.has_icons), atlas.grids[0])


Figure = tuple[str, dict[str, Any] | None, bytes]
"""File name, for posters also what the page shows of it, content."""


def drawn_figures(
    inputs: Inputs,
    atlases: Sequence[Atlas],
    evidence: tiles.Evidence,
    spec: ReportSpec,
    model: str,
) -> Iterator[Figure]:
    for atlas in atlases:
        for grid in atlas.grids:
            name = f"{slug(atlas.name)}-{grid.n:02}"
            drawn = {
                "icons": tiles.pictures(grid) if grid.has_icons else None,
                "photographs": [evidence.patches.get((atlas.name, grid.n, k)) for k in range(len(grid))],
            }
            drawn = {what: tiles_ for what, tiles_ in drawn.items() if tiles_ and any(t is not None for t in tiles_)}
            for what, pictures in drawn.items():
                sheet = posters.poster(atlas, grid, pictures, what, model, spec.poster)
                pixels = sheet.pixels()
                shown = {
                    "src": f"{name}-{what}-poster.webp",
                    "preview": posters.preview(pixels),
                    "title": captions.title(atlas),
                    "grid": grid.n,
                    "what": what,
                    "atlas": atlas.name,
                    "width": pixels.shape[1],
                    "height": pixels.shape[0],
                }
                if what == "icons":
                    yield f"{name}-icons.png", shown, encoded(pixels, "PNG")
                    yield f"{name}-icons.pdf", None, sheet.vector("pdf")
                else:
                    yield f"{name}-photographs.jpg", shown, encoded(pixels, "JPEG", 90)
            if len(drawn) == 2:
                both = posters.side_by_side(atlas, grid, drawn["icons"], drawn["photographs"], model, spec.poster)
                yield f"{name}-side-by-side.jpg", None, encoded(both.pixels(), "JPEG", 90)
            classes = heatmaps.chosen_classes(atlas, grid, spec.classes)
            if classes:
                maps = heatmaps.heat_maps(atlas, grid, classes, model)
                yield from _both(f"{name}-heat", maps)
        grid = contact_grid(atlas)
        sheet = contact.contact_sheet(atlas, grid, contact.main_cells(atlas, grid), evidence, model)
        yield f"{slug(atlas.name)}-contact-sheet.jpg", None, encoded(sheet.pixels(), "JPEG", 90)


def _both(name: str, sheet: Sheet) -> Iterator[Figure]:
    yield f"{name}.png", None, sheet.png()
    yield f"{name}.svg", None, sheet.vector("svg")
