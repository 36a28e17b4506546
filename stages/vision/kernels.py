"""The learned filters of a layer, as its weights are stored: one form for every kind of layer that has a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow

# isort: split
import keras
import numpy as np
import tensorflow as tf

from activation_atlas.stages.specs import meant
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.program import Step


@dataclass(frozen=True)
class Kernels:
    """All filters of one kernel.

    Attributes:
        layer, kind: its path, and its class.
        part: ``depthwise`` or ``pointwise`` of a separable convolution; else empty.
        weights: float32 (filters, slices, height, width).
        reads: int64 (filters, slices), the channel of the layer's input that each slice is laid on; of a filter that
            is drawn in colour 0, 1, 2: red, green, blue.
        colour: whether the slices are the image's red, green and blue.
        scaled_by: class of a normalisation right behind, which scales every filter anew; or empty.
    """

    layer: str
    kind: str
    part: str
    weights: np.ndarray
    reads: np.ndarray
    colour: bool
    scaled_by: str

    @property
    def norms(self) -> np.ndarray:
        """Euclidean norm of each slice, float64 (filters, slices)."""
        return np.sqrt((self.weights.astype(np.float64) ** 2).sum((2, 3)))

    @property
    def filter_norms(self) -> np.ndarray:
        """Euclidean norm of each filter, float64 (filters,)."""
        return np.sqrt((self.norms**2).sum(1))


def with_kernels(model: Model) -> list[str]:
    """Paths of the layers on the way to the logits that have a kernel, in running order."""
    steps = model.program.before([model.program.output])
    return [step.name for step in steps if _stored(step.operation)]


def first_kernel(model: Model) -> str:
    """The first layer that has a kernel.

    Raises:
        UserError: there is none.
    """
    if not (known := with_kernels(model)):
        raise UserError(f"model {model.name}: no layer has a kernel, so there are no filters to look at")
    return known[0]


def kernels(model: Model, layer: str) -> list[Kernels]:
    """The filters of a layer; of a separable convolution those of both its kernels.

    A dense layer that reads whole patches of the image (a patch embedding), or all of it, has filters of that shape;
    that its numbers lie so is seen on noise. Of any other dense layer a filter is a weight for each input, 1 x 1.

    Raises:
        UserError: there is no such layer, or it has no kernel; the nearest that has is named.
    """
    steps = model.program.before([model.program.output])
    k = next((k for k, step in enumerate(steps) if step.name == layer), None)
    where = f"layer {layer} of model {model.name}"
    known = with_kernels(model)
    if k is None:
        raise UserError(f"{where}: there is none with filters; {meant(layer, known)}")
    found = _stored(steps[k].operation)
    if not found:
        earlier = [step.name for step in steps[:k] if step.name in known]
        before = f"the last before it that has is {earlier[-1]}" if earlier else meant(layer, known)
        raise UserError(f"{where}: {steps[k].kind} has no kernel, so no filters; {before}")
    scaled = _scaled_by(model, steps[k])
    return [
        _laid(model, steps[k], part, weights, reads, scaled if part != "depthwise" else "")
        for part, weights, reads in found
    ]


Stored = tuple[str, np.ndarray, np.ndarray]
"""Part, weights (filters, slices, height, width), reads (filters, slices)."""


def _stored(operation: Any) -> list[Stored]:
    """What a layer stores, with the axes in one order; empty where it has no kernel."""
    layers = keras.layers
    if isinstance(operation, (layers.SeparableConv1D, layers.SeparableConv2D)):
        deep, point = operation.depthwise_kernel, operation.pointwise_kernel
        return [("depthwise", *_depthwise(deep)), ("pointwise", *_grouped(point, 1))]
    if isinstance(operation, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return [("", *_depthwise(operation.kernel))]
    if isinstance(operation, (layers.Conv1D, layers.Conv2D)):
        return [("", *_grouped(operation.kernel, operation.groups))]
    if isinstance(operation, (layers.Conv1DTranspose, layers.Conv2DTranspose)):
        return [("", *_grouped(np.swapaxes(_array(operation.kernel), -1, -2), 1))]
    if isinstance(operation, layers.Dense):
        return [("", *_grouped(_array(operation.kernel)[None, None], 1))]
    if isinstance(operation, layers.EinsumDense):
        own, out = operation.equation.replace(" ", "").split(",")[1].split("->")
        summed = [axis for axis in own if axis not in out]
        order = [own.index(axis) for axis in [*summed, *(axis for axis in own if axis in out)]]
        kernel = np.transpose(_array(operation.kernel), order)
        inputs = int(np.prod(kernel.shape[: len(summed)], dtype=int))
        return [("", *_grouped(kernel.reshape(1, 1, inputs, -1), 1))]
    # What a layer of several holds inside: the patch embedding of a transformer, beside class token and positions.
    inner = [w for w in getattr(operation, "weights", ()) if w.name == "kernel" and len(w.shape) == 4]
    return [("", *_grouped(inner[0], 1))] if len(inner) == 1 else []


def _array(kernel: Any) -> np.ndarray:
    return kernel if isinstance(kernel, np.ndarray) else tf.cast(kernel, tf.float32).numpy()


def _planar(kernel: Any) -> np.ndarray:
    """(height, width, in, out); what has one axis of positions lies along the width."""
    values = _array(kernel)
    return values[None] if values.ndim == 3 else values


def _grouped(kernel: Any, groups: int) -> tuple[np.ndarray, np.ndarray]:
    weights = _planar(kernel).transpose(3, 2, 0, 1)
    filters, slices = weights.shape[:2]
    first = np.arange(filters) // (filters // groups) * slices
    return weights, first[:, None] + np.arange(slices)


def _depthwise(kernel: Any) -> tuple[np.ndarray, np.ndarray]:
    values = _planar(kernel)  # (height, width, channels, multiplier); output channel = channel * multiplier + m
    height, width, channels, times = values.shape
    weights = values.reshape(height, width, channels * times).transpose(2, 0, 1)[:, None]
    return weights, (np.arange(channels * times) // times)[:, None]


def _laid(model: Model, step: Step, part: str, weights: np.ndarray, reads: np.ndarray, scaled: str) -> Kernels:
    """In colour where the layer reads the image itself."""
    made = (step.name, step.kind, part)
    slot = step.inputs[0]
    if weights.shape[1] == model.channels and not part and len(model.shapes[slot]) == 4:
        order = _colours(model, slot)
        if order is not None:
            return Kernels(*made, weights[:, order], np.tile(np.arange(3), (len(weights), 1)), True, scaled)
    if weights.shape[2:] == (1, 1) and weights.shape[1] >= 4 * model.channels:
        image = _image_before(model, slot)
        for side in _sides(model, image, weights.shape[1]):
            if (axes := _patch_axes(model, slot, image, side)) is not None:
                shape = {"hwc": (*side, model.channels), "chw": (model.channels, *side)}[axes]
                laid = weights.reshape(-1, *shape)
                laid = laid.transpose(0, 3, 1, 2) if axes == "hwc" else laid
                order = _colours(model, image)
                colour = order is not None
                laid = laid[:, order] if order is not None else laid
                return Kernels(*made, laid, np.tile(np.arange(laid.shape[1]), (len(laid), 1)), colour, scaled)
    return Kernels(*made, weights, reads, False, scaled)


def _colours(model: Model, slot: int) -> list[int] | None:
    """Where the image's red, green and blue lie among three channels of a map; None where they are mixed.

    A flat image of each colour against a flat grey one tells: its own channel changes, and no other.
    """
    if model.channels != 3 or model.shapes[slot][-1] != 3:
        return None
    flat = np.full((4, *model.input_size, 3), 100, np.uint8)
    for colour in range(3):
        flat[colour + 1, ..., colour] = 150
    maps = _values(model, flat, slot)
    moved = np.abs(maps[1:] - maps[:1]).mean((1, 2))
    order = moved.argmax(1)
    rest = moved.copy()
    rest[np.arange(3), order] = 0
    clear = sorted(order) == [0, 1, 2] and moved.max() > 0 and (rest.max(1) < 1e-3 * moved.max(1)).all()
    return [int(k) for k in order] if clear else None


def _image_before(model: Model, slot: int) -> int:
    """The last map of as many channels as the image has on the way to ``slot``: the image as it is cut up there."""
    made = [model.program.input, *(s for step in model.program.before([slot]) for s in step.outputs)]
    return [s for s in made if len(model.shapes.get(s, ())) == 4 and model.shapes[s][3] == model.channels][-1]


def _sides(model: Model, image: int, numbers: int) -> Sequence[tuple[int, int]]:
    """Heights and widths of patches that have so many numbers: all of the image, or a square."""
    height, width = model.shapes[image][1:3]
    side = round((numbers / model.channels) ** 0.5)
    square = [(side, side)] if side * side * model.channels == numbers else []
    return [(height, width)] if height * width * model.channels == numbers else square


def _patch_axes(model: Model, slot: int, image: int, side: tuple[int, int]) -> str | None:
    """In which order the numbers of the first row in ``slot`` are those of the image's first patch, or None."""
    noise = np.random.default_rng(0).integers(0, 256, (1, *model.input_size, model.channels), np.uint8)
    whole, rows = _values(model, noise, image), _values(model, noise, slot)
    patch = whole[0, : side[0], : side[1]]
    numbers = rows.reshape(-1, patch.size)[0] if rows.shape[-1] == patch.size else np.zeros(0)
    for axes, expected in (("hwc", patch), ("chw", patch.transpose(2, 0, 1))):
        if numbers.size and np.corrcoef(numbers, expected.ravel())[0, 1] > 0.999:
            return axes
    return None


def _values(model: Model, pixels: np.ndarray, slot: int) -> np.ndarray:
    (values,) = model.values(model.to_input(tf.constant(pixels)), [slot])
    return np.asarray(values, np.float32)


def _scaled_by(model: Model, step: Step) -> str:
    """The normalisation that alone reads what a layer gives."""
    readers = [s for s in model.program.before([model.program.output]) if step.outputs[0] in s.inputs]
    kind = readers[0].kind if len(readers) == 1 else ""
    return kind if kind.endswith("Normalization") else ""
