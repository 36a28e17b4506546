"""Rules for operations that look at a neighbourhood: convolutions, paddings, poolings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.attribution.local_maps import LocalMap, Span
from activation_atlas.stages.vision.attribution.tangents.pointwise import activated, known_slope
from activation_atlas.stages.vision.attribution.tangents.primals import Primals, Tangent
from activation_atlas.stages.vision.model.geometry import Window, sliding
from activation_atlas.stages.vision.model.program import Step


@dataclass(frozen=True)
class Frame:
    """The inputs that a windowed operation needs to compute the outputs ``down`` x ``right``."""

    down: Span
    right: Span
    first: tuple[np.ndarray, np.ndarray]
    size: tuple[int, int]


def slid(step: Step, primals: Primals) -> list[Window] | None:
    """How a step slides down and right, or pads or cuts; None for what does not, or not over these axes."""
    slides = [sliding(step, axis, primals.shape[step.inputs[0]]) for axis in (1, 2)]
    return None if None in slides else [each.window for each in slides]


def frame_of(step: Step, window: Tangent | None, primals: Primals) -> Frame | None:
    """The frame in which a step is computed where a window of its input changes; None where the rules do not apply."""
    slides = slid(step, primals)
    if slides is None or not isinstance(window, LocalMap):
        return None
    full = primals.shape[step.outputs[0]][1:3]
    sides = [side.through(*each) for side, *each in zip((window.down, window.right), slides, full, strict=True)]
    reads = [each.reads(side.start, side.start + side.size - 1) for each, side in zip(slides, sides, strict=True)]
    return Frame(*sides, tuple(low for low, _ in reads), tuple(int((high - low)[0]) + 1 for low, high in reads))


def cut(window: LocalMap, frame: Frame, primals: Primals) -> tf.Tensor:
    """The window seen through the frame; zero outside of it."""
    return primals.positions.cut(window, frame.first[0], frame.size[0], frame.first[1], frame.size[1])


def seen(slot: int, frame: Frame, primals: Primals, outside: float = 0) -> tf.Tensor:
    """The forward pass' values of a map in the frame; ``outside`` where there is no map."""
    inside = primals.shape[slot][1:3]
    reach = [
        (max(0, -int(f.min())), max(0, int(f.max()) + s - n))
        for f, s, n in zip(frame.first, frame.size, inside, strict=True)
    ]
    maps = tf.pad(primals.value(slot), [(0, 0), *reach, (0, 0)], constant_values=outside)
    down, right = frame.first[0] + reach[0][0], frame.first[1] + reach[1][0]
    return primals.positions.read(maps, down, frame.size[0], right, frame.size[1])


def convolution(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    (window,) = tangents
    frame = frame_of(step, window, primals)
    if frame is None or not known_slope(step) or not can_convolve(step):
        return None
    return activated(
        LocalMap(convolved(step, cut(window, frame, primals), primals), frame.down, frame.right), step, primals
    )


def can_convolve(step: Step) -> bool:
    """Whether :func:`convolved` does what the step does: unequal strides of a depthwise convolution it cannot do."""
    strides = step.operation.strides
    return step.kind == "Conv2D" or strides[0] == strides[1]


def convolved(step: Step, x: tf.Tensor, primals: Primals) -> tf.Tensor:
    """The convolution of a frame, without its bias and its activation."""
    layer = step.operation
    dilation = tuple(layer.dilation_rate)
    if step.kind == "Conv2D":
        # Each group by itself: TensorFlow has grouped convolutions of its own, but not everywhere.
        parts = zip(tf.split(x, layer.groups, 3), tf.split(primals.tensor(layer.kernel), layer.groups, 3), strict=True)
        found = [tf.nn.conv2d(*part, layer.strides, "VALID", dilations=dilation) for part in parts]
        return tf.concat(found, 3) if len(found) > 1 else found[0]
    kernel = layer.depthwise_kernel if step.kind == "SeparableConv2D" else layer.kernel
    out = tf.nn.depthwise_conv2d(x, primals.tensor(kernel), (1, *layer.strides, 1), "VALID", dilations=dilation)
    if step.kind == "SeparableConv2D":
        out = tf.nn.conv2d(out, primals.tensor(layer.pointwise_kernel), 1, "VALID")
    return out


def padded(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    layer, (window,) = step.operation, tangents
    frame = frame_of(step, window, primals)
    if frame is None:
        return None
    if step.kind == "Pad":
        widths = layer.pad_width
        if layer.mode != "constant" or len(widths) != 4 or any(widths[0]) or any(widths[3]):
            return None
    return LocalMap(cut(window, frame, primals), frame.down, frame.right)


def average(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    layer, (window,) = step.operation, tangents
    frame = frame_of(step, window, primals)
    if frame is None:
        return None
    out = tf.nn.avg_pool2d(cut(window, frame, primals), layer.pool_size, layer.strides, "VALID")
    if layer.padding == "same":
        # Padding is not averaged: outputs at the border divide by fewer inputs.
        for axis, (side, size) in enumerate(zip((frame.down, frame.right), layer.pool_size, strict=True)):
            place, inside = np.arange(side.full), primals.shape[step.inputs[0]][axis + 1]
            low, high = slid(step, primals)[axis].reads(place, place)
            counted = np.minimum(high, inside - 1) - np.maximum(low, 0) + 1
            factor = tf.gather(
                tf.constant(size / counted, primals.dtype), primals.positions.indices(side.start, side.size, axis)
            )
            out *= factor[:, :, None, None] if axis == 0 else factor[:, None, :, None]
    return LocalMap(out, frame.down, frame.right)


def maximum(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    """The change of the largest input; the first of equals."""
    layer, (window,) = step.operation, tangents
    frame = frame_of(step, window, primals)
    if frame is None:
        return None
    x = cut(window, frame, primals)
    within = seen(step.inputs[0], frame, primals, primals.value(step.inputs[0]).dtype.min)
    largest = primals.beside(step.outputs[0], LocalMap(x, frame.down, frame.right))
    out, taken = tf.zeros_like(largest), tf.zeros_like(largest, tf.bool)
    for i in range(layer.pool_size[0]):
        for j in range(layer.pool_size[1]):
            rows = slice(i, i + (frame.down.size - 1) * layer.strides[0] + 1, layer.strides[0])
            cols = slice(j, j + (frame.right.size - 1) * layer.strides[1] + 1, layer.strides[1])
            hit = (within[:, rows, cols] == largest) & ~taken
            out, taken = tf.where(hit, x[:, rows, cols], out), taken | hit
    return LocalMap(out, frame.down, frame.right)


def global_average(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    layer, (window,) = step.operation, tangents
    if layer.data_format != "channels_last" or not isinstance(window, LocalMap):
        return None
    out = tf.reduce_sum(window.values, (1, 2), keepdims=bool(layer.keepdims)) / (window.down.full * window.right.full)
    return primals.as_map(out) if layer.keepdims else out


def linear(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    """A resize or a crop: the change of a map is resized as the map is. TensorFlow has no forward derivative."""
    if len(step.inputs) != 1 or not isinstance(tangents[0], LocalMap):
        return None
    (slot,), (made,) = step.inputs, step.outputs
    (given,), power = primals.narrowed({slot: primals.whole(tangents[0])}, step)
    values, at_zero = {slot: given}, {slot: tf.zeros_like(given[:1])}
    step(values)
    step(at_zero)  # what is filled in at the border does not change
    out = primals.widened(values[made] - at_zero[made], power)
    return primals.as_map(out) if out.shape.rank == 4 else out
