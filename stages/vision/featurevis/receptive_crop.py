"""What the middle of a map needs, and nothing else: the same answer for less.

An icon asks one position only. From there back to the last stride, a
convolution needs a window a little larger than what is asked of it; the rest of
each map would be computed for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.geometry import LAYERS, sliding
from activation_atlas.stages.vision.model.program import Step, run

Span = tuple[int, int]
Window = tuple[Span, Span]
"""Rows and columns of a map, from (inclusive) and to (exclusive)."""
Sizes = dict[int, tuple[int, int]]

POINTWISE = {"BatchNormalization", "ReLU", "LeakyReLU", "ELU", "Activation", "Dropout"}
POINTWISE |= {"Add", "Multiply", "Concatenate"}


def receptive_crop(model: Model, layer: str, frame: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """x in the model's range (n, *frame, c) -> the layer's output at (H // 2, W // 2) alone: (n, 1, 1, C).

    Equal to the middle of ``model.tap(layer)`` up to rounding. Steps that are not
    known to act locally get, and give, whole maps.
    """
    target, start = model.slot(layer), model.program.input
    steps = model.simplify(model.program.before([target]), [target])
    sizes = _sizes(model, steps, frame)
    asked: dict[int, Window] = {target: tuple((side // 2, side // 2 + 1) for side in sizes[target])}
    for step in reversed(steps):
        for slot, window in _needs(step, asked, sizes).items():
            asked[slot] = _hull(asked[slot], window) if slot in asked else window
    # Once more, now that all that is asked of each map is known.
    needs = [_needs(step, asked, sizes) for step in steps]

    def apply(x: tf.Tensor) -> tf.Tensor:
        values = {start: model.values(x, [start])[0]}
        held = {start: _whole(sizes[start])}
        for step, windows in zip(steps, needs, strict=True):
            given = {slot: values[slot] for slot in step.inputs}
            for slot, window in windows.items():
                given[slot] = _cut(values[slot], held[slot], window)
            step(given)
            for slot in step.outputs:
                values[slot] = given[slot]
                if slot in sizes:
                    held[slot] = _made(step, windows, asked, sizes)
        return _cut(values[target], held[target], asked[target])

    return apply


def _sizes(model: Model, steps: list[Step], frame: tuple[int, int]) -> Sizes:
    """Height and width of every map that a frame of this size leads to."""
    sizes: Sizes = {}

    def trace(x: tf.Tensor) -> tf.Tensor:
        values = run(steps, {model.program.input: model.values(x, [model.program.input])[0]})
        for slot, tensor in values.items():
            if tensor.shape.rank == 4 and None not in tensor.shape[1:3]:
                sizes[slot] = tuple(tensor.shape[1:3])
        return x

    spec = tf.TensorSpec((2, *frame, model.channels), tf.float32)
    tf.function(trace, autograph=False).get_concrete_function(spec)
    return sizes


def _needs(step: Step, asked: dict[int, Window], sizes: Sizes) -> dict[int, Window]:
    """The window of each input map that a step needs for what is asked of its output."""
    inputs = [slot for slot in step.inputs if slot in sizes]
    (output, *others) = step.outputs
    if others or output not in asked or not inputs:
        return {slot: _whole(sizes[slot]) for slot in inputs}
    if step.kind in POINTWISE:
        alike = {slot for slot in inputs if sizes[slot] == sizes[output]}
        return {slot: asked[output] if slot in alike else _whole(sizes[slot]) for slot in inputs}
    slides = [sliding(step, axis, (1, *sizes[inputs[0]], 1)) for axis in (1, 2)]
    if step.kind not in LAYERS or None in slides or any(each.stride > 1 for each in slides) or len(inputs) > 1:
        return {slot: _whole(sizes[slot]) for slot in inputs}
    spans = []
    for (low, high), each, side in zip(asked[output], slides, sizes[inputs[0]], strict=True):
        first, last = each.window.reads(low, high - 1)
        spans.append((max(0, int(first)), min(side, int(last) + 1)))
    return {inputs[0]: tuple(spans)}


def _made(step: Step, needs: dict[int, Window], asked: dict[int, Window], sizes: Sizes) -> Window:
    """The window that a step's output covers when its inputs are cut to what it needs.

    Under ``same`` padding its rim may be wrong, where the input was cut: it lies outside what is asked.
    """
    output = step.outputs[0]
    if all(window == _whole(sizes[slot]) for slot, window in needs.items()):
        return _whole(sizes[output])
    if step.kind in POINTWISE:
        return asked[output]
    (window,) = needs.values()
    return window if step.operation.padding == "same" else asked[output]


def _cut(tensor: tf.Tensor, held: Window, window: Window) -> tf.Tensor:
    if held == window:
        return tensor
    (top, bottom), (left, right) = window
    down, across = held[0][0], held[1][0]
    return tensor[:, top - down : bottom - down, left - across : right - across]


def _hull(a: Window, b: Window) -> Window:
    return tuple((min(p[0], q[0]), max(p[1], q[1])) for p, q in zip(a, b, strict=True))


def _whole(size: tuple[int, int]) -> Window:
    return (0, size[0]), (0, size[1])
