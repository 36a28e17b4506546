"""What the maps that are asked for take: passes through the network."""

from __future__ import annotations

from collections.abc import Iterator

from activation_atlas.stages import saved
from activation_atlas.stages.sections import Sections


def cost(asked: Sections, images: int) -> Iterator[str]:
    """Images at most, their targets, and of each method the passes for one map."""
    section, model = asked.config.explain, asked.model
    count = images if section.limit is None else min(images, section.limit)
    size = None
    if model.path and (found := saved.description(model.path)):
        size = saved.input_size(found.config)
    passes = [(m.variant, m.passes(size)) for m in section.methods]
    each = [f"{name} {n:,}" if isinstance(n, int) else f"{name} ({n})" for name, n in passes]
    yield f"maps of at most {count:,} images for {', '.join(section.targets)}, passes for a map: {', '.join(each)}"
