"""Rules for operations on several inputs: sums, concatenations, products."""

from __future__ import annotations

import tensorflow as tf

from activation_atlas.stages.vision.attribution.local_maps import LocalMap, union
from activation_atlas.stages.vision.attribution.tangents.primals import Primals, Tangent, values_of, with_values
from activation_atlas.stages.vision.model.program import Step


def _aligned(step: Step, tangents: list[Tangent | None], primals: Primals) -> list[Tangent | None] | None:
    """The tangents in windows of one place and size; None where the inputs are of different shapes."""
    sizes = {primals.shape[i][1:-1] for i in step.inputs}
    if len(sizes) > 1:
        return None
    windows = [t for t in tangents if isinstance(t, LocalMap)]
    if not windows:
        return tangents
    down, right = union([w.down for w in windows]), union([w.right for w in windows])
    return [t if t is None else primals.positions.moved(t, down, right) for t in tangents]


def added(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    if len({primals.shape[i] for i in step.inputs}) > 1 or len(step.inputs) != len(tangents):
        return None
    aligned = _aligned(step, tangents, primals)
    changed = [t for t in aligned or () if t is not None]
    return with_values(changed[0], tf.add_n([values_of(t) for t in changed])) if changed else None


def joined(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    rank = len(primals.shape[step.outputs[0]])
    aligned = _aligned(step, tangents, primals)
    if aligned is None or step.operation.axis not in (-1, rank - 1):
        return None
    like = next(t for t in aligned if t is not None)
    shape = tf.shape(values_of(like))[:-1]
    parts = [
        tf.zeros(tf.concat([shape, [primals.shape[i][-1]]], 0), primals.dtype) if t is None else values_of(t)
        for i, t in zip(step.inputs, aligned, strict=True)
    ]
    return with_values(like, tf.concat(parts, -1))


def multiplied(step: Step, tangents: list[Tangent | None], primals: Primals) -> Tangent | None:
    """Product of two: a map and a map, or a map and its gate (1 x 1 positions)."""
    if not multiplies_maps(step, primals):
        return None
    return joined_terms(step, [term(step, k, tangents, primals) for k in range(2) if tangents[k] is not None], primals)


def multiplies_maps(step: Step, primals: Primals) -> bool:
    return len(step.inputs) == 2 and all(len(primals.shape[i]) == 4 for i in step.inputs)


def term(step: Step, k: int, changes: list[Tangent | None], primals: Primals, also: Tangent | None = None) -> LocalMap:
    """The change of factor ``k`` times the other factor, which may be changed by ``also``."""
    slot, other = step.inputs[k], step.inputs[1 - k]
    change = changes[k]
    gates, gated = primals.shape[slot][1:3] == (1, 1), primals.shape[other][1:3] == (1, 1)
    if gates and not gated:
        value = primals.own(other)
        return primals.as_map(change.values * (value if also is None else value + primals.whole(also)))
    if gated:
        value = primals.own(other)
        return change.with_values(change.values * (value if also is None else value + also.values))
    value = primals.beside(other, change)
    return change.with_values(change.values * (value if also is None else value + primals.laid(also, change)))


def joined_terms(step: Step, terms: list[LocalMap], primals: Primals) -> LocalMap | None:
    """The sum of what lies in several windows; None where one is not as deep as the output."""
    if not terms or any(t.values.shape[-1] != primals.shape[step.outputs[0]][-1] for t in terms):
        return None
    down, right = union([t.down for t in terms]), union([t.right for t in terms])
    return LocalMap(tf.add_n([primals.positions.moved(t, down, right).values for t in terms]), down, right)
