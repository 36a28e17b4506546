"""The layers of a model that have positions: what each sees, and where its maps lie on the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.layer_info import LayerInfo
from activation_atlas.stages.vision.model.geometry import Reach, Reorientation, Seen, TokenMap, operations, proof
from activation_atlas.stages.vision.model.program import Program


def is_spatial(shape: tuple) -> bool:
    """Whether a tensor (batch, down, right, channels) has several positions."""
    return len(shape) == 4 and None not in shape[1:] and shape[1] * shape[2] > 1


def described(program: Program, shapes: dict[int, tuple], seen: Mapping[int, Seen]) -> dict[str, LayerInfo]:
    """The layers that have positions which can be traced back to the image, by path, in running order."""
    steps = program.before([program.output])
    cost = {id(step): operations(step, shapes) for step in steps}
    total = sum(cost.values())
    maker = {slot: step for step in steps for slot in step.outputs}
    found = {}
    for name, slot in program.names.items():
        if slot not in maker or not is_spatial(shapes.get(slot, ())) or slot not in seen:
            continue
        step, beside = maker[slot], 0
        while isinstance(step.operation, (Reorientation, TokenMap)):
            beside += len(step.operation.layout.beside) if isinstance(step.operation, TokenMap) else 0
            step = maker[step.inputs[0]]
        _, height, width, channels = shapes[slot]
        field, *lying = _lying(seen[slot].sides, (height, width), shapes[program.input][1:3])
        found[name] = LayerInfo(
            name,
            step.kind,
            height,
            width,
            channels,
            tuple(map(float, shapes[program.input][1:3])) if seen[slot].mixed else field,
            *lying,
            sum(cost[id(step)] for step in program.before([slot])) / total,
            beside,
        )
    return found


def _lying(sides: tuple[Reach, Reach], counts: tuple[int, int], size: tuple[int, int]) -> tuple:
    """receptive_field, stride, offset and covers of :class:`LayerInfo`."""
    (top, bottom), (left, right) = (s.covers(n, pixels) for s, n, pixels in zip(sides, counts, size, strict=True))
    shares = ([getattr(side, name) for side in sides] for name in ("size", "stride", "centre"))
    return (*map(tuple, shares), (top, left, bottom, right))


def placed(model: Any, info: LayerInfo, seen: Seen) -> LayerInfo:
    """A layer of which numbers show that its positions see what the graph says.

    Its ``offset`` and ``covers`` go by where the weight of what a position sees lies (:func:`proof.centred`).

    Raises:
        UserError: the numbers say otherwise.
    """
    tap, size, counts = model.tap(info.name), model.input_size, (info.height, info.width)
    against = model.against(seen.origin if seen.origin in model.seen else model.program.names[info.name])
    if against is not None:
        raise UserError(
            f"layer {info.name} of model {model.name}: its positions cannot be traced back to the image ({against}); "
            "choose an earlier layer, or a method that explains at the input"
        )
    sides = proof.centred(lambda *at: _weight(model, tap, *at), seen.sides, counts, size, model.channels)
    _, stride, offset, covers = _lying(sides, counts, size)
    return replace(info, stride=stride, offset=offset, covers=covers)


def against(model: Any, slot: int) -> str | None:
    """What numbers say against the place of a map; None: nothing."""
    seen, size = model.seen[slot], model.input_size
    tap = tf.function(lambda x: model.values(model.to_input(x), [slot])[0], autograph=False)
    spots = proof.moved(lambda x: tap(tf.constant(x)).numpy(), seen.sides, seen.known, size, model.channels)
    return proof.misplaced(spots, seen.sides, seen.known)


def _weight(model: Any, tap: Any, pixels: np.ndarray, row: int, col: int) -> np.ndarray:
    """How strongly a position depends on each pixel: squared gradients of its squared values; 0 where it has none."""

    @tf.function(autograph=False)
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(tf.cast(tap(x), tf.float32)[:, row, col] ** 2)
        return tf.convert_to_tensor(tape.gradient(value, x, unconnected_gradients=tf.UnconnectedGradients.ZERO))

    try:
        found = gradient(model.to_input(tf.constant(pixels))).numpy().astype(np.float64)
    except Exception:  # whichever operation has no gradient
        return np.zeros(model.input_size)
    return (found**2).sum((0, 3))
