"""Rules for operations on several inputs: sums, concatenations, products."""

from __future__ import annotations

import tensorflow as tf

from stages.vision.attribution.tangents.push import Push, Tangent, values_of, with_values
from stages.vision.attribution.windows import Window, union
from stages.vision.model.program import Step


def _aligned(step: Step, tangents: list[Tangent | None], push: Push) -> list[Tangent | None] | None:
    """The tangents in windows of one place and size; None where the inputs are of different shapes."""
    sizes = {push.shape[i][1:-1] for i in step.inputs}
    if len(sizes) > 1:
        return None
    windows = [t for t in tangents if isinstance(t, Window)]
    if not windows:
        return tangents
    down, right = union([w.down for w in windows]), union([w.right for w in windows])
    return [t if t is None else push.places.moved(t, down, right) for t in tangents]


def added(step: Step, tangents: list[Tangent | None], push: Push) -> Tangent | None:
    if len({push.shape[i] for i in step.inputs}) > 1 or len(step.inputs) != len(tangents):
        return None
    aligned = _aligned(step, tangents, push)
    changed = [t for t in aligned or () if t is not None]
    return with_values(changed[0], tf.add_n([values_of(t) for t in changed])) if changed else None


def joined(step: Step, tangents: list[Tangent | None], push: Push) -> Tangent | None:
    rank = len(push.shape[step.outputs[0]])
    aligned = _aligned(step, tangents, push)
    if aligned is None or step.operation.axis not in (-1, rank - 1):
        return None
    like = next(t for t in aligned if t is not None)
    shape = tf.shape(values_of(like))[:-1]
    parts = [
        tf.zeros(tf.concat([shape, [push.shape[i][-1]]], 0), push.dtype) if t is None else values_of(t)
        for i, t in zip(step.inputs, aligned, strict=True)
    ]
    return with_values(like, tf.concat(parts, -1))


def multiplied(step: Step, tangents: list[Tangent | None], push: Push) -> Tangent | None:
    """Product of two: a map and a map, or a map and its gate (1 x 1 positions)."""
    if len(step.inputs) != 2 or any(len(push.shape[i]) != 4 for i in step.inputs):
        return None
    full = push.shape[step.outputs[0]]
    terms = []
    for slot, other, tangent in zip(step.inputs, step.inputs[::-1], tangents, strict=True):
        if tangent is None:
            continue
        gates, gated = push.shape[slot][1:3] == (1, 1), push.shape[other][1:3] == (1, 1)
        if gates and not gated:
            terms.append(push.as_map(tangent.values * push.own(other)))
        else:
            terms.append(
                tangent.with_values(tangent.values * (push.own(other) if gated else push.beside(other, tangent)))
            )
    if any(t.values.shape[-1] != full[-1] for t in terms):
        return None
    down, right = union([t.down for t in terms]), union([t.right for t in terms])
    return Window(tf.add_n([push.places.moved(t, down, right).values for t in terms]), down, right)
