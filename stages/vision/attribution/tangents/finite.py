"""Rules for a change that is not small: what a step gives of the changed values, less what it gives of the plain ones.

What is linear passes a change on as it does a tangent, and has one rule for both. The others are here, each inside of
the window. A change travels as a difference, never as what is changed: where nothing changes it is 0, and in linear
steps nothing large is taken from anything large. In the others a change takes on the rounding of the values it is the
difference of: of float32, 6e-8 of these.
"""

from __future__ import annotations

import tensorflow as tf

from activation_atlas.stages.vision.attribution.local_maps import LocalMap
from activation_atlas.stages.vision.attribution.tangents import neighbourhoods
from activation_atlas.stages.vision.attribution.tangents.joins import joined_terms, multiplies_maps, term
from activation_atlas.stages.vision.attribution.tangents.neighbourhoods import (
    can_convolve,
    convolved,
    cut,
    frame_of,
    seen,
)
from activation_atlas.stages.vision.attribution.tangents.pointwise import (
    MIXING,
    activation_of,
    is_by_position,
    is_clip,
    top,
)
from activation_atlas.stages.vision.attribution.tangents.pointwise import dense as linear_dense
from activation_atlas.stages.vision.attribution.tangents.primals import Primals, Tangent, values_of, with_values
from activation_atlas.stages.vision.model.program import Step


def pointwise(step: Step, changes: list[Tangent | None], primals: Primals) -> Tangent | None:
    """Any function of one position (all its channels), of both values."""
    (change,), (slot,), (made,) = changes, step.inputs, step.outputs
    if not is_by_position(step):
        return None
    plain = primals.beside(slot, change)
    of_plain, of_changed = {slot: tf.cast(plain, primals.native[slot])}, {}
    of_changed[slot] = tf.cast(plain + values_of(change), primals.native[slot])
    step(of_plain)
    step(of_changed)
    return with_values(change, tf.cast(of_changed[made], primals.dtype) - tf.cast(of_plain[made], primals.dtype))


def relu(step: Step, changes: list[Tangent | None], primals: Primals) -> Tangent | None:
    return _clipped(changes[0], step, primals) if is_clip(step) else pointwise(step, changes, primals)


def _clipped(change: Tangent, step: Step, primals: Primals) -> Tangent:
    """A cut at 0 and at the ReLU's top, in the type of changes: float16 would round what is added."""
    plain, highest = primals.beside(step.inputs[0], change), top(step)

    def held(x: tf.Tensor) -> tf.Tensor:
        if highest in (None, 6.0):
            return tf.nn.relu(x) if highest is None else tf.nn.relu6(x)
        return tf.clip_by_value(x, 0, tf.constant(highest, x.dtype))

    return with_values(change, held(plain + values_of(change)) - held(plain))


def activation(step: Step, changes: list[Tangent | None], primals: Primals) -> Tangent | None:
    name = activation_of(step)
    if name in ("relu", "relu6"):
        return _clipped(changes[0], step, primals)
    return changes[0] if name == "linear" else None if name in MIXING else pointwise(step, changes, primals)


def dense(step: Step, changes: list[Tangent | None], primals: Primals) -> Tangent | None:
    if activation_of(step) == "linear":
        return linear_dense(step, changes, primals)
    return pointwise(step, changes, primals) if activation_of(step) not in MIXING else None


def convolution(step: Step, changes: list[Tangent | None], primals: Primals) -> Tangent | None:
    """With an activation inside, the frame is convolved as it is when it is changed."""
    layer, (window,) = step.operation, changes
    if activation_of(step) == "linear":
        return neighbourhoods.convolution(step, changes, primals)
    frame = frame_of(step, window, primals)
    if frame is None or not can_convolve(step):
        return None
    out = convolved(step, seen(step.inputs[0], frame, primals) + cut(window, frame, primals), primals)
    if layer.bias is not None:
        out += primals.tensor(layer.bias)
    changed = LocalMap(layer.activation(out), frame.down, frame.right)
    return changed.with_values(changed.values - primals.beside(step.outputs[0], changed))


def maximum(step: Step, changes: list[Tangent | None], primals: Primals) -> Tangent | None:
    """The largest of the changed inputs, less the largest there was."""
    layer, (window,) = step.operation, changes
    frame = frame_of(step, window, primals)
    if frame is None:
        return None
    within = seen(step.inputs[0], frame, primals, primals.value(step.inputs[0]).dtype.min)
    largest = tf.nn.max_pool2d(within + cut(window, frame, primals), layer.pool_size, layer.strides, "VALID")
    changed = LocalMap(largest, frame.down, frame.right)
    return changed.with_values(largest - primals.beside(step.outputs[0], changed))


def multiplied(step: Step, changes: list[Tangent | None], primals: Primals) -> Tangent | None:
    """(a + da) (b + db) - a b = da b + db (a + da)."""
    if not multiplies_maps(step, primals):
        return None
    first, second = changes
    terms = [] if first is None else [term(step, 0, changes, primals)]
    terms += [] if second is None else [term(step, 1, changes, primals, also=first)]
    return joined_terms(step, terms, primals)


def recomputed(step: Step, changes: list[Tangent | None], primals: Primals) -> list[Tangent | None]:
    """Any step, over whole maps; what is no real number (an index) is passed on as it is when it is changed."""
    changed = {i: change for i, change in zip(step.inputs, changes, strict=True) if change is not None}
    if not changed:
        return [None] * len(step.outputs)
    values = {slot: _changed(slot, changed.get(slot), primals) for slot in dict.fromkeys(step.inputs)}
    step(values)
    return [_difference(slot, values[slot], primals) for slot in step.outputs]


def _changed(slot: int, change: Tangent | None, primals: Primals) -> tf.Tensor:
    if change is not None and not primals.is_float([slot]):
        return change
    plain = primals.own(slot)
    return tf.cast(
        plain if change is None else plain + tf.cast(primals.whole(change), plain.dtype), primals.native[slot]
    )


def _difference(slot: int, changed: tf.Tensor, primals: Primals) -> Tangent:
    if not primals.is_float([slot]):
        return changed
    plain = primals.own(slot)
    out = tf.cast(tf.cast(changed, plain.dtype) - plain, primals.dtype)
    return primals.as_map(out) if out.shape.rank == 4 else out
