"""What the maps that are asked for take: passes through the network."""

from __future__ import annotations

from collections.abc import Iterator

from activation_atlas.stages import saved
from activation_atlas.stages.methods import Options, pair
from activation_atlas.stages.sections import Sections


def cost(asked: Sections, images: int) -> Iterator[str]:
    """Images at most, their targets, and of each method the passes for one map."""
    section, model = asked.config.explain, asked.model
    count = images if section.limit is None else min(images, section.limit)
    size = None
    if model.path and (found := saved.description(model.path)):
        size = saved.input_size(found.config)
    each = [m.variant + (f" {n:,}" if (n := passes(m, size)) else "") for m in section.methods]
    yield f"maps of at most {count:,} images for {', '.join(section.targets)}, passes for each: {', '.join(each)}"


_COUNTED = {"smooth_grad": "samples", "integrated_gradients": "steps", "expected_gradients": "samples", "rise": "masks"}


def passes(method: Options, size: tuple[int, int] | None) -> int | None:
    """Passes through the network for one map; None where only the open model tells."""
    if method.name in ("score_cam", "eigen_cam", "cam"):
        return None
    method = method.at(size) if size else method
    if method.name != "occlusion":
        return getattr(method, _COUNTED.get(method.name, ""), 1)
    if size is None or not method.patch or not method.stride or method.edges != "whole":
        return None
    sides = zip(size, pair(method.patch), pair(method.stride), strict=True)
    down, right = ((side - patch) // stride + 1 for side, patch, stride in sides)
    return down * right if min(down, right) > 0 else None
