"""What each kind of operation does to the axes of a map: where an axis goes, and what its positions then see.

A rule takes a step, an axis of its input, and the shapes of input and output (the batch is axis 0). It returns the
axis of the output and a :class:`Window`, or None where no position of the output has one place on the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.vision.model.geometry.windows import (
    FUNCTIONS,
    LAYERS,
    SAME,
    Window,
    fitted,
    resized,
    side_of,
    sliding,
    transposed,
)
from activation_atlas.stages.vision.model.keras_adapter import home, is_own
from activation_atlas.stages.vision.model.program import Slot, Step

Traced = tuple[int, Window]
"""The axis of an operation's output that one of its input's becomes, and what positions along it see."""

Rule = Callable[[Step, int, tuple, tuple], Traced | None]


def slid(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """Convolutions and poolings: along the channels they sum, also where these lie down or right in the image."""
    slides = sliding(step, axis, given)
    return None if slides is None else (axis, slides.window)


def padded(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    return slid(step, axis, given, made) or (axis, SAME)


def spread(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    window = transposed(step, axis, given, made)
    return None if window is None else (axis, window)


def _from(start: float, step: float = 1.0) -> Window:
    return Window(step, float(start), float(start))


def margins(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """``ops.image.pad_images`` and ``crop_images``: given on one side, on the other, or by the size to reach."""
    side, op = side_of(step, axis, len(given)), step.operation
    if side is None:
        return axis, SAME
    word = "padding" if step.kind == "PadImages" else "cropping"
    before, after = (getattr(op, f"{end}_{word}") for end in (("top", "bottom"), ("left", "right"))[side])
    change = abs(made[axis] - given[axis])
    start = before if before is not None else change - after
    return axis, _from(-start if word == "padding" else start)


def centre_crop(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    side, layer = side_of(step, axis, len(given)), step.operation
    if side is None:
        return axis, SAME
    rows = axis - side
    if given[rows] >= layer.height and given[rows + 1] >= layer.width:
        return axis, _from((given[axis] - made[axis]) // 2)
    return axis, _shaped(given[rows : rows + 2], (layer.height, layer.width), side, "crop", "bilinear", False)


def resizing(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    side, op = side_of(step, axis, len(given)), step.operation
    if side is None:
        return axis, SAME
    rows = axis - side
    shape = "crop" if op.crop_to_aspect_ratio else "pad" if op.pad_to_aspect_ratio else None
    sizes = given[rows : rows + 2], made[rows : rows + 2]
    return axis, _shaped(*sizes, side, shape, op.interpolation, op.antialias)


def _shaped(given: tuple, made: tuple, side: int, shape: str | None, interpolation: str, antialias: bool) -> Window:
    """A map brought to another size, cut or padded to its shape before, as Keras counts."""
    start, inside = 0, given[side]
    if shape is not None:
        other = int(float(given[1 - side] * made[side]) / made[1 - side])
        if shape == "crop":
            inside = max(min(inside, other), 1)
            start = int((given[side] - inside) / 2)
        else:
            start = -int((max(inside, other) - inside) / 2)
            inside -= 2 * start
    found = resized(inside, made[side], interpolation, antialias)
    return Window(found.stride, found.first + start, found.last + start)


def upsampling(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    if side_of(step, axis, len(given)) is None:
        return axis, SAME
    return axis, resized(given[axis], made[axis], step.operation.interpolation)


def repeated(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    own = step.operation.axis
    if own is None or len(np.ravel(step.operation.repeats)) > 1:
        return None
    return axis, resized(given[axis], made[axis], "nearest") if own % len(given) == axis else SAME


def adaptive(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    if side_of(step, axis, len(given)) is None:
        return axis, SAME
    share, place = given[axis] / made[axis], np.arange(made[axis])
    return axis, fitted(np.floor(place * share), np.ceil((place + 1) * share) - 1, share)


def reordered(order: Callable[[Any, int], Sequence[int]]) -> Rule:
    """``order``: the operation and the rank to the input's axis of each of the output's."""
    return lambda step, axis, given, made: (list(order(step.operation, len(given))).index(axis), SAME)


def _permuted(layer: Any, rank: int) -> Sequence[int]:
    return (0, *layer.dims)


def _transposed(op: Any, rank: int) -> Sequence[int]:
    return [a % rank for a in op.axes] if op.axes is not None else list(range(rank))[::-1]


def _swapped(op: Any, rank: int) -> Sequence[int]:
    axes = list(range(rank))
    one, other = op.axis1 % rank, op.axis2 % rank
    axes[one], axes[other] = axes[other], axes[one]
    return axes


def _moved(op: Any, rank: int) -> Sequence[int]:
    moves = {d % rank: s % rank for s, d in zip(op.source, op.destination, strict=True)}
    rest = iter([a for a in range(rank) if a not in moves.values()])
    return [moves[a] if a in moves else next(rest) for a in range(rank)]


def flipped(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    own = step.operation.axis
    axes = range(len(given)) if own is None else [a % len(given) for a in np.ravel(own)]
    return axis, _from(given[axis] - 1, -1) if axis in axes else SAME


def turned(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """``ops.rot90``: k quarter turns from the first of the axes towards the second."""
    one, other = (a % len(given) for a in step.operation.axes)
    found, back = axis, False
    for _ in range(step.operation.k % 4):
        # Transposed, then flipped along the first axis.
        if found in (one, other):
            found = other if found == one else one
            back = back != (found == one)
    return found, _from(given[axis] - 1, -1) if back else SAME


def taken(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """``x[:, 4:20]``: slices of any step; whole numbers and new axes move the axes behind them."""
    key = step.args[1] if len(step.args) > 1 else step.kwargs.get("key")
    key = list(key) if isinstance(key, (tuple, list)) else [key]
    if any(isinstance(k, Slot) or not (k is None or k is Ellipsis or isinstance(k, (int, slice))) for k in key):
        return None
    missing = len(given) - sum(k is not None and k is not Ellipsis for k in key)
    at = next((n for n, k in enumerate(key) if k is Ellipsis), len(key))
    key[at : at + 1] = [slice(None)] * missing
    own, out = 0, 0
    for part in key:
        if part is None:
            out += 1
            continue
        if own == axis:
            if isinstance(part, int):
                return None
            start, _, step_ = part.indices(given[axis])
            return out, _from(start, step_)
        own, out = own + 1, out + (not isinstance(part, int))
    return None


def reshaped(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """An axis stays what it is where as many values lie behind it, and where it is as long, as before."""
    behind = math.prod(given[axis + 1 :])
    for k in range(1, len(made)):
        if made[k] == given[axis] and math.prod(made[k + 1 :]) == behind:
            return k, SAME
    return None


def joined(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """Concatenated along any axis but a side of the image."""
    return None if step.operation.axis % len(made) == axis else same(step, axis, given, made)


def dense(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    return None if axis == len(given) - 1 else same(step, axis, given, made)


def rolled(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """What leaves a map at one end and comes in at the other has no one place."""
    shifts = np.broadcast_to(np.ravel(step.operation.shift), np.size(step.operation.axis or 0))
    if step.operation.axis is None:
        return None
    moves = {a % len(given): int(s) for a, s in zip(np.ravel(step.operation.axis), shifts, strict=True)}
    return None if moves.get(axis, 0) % given[axis] else (axis, SAME)


def reduced(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    own = step.operation.axis
    axes = range(1, len(given)) if own is None else [a % len(given) for a in np.ravel(own)]
    if axis in axes:
        return None
    return axis if step.operation.keepdims else axis - sum(a < axis for a in axes), SAME


def same(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """Position by position, as far as shapes tell; axes are counted from the last."""
    out = axis + len(made) - len(given)
    return (out, SAME) if out > 0 and made[out] == given[axis] else None


def guessed(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    """An operation that is not known: the same positions where they are as many, else as if it were resized."""
    if len(made) != len(given) or (made[axis] > 1) != (given[axis] > 1):
        return None
    if made[axis] == given[axis]:
        return axis, SAME
    found = resized(given[axis], made[axis], "area")
    return axis, Window(found.stride, found.first - 1, found.last + 1)


RULES: dict[str, Rule] = {
    **dict.fromkeys((*LAYERS, *FUNCTIONS), slid),
    **dict.fromkeys(("Conv2DTranspose", "ConvTranspose"), spread),
    **dict.fromkeys(("ZeroPadding2D", "Cropping2D", "Pad"), padded),
    **dict.fromkeys(("PadImages", "CropImages"), margins),
    "CenterCrop": centre_crop,
    **dict.fromkeys(("Resizing", "Resize"), resizing),
    "UpSampling2D": upsampling,
    "Repeat": repeated,
    **dict.fromkeys(("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"), adaptive),
    "Permute": reordered(_permuted),
    "Transpose": reordered(_transposed),
    "Swapaxes": reordered(_swapped),
    "Moveaxis": reordered(_moved),
    "Flip": flipped,
    "Rot90": turned,
    "GetItem": taken,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "ExpandDims"), reshaped),
    "Concatenate": joined,
    "Dense": dense,
    "Roll": rolled,
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Amax", "Amin", "Var", "Std"), reduced),
}
"""Class name of one of Keras' layers or operations to its rule."""

_VALUES = tuple(
    f"layers.{room}"
    for room in ("activations", "normalization", "regularization", "merging", "core.identity", "preprocessing")
)
"""Layers that work on each position alone, or on all of them alike; the random ones do nothing in a prediction."""

_VALUE_FUNCTIONS = set(
    "Add Subtract Multiply Divide TrueDivide Maximum Minimum Power Sqrt Rsqrt Square Abs Absolute Negative Clip Exp "
    "Log Log1p Tanh Sigmoid Relu Relu6 LeakyRelu Elu Selu Silu Gelu Softplus HardSilu HardSigmoid Softmax LogSoftmax "
    "Cast Where BatchNormalization".split()
)


def is_known(step: Step) -> bool:
    """Whether what a step does to positions is known, and not guessed from shapes."""
    kind, module = step.kind, home(step.operation)
    if module is None:
        return is_own(step.operation)
    if kind in RULES:
        return True
    if module.startswith(("layers.", "applications.")):
        return (module.startswith(_VALUES) and kind != "Dot") or kind in ("LayerScale", "StochasticDepth")
    return kind in _VALUE_FUNCTIONS


def rule(step: Step) -> Rule:
    """The rule of a step's operation."""
    return RULES.get(step.kind, same) if is_known(step) else guessed
