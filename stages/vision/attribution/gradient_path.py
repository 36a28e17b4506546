"""Whether gradients can flow from the logits back to a tensor, and which operation stops them where they cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import tensorflow as tf

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.program import Step


def require_gradient(model: Model, slot: int, where: str, instead: str | None = None) -> None:
    """Refuses a model whose logits have no gradient with respect to ``slot``; traces the head, runs nothing.

    Args:
        where: what the slot is, in the message: ``layer conv_5``, ``the image``.
        instead: what to do about it; default: to use a method that needs no gradient.

    Raises:
        UserError: an operation on every path from there to the logits has no gradient; it is named.
    """
    step = blocked_by(model, slot)
    if step is not None:
        raise UserError(
            f"model {model.name}: no gradient of the logits reaches {where}, because {step.name} ({step.kind}) has "
            f"none; {instead or f'use {without_gradients()}'}"
        )


def without_gradients() -> str:
    """The methods that need no gradient, as an offer: ``a method without gradients: eigen_cam, ... or rise``."""
    *names, last = (m.name for m in METHODS.values() if "gradient" not in m.needs)
    return f"a method without gradients: {', '.join(names)} or {last}"


def blocked_by(model: Model, slot: int, output: int | None = None) -> Step | None:
    """The step nearest the logits that stops their gradient on its way to ``slot``; None where it arrives.

    Args:
        output: a slot whose gradient is meant instead of the logits'.

    An operation without a gradient is one that TensorFlow gives none for (argmax, round, an area resize); one whose
    gradient is zero everywhere, as of a sign, is not found here but gives maps of zeros.
    """
    program = model.program if output is None else replace(model.program, output=output, _made_by={})
    steps, given = program.after(slot), [slot, *program.frontier(slot)]
    blocked: list[Step] = []

    def trace(*tensors: tf.Tensor) -> tf.Tensor:
        values = dict(zip(given, tensors, strict=True))
        watched = {slot: values[slot]}
        with tf.GradientTape() as tape:
            tape.watch(values[slot])
            for step in steps:
                step(values)
                # Every float on the way counts as a variable: a gradient reaches what lies behind the obstacle.
                own = {i: values[i] for i in step.outputs if values[i].dtype.is_floating}
                tape.watch(list(own.values()))
                watched.update(own)
            total = tf.reduce_sum(values[program.output])
        gradients = dict(zip(watched, tape.gradient(total, list(watched.values())), strict=True))
        if gradients[slot] is None:
            blocked.extend(step for step in steps if any(gradients.get(i, 0) is None for i in step.inputs))
        return total

    try:
        _traced(model, trace, given)
    except LookupError:  # TensorFlow knows no gradient of an operation, and does not say whose it is
        blocked.extend(step for step in steps if _has_no_gradient(model, step))
    return blocked[-1] if blocked else None


def _traced(model: Model, function: Callable[..., tf.Tensor], slots: list[int]) -> None:
    specs = [tf.TensorSpec(model.shapes[i], model.native[i]) for i in slots]
    tf.function(function, autograph=False).get_concrete_function(*specs)


def _has_no_gradient(model: Model, step: Step) -> bool:
    slots = list(dict.fromkeys(step.inputs))

    def trace(*tensors: tf.Tensor) -> tf.Tensor:
        values = dict(zip(slots, tensors, strict=True))
        floats = [x for x in tensors if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            step(values)
        tape.gradient([values[i] for i in step.outputs], floats)
        return tf.zeros(())

    try:
        _traced(model, trace, slots)
    except LookupError:
        return True
    return False
