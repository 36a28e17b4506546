"""Which part of an image decides what a hidden window changes at a layer, and which layer to stop at.

Everything is arithmetic on the graph: receptive fields, strides and padding. Along each axis a crop starts at a
multiple of the layer's stride and is shorter than the image by such a multiple, so that every strided operation
before the layer meets its inputs in the same phase, with the same padding, as in the whole image. Where the crop
ends at the image's border its padding is the real one; elsewhere a known number of positions near its edge come
out wrong, and no block reaches into them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.vision.attribution.methods.ablation import Windows
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.geometry import Reach, Window, operations, sliding
from activation_atlas.stages.vision.model.program import Step


@dataclass(frozen=True)
class AxisCrops:
    """The crops of all windows, and the blocks of the layer's map that they decide, along one axis.

    Attributes:
        stride: of the layer, in pixels.
        crop: size in pixels.
        block: size in positions of the layer's map.
        first: (windows,) first pixel of the crop.
        at: (windows,) first position of the block in the whole map.
        inside: (windows,) first position of the block in the crop's map.
    """

    stride: int
    crop: int
    block: int
    first: np.ndarray
    at: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True)
class CropPlan:
    """A layer to stop at; ``gain``: how many times fewer operations than whole passes take."""

    layer: str
    down: AxisCrops
    right: AxisCrops
    gain: float


@dataclass(frozen=True)
class Margin:
    """Positions at a map's front and back that are wrong where its crop does not reach the image's border."""

    front: int
    back: int

    def through(self, window: Window, inside: int, outside: int) -> Margin:
        """Of the outputs of an operation with ``inside`` inputs and ``outside`` outputs."""
        first, last = window.decides(self.front, inside - 1 - self.back)
        return Margin(max(0, int(first)), max(0, outside - 1 - int(last)))


def local(model: Model) -> dict[int, tuple[Margin, Margin]]:
    """The maps that only operations of bounded reach lie before, by slot, with their margins down and right.

    An operation that keeps height and width is taken to work on each position alone. That is a guess from its shape
    (a normalisation over positions keeps them too): whoever relies on it compares numbers.
    """
    shapes, program, seen = model.shapes, model.program, model.seen
    none = Margin(0, 0)
    known = {program.input: (none, none)}
    for step in program.before([program.output]):
        shape = shapes.get(step.outputs[0], ())
        if len(step.outputs) != 1 or len(shape) != 4 or not step.inputs or not all(i in known for i in step.inputs):
            continue
        given = shapes[step.inputs[0]]
        if any(shapes[i][1:3] != given[1:3] for i in step.inputs):
            continue
        if step.outputs[0] not in seen or not seen[step.outputs[0]].upright:
            continue
        margins = []
        for axis, (inside, outside) in enumerate(zip(given[1:3], shape[1:3], strict=True)):
            parts = [known[i][axis] for i in step.inputs]
            margin = Margin(max(p.front for p in parts), max(p.back for p in parts))
            slides = sliding(step, axis + 1, given)
            if slides is not None:
                margins.append(margin.through(slides.window, inside, outside))
            elif inside == outside:
                margins.append(margin)
        if len(margins) == 2:
            known[step.outputs[0]] = tuple(margins)
    return known


def axis_crops(starts: np.ndarray, patch: int, size: int, reach: Reach, margin: Margin, positions: int) -> AxisCrops:
    """The smallest crops of one size that decide every position which a window can change.

    Args:
        starts: first pixels of the windows; ``patch``, ``size``: of a window and of the image, in pixels.
        reach, margin, positions: of the layer.
    """
    stride, ends = int(reach.stride), np.minimum(starts + patch, size) - 1
    lowest, highest = reach.influences(starts, ends)
    block = int(np.clip((np.clip(highest, 0, positions - 1) - np.clip(lowest, 0, positions - 1)).max() + 1, 1, None))
    at = np.clip(lowest, 0, positions - block)
    for shorter in range((size - 1) // stride, -1, -1):
        # The crop starts `first` strides into the image and is `shorter` strides less than it.
        first = np.clip(np.minimum(at - margin.front, starts // stride), 0, shorter)
        crop, last = size - shorter * stride, first + positions - shorter - 1 - margin.back
        whole = first == shorter
        if np.all((at + block - 1 <= last) | (whole & (at + block <= first + positions - shorter))) and np.all(
            ends < first * stride + crop
        ):
            return AxisCrops(stride, crop, block, first * stride, at, at - first)
    raise AssertionError("the whole image is a crop that decides everything")


def at_layer(model: Model, windows: Windows, layer: str) -> CropPlan:
    """The crops and blocks of the windows at a layer, which must be local, and what stopping there saves."""
    return _plan(model, windows, layer, local(model))


def layers(model: Model) -> list[str]:
    """The layers, in running order, that only local maps lie before and that alone decide all that follows."""
    maps = local(model)
    slots = {info.name: model.slot(info.name) for info in model.layers()}
    return [name for name, slot in slots.items() if slot in maps and not model.program.frontier(slot)]


def best(model: Model, windows: Windows) -> CropPlan | None:
    """Of :func:`layers` the one that saves most; None where there is none."""
    maps = local(model)
    cuts = [_plan(model, windows, name, maps) for name in layers(model)]
    return max(cuts, key=lambda cut: cut.gain, default=None)


def _plan(model: Model, windows: Windows, layer: str, maps: dict[int, tuple[Margin, Margin]]) -> CropPlan:
    slot, shapes, program = model.slot(layer), model.shapes, model.program
    reach = model.seen[slot].sides
    down, right = (
        axis_crops(
            starts, windows.patch[axis], model.input_size[axis], reach[axis], maps[slot][axis], shapes[slot][axis + 1]
        )
        for axis, starts in enumerate((windows.rows, windows.cols))
    )
    before, after = (
        sum(_cost(step, shapes) for step in steps) for steps in (program.before([slot]), program.after(slot))
    )
    pixels, crop = (model.channels * float(np.prod(size)) for size in (model.input_size, (down.crop, right.crop)))
    pasted = float(np.prod(shapes[slot][1:]))
    whole = before + after + MOVING * pixels
    part = before * crop / pixels + after + MOVING * (crop + pasted)
    return CropPlan(layer, down, right, float(whole / part))


MOVING = 10.0
"""Operations in the time that one value takes to be written: early layers compute little and write much."""


def _cost(step: Step, shapes: dict[int, tuple]) -> float:
    written = sum(float(np.prod(shapes[slot][1:])) for slot in step.outputs if None not in shapes[slot][1:])
    return operations(step, shapes) + MOVING * written
