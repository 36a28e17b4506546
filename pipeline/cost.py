"""What a run will cost, in one line: counts that follow from the configuration (seconds would be a guess)."""

from __future__ import annotations

from collections.abc import Sequence

from activation_atlas.pipeline.config import AtlasSpec, Config
from activation_atlas.pipeline.plan import StepPlan
from activation_atlas.stages import saved


def line(config: Config, plans: Sequence[StepPlan]) -> str | None:
    """What is to be done: the stages, the images, the icons at most, the passes of each method; None where nothing is.

    Args:
        plans: of the stages that may run, as :meth:`pipeline.plan.Planner.preview` gives them.
    """
    todo = list(dict.fromkeys(plan.step.stage.name for plan in plans if not plan.done))
    if not todo:
        return None
    images = next((plan.items for plan in plans if plan.step.stage.name == "index"), 0)
    told = [f"to do: {', '.join(todo)}"]
    if "extract" in todo:
        told.append(f"{images:,} images x 1 forward pass")
    if "render" in todo:
        told.append(_icons(config, images))
    if "explain" in todo:
        told.append(_maps(config, images))
    if "evaluate" in todo or "sanity" in todo:
        told += _measures(config, images)
    return "; ".join(told)


def _icons(config: Config, images: int) -> str:
    drawn = [atlas for atlas in config.atlases if atlas.render is not None]
    count = sum(_cells(config, atlas, grid, images) for atlas in drawn for grid in atlas.render.grids)
    steps = sorted({atlas.render.steps for atlas in drawn})
    each = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    atlases = "1 atlas" if len(config.atlases) == 1 else f"{len(config.atlases)} atlases"
    return f"{atlases}, at most {count:,} icons x {each} steps"


def _cells(config: Config, atlas: AtlasSpec, grid: int, images: int) -> int:
    """Cells of a grid that may get an icon: no more than there are rows for."""
    if grid not in atlas.grids:
        return 0
    rows = images if atlas.images else images * config.extract.positions_per_image
    if atlas.keep == "top" and (atlas.class_ is not None or atlas.pair is not None):
        rows = min(rows, atlas.rows * (2 if atlas.pair is not None else 1))
    return min(grid * grid, rows // atlas.min_count)


def _maps(config: Config, images: int) -> str:
    asked = config.explain
    count = images if asked.limit is None else min(images, asked.limit)
    size = None
    if config.model.path and (found := saved.description(config.model.path)):
        size = saved.input_size(found.config)
    each = [m.variant + (f" {n:,}" if (n := m.passes(size)) else "") for m in asked.methods]
    return f"maps of at most {count:,} images for {', '.join(asked.targets)}, passes for each: {', '.join(each)}"


def _measures(config: Config, images: int) -> list[str]:
    """Of the maps of each method: the passes that score one, and how many are made again with shuffled models."""
    asked, told = config.evaluate, []
    curves = asked.deletion + asked.insertion
    if curves:
        count = images if asked.limit is None else min(images, asked.limit)
        told.append(f"at most {curves * asked.steps} passes to score each map of at most {count:,} images")
    if asked.randomization is not None:
        again = asked.randomization
        told.append(f"maps of at most {min(images, again.images)} images made again by {again.depths} shuffled models")
    return told
