"""Rules for operations that treat each position by itself: activations, norms, Dense, reshapes."""

from __future__ import annotations

import tensorflow as tf

from activation_atlas.stages.vision.attribution.tangents.primals import Primals, Tangent, values_of, with_values
from activation_atlas.stages.vision.model.program import Step


def same(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    return tangents[0]


def reshaped(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    out = tf.reshape(primals.whole(tangents[0]), (-1, *primals.shape[step.outputs[0]][1:]))
    return primals.as_map(out) if out.shape.rank == 4 else out


def scaled(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    """Batch normalisation at inference."""
    layer, (tangent,) = step.operation, tangents
    rank = len(primals.shape[step.inputs[0]])
    if layer.axis not in (-1, rank - 1):
        return None
    scale = tf.math.rsqrt(primals.tensor(layer.moving_variance) + layer.epsilon)
    if layer.gamma is not None:
        scale *= primals.tensor(layer.gamma)
    return with_values(tangent, values_of(tangent) * scale)


def rescaled(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    (tangent,) = tangents
    return with_values(tangent, values_of(tangent) * tf.cast(step.operation.scale, primals.dtype))


def pointwise(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    """Any function of one position (all its channels): differentiated inside of the window only."""
    (tangent,), (slot,) = tangents, step.inputs
    if not is_by_position(step):
        return None
    primal = tf.cast(primals.beside(slot, tangent), primals.native[slot])
    values = {slot: primal}
    (given,), power = primals.narrowed({slot: values_of(tangent)}, step)
    with tf.autodiff.ForwardAccumulator(primal, given) as accumulator:
        step(values)
    out = accumulator.jvp(values[step.outputs[0]], tf.UnconnectedGradients.ZERO)
    return with_values(tangent, primals.widened(out, power))


def is_by_position(step: Step) -> bool:
    """Whether the axis an operation works along, if any, is the channels'."""
    return getattr(step.operation, "axis", -1) in (-1, [-1], (-1,), 3, [3])


def relu(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    return _open(tangents[0], primals, step, top(step)) if is_clip(step) else pointwise(step, tangents, primals)


def is_clip(step: Step) -> bool:
    """Whether a ReLU is a cut at 0 and at :func:`top`."""
    layer = step.operation
    return not getattr(layer, "negative_slope", 0) and not getattr(layer, "threshold", 0)


def top(step: Step) -> float | None:
    """The highest value a ReLU gives; None: there is none."""
    name = activation_of(step)
    highest = 6.0 if "relu6" in (name, step.kind.lower()) else getattr(step.operation, "max_value", None)
    return None if highest is None else float(highest)


def _open(tangent: Tangent, primals: Primals, step: Step, highest: float | None) -> Tangent:
    """Passed on where the output lies strictly between 0 and ``highest``."""
    out = primals.beside(step.outputs[0], tangent)
    passes = out > 0 if highest is None else (out > 0) & (out < highest)
    return with_values(tangent, tf.where(passes, values_of(tangent), 0))


MIXING = {"softmax", "log_softmax", "glu", "sparsemax"}
"""Activations that look at other channels."""


def activation(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    name = activation_of(step)
    if name in ("linear", "relu", "relu6"):
        return activated(tangents[0], step, primals)
    return pointwise(step, tangents, primals) if name not in MIXING else None


def activation_of(step: Step) -> str | None:
    """The name of the activation an operation has inside; ``linear`` where it has none, None where that has no name."""
    inside = getattr(step.operation, "activation", None)
    return "linear" if inside is None else getattr(inside, "__name__", None)


def activated(tangent: Tangent, step: Step, primals: Primals) -> Tangent | None:
    """The activation inside of a convolution or Dense, where its slope can be told from its value."""
    name = activation_of(step)
    if name == "linear":
        return tangent
    if name in ("relu", "relu6"):
        return _open(tangent, primals, step, top(step))
    if name in ("sigmoid", "tanh"):
        out = primals.beside(step.outputs[0], tangent)
        return with_values(tangent, values_of(tangent) * (out * (1 - out) if name == "sigmoid" else 1 - out * out))
    return None


def known_slope(step: Step) -> bool:
    return activation_of(step) in ("linear", "relu", "relu6", "sigmoid", "tanh")


def dense(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    if not known_slope(step):
        return None
    (tangent,) = tangents
    out = tf.tensordot(values_of(tangent), primals.tensor(step.operation.kernel), 1)
    return activated(with_values(tangent, out), step, primals)
