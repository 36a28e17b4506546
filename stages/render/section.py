"""How icons are asked for: the section of an atlas, the steps that draw it, and what they take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import PositiveInt, Spec


class RenderSpec(Spec):
    """How icons are drawn."""

    grids: list[PositiveInt] = Field([10, 20], min_length=1, description="grids that get icons")
    size: int | None = Field(
        None, ge=8, description="side of an icon, pixels; default 96, or the model's own side where that is less"
    )
    steps: PositiveInt = Field(256, description="steps of the optimiser; 256 to 1024")
    tries: PositiveInt = Field(1, description="starts per icon; the one with the best objective is kept")
    batch: PositiveInt = Field(32, description="icons drawn at once; a kill costs at most these")
    whiten: float = Field(1e-3, gt=0, description="ridge of the whitening, as a share of the mean second moment")
    raw: float = Field(0.2, ge=0, le=1, description="share of the plain cell mean in the direction; 0: all whitened")
    power: float = Field(4.0, ge=0, description="of the cosine in the objective")
    learning_rate: float = Field(0.05, gt=0, description="of Adam at first; it falls to zero along half a cosine")
    decay: float = Field(1.5, ge=0, description="exponent of the spectrum's fall; more is smoother")
    amplitude: float = Field(0.55, gt=0, description="of the coarsest waves before the sigmoid; more is more contrast")
    finest: float = Field(1 / 3, gt=0, le=0.5, description="highest frequency drawn, cycles per pixel")
    pad: float = Field(1 / 6, ge=0, le=1, description="grey frame around the icon, as a share of its side")
    rotate: float = Field(15.0, ge=0, le=180, description="random rotation, degrees to either side")
    scale: float = Field(0.2, ge=0, lt=1, description="random change of size, as a share")
    shift: float = Field(1 / 8, ge=0, le=1, description="random shift, as a share of the side")


def steps(asked: Sections) -> list[tuple[str, dict[str, Any]]]:
    """A step for each atlas that is drawn."""
    common = {"model": asked.model, "seed": asked.config.run.seed}
    drawn = [a for a in asked.config.atlases if a.render is not None]
    return [(a.name, {"view": a.view, "render": a.render, "min_count": a.min_count, **common}) for a in drawn]


def cost(asked: Sections, images: int) -> Iterator[str]:
    """Icons at most, and the steps of the optimiser for each."""
    config = asked.config
    drawn = [atlas for atlas in config.atlases if atlas.render is not None]
    count = sum(_cells(config, atlas, grid, images) for atlas in drawn for grid in atlas.render.grids)
    steps = sorted({atlas.render.steps for atlas in drawn})
    each = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    atlases = "1 atlas" if len(config.atlases) == 1 else f"{len(config.atlases)} atlases"
    yield f"{atlases}, at most {count:,} icons x {each} steps"


def _cells(config: Any, atlas: Any, grid: int, images: int) -> int:
    """Cells of a grid that may get an icon: no more than there are rows for."""
    if grid not in atlas.grids:
        return 0
    rows = images if atlas.images else images * config.extract.positions_per_image
    if atlas.keep == "top" and (atlas.class_ is not None or atlas.pair is not None):
        rows = min(rows, atlas.rows * (2 if atlas.pair is not None else 1))
    return min(grid * grid, rows // atlas.min_count)
