"""What sums and joins are made of: ensembles, smoothed labels, two sides of one sigmoid."""

from __future__ import annotations

from activation_atlas.stages.vision.model.logits.end import End
from activation_atlas.stages.vision.model.logits.meaning import Meaning

HARMLESS = 5e-6
"""A clip or an addend that changes probabilities by no more than this is left out."""

JOINS = ("Concatenate", "Stack")
_ADDS = ("Add", "Average")


def is_harmless(meaning: Meaning) -> bool:
    """Whether probabilities stay as they are, but for :data:`HARMLESS`."""
    clip = meaning.kind == "clip" and meaning.low <= HARMLESS and meaning.high >= 1 - HARMLESS
    added = meaning.kind == "affine" and meaning.scale == 1 and 0 < meaning.offset <= HARMLESS
    return clip or added


def terms_of(end: End, slot: int) -> tuple[float, list[tuple[float, int]]]:
    """A constant, and slots with weights: what a slot holds is the constant and the weighted sum of the slots."""
    meaning, step = end.meaning(slot), end.maker(slot)
    if meaning is not None and meaning.kind == "affine":
        constant, terms = terms_of(end, step.inputs[0])
        return constant * meaning.scale + meaning.offset, [(weight * meaning.scale, below) for weight, below in terms]
    parts, share = _parts(end, slot)
    if not parts or any(end.shapes[part] != end.shapes[slot] for part in parts):
        return 0.0, [(1.0, slot)]
    found = [terms_of(end, part) for part in parts]
    constant = share * sum(own for own, _ in found)
    return constant, [(share * weight, below) for _, terms in found for weight, below in terms]


def _parts(end: End, slot: int) -> tuple[tuple[int, ...], float]:
    """Slots whose sum, times a number, a slot holds."""
    meaning, step = end.meaning(slot), end.maker(slot)
    if meaning is not None and meaning.kind in ("mean", "sum"):
        stack = end.maker(step.inputs[0])
        if stack is not None and stack.kind == "Stack" and len(meaning.axes) == 1:
            return stack.inputs, 1 / len(stack.inputs) if meaning.kind == "mean" else 1.0
    if meaning is None and step is not None and step.kind in _ADDS and len(step.inputs) > 1:
        return step.inputs, 1 / len(step.inputs) if step.kind == "Average" else 1.0
    return (), 1.0
