"""One call of the head: the sampled positions, and the forward pass' values that rules ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import tensorflow as tf

from activation_atlas.stages.vision.attribution.local_maps import LocalMap, Positions, Span
from activation_atlas.stages.vision.model.half import NARROW, powers, times
from activation_atlas.stages.vision.model.program import Step

Tangent = LocalMap | tf.Tensor
"""How a slot changes with the sampled position, at its slope or by a finite step: a window of a map, or a tensor
(m, ...) for anything else."""


@dataclass(frozen=True)
class Primals:
    """One call: the sampled positions, and the values of the forward pass at the slots that rules ask for.

    Attributes:
        value: slot number to the tensor (n, ...) of the forward pass.
        shape: slot number to its shape, the batch first.
        native: slot number to the dtype in which the network itself computes it.
        tapped: height and width of the tapped layer.
        dtype: of the tangents, and of changes.
        twice: filled with the steps that took two reverse passes.
    """

    positions: Positions
    value: Callable[[int], tf.Tensor]
    shape: dict[int, tuple]
    native: dict[int, str]
    tapped: tuple[int, int]
    dtype: str
    twice: list[Step] = field(default_factory=list)

    def own(self, slot: int) -> tf.Tensor:
        """The value belonging to each sampled position's image: (m, ...)."""
        return tf.gather(self.value(slot), self.positions.image)

    def beside(self, slot: int, tangent: Tangent) -> tf.Tensor:
        """The forward pass' values where ``tangent`` lies."""
        if not isinstance(tangent, LocalMap):
            return self.own(slot)
        down, right = tangent.down, tangent.right
        if (down.size, right.size) == (down.full, right.full):
            return self.own(slot)
        return self.positions.read(self.value(slot), down.start, down.size, right.start, right.size)

    def whole(self, tangent: Tangent) -> tf.Tensor:
        """A tangent over the whole map."""
        if not isinstance(tangent, LocalMap):
            return tangent
        down, right = (
            Span.whole(n, span.full) for n, span in zip(self.tapped, (tangent.down, tangent.right), strict=True)
        )
        return self.positions.moved(tangent, down, right).values

    def laid(self, tangent: LocalMap, other: LocalMap) -> tf.Tensor:
        """What of a change lies in the window of another of the same map."""
        down, right = other.down, other.right
        return self.positions.cut(tangent, down.start, down.size, right.start, right.size)

    def as_map(self, tensor: tf.Tensor) -> LocalMap:
        """A whole map as the widest window."""
        down, right = (Span.whole(n, full) for n, full in zip(self.tapped, tensor.shape[1:3], strict=True))
        return LocalMap(tensor, down, right)

    def narrowed(self, changed: Mapping[int, tf.Tensor], step: Step) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Whole changes (m, ...) of slots, each in the type the network computes it in, and what they were divided by.

        In float16 a small change would vanish: each position's is divided by a power of two.
        """
        if not any(self.native[i] == NARROW for i in (*step.inputs, *step.outputs)):
            return [tf.cast(change, self.native[i]) for i, change in changed.items()], None
        power = powers(list(changed.values()), by_row=True)
        return [tf.cast(times(change, 1 / power), self.native[i]) for i, change in changed.items()], power

    def is_float(self, slots: Iterable[int]) -> bool:
        """Whether all are real numbers, which change by a difference."""
        return all(tf.as_dtype(self.native[slot]).is_floating for slot in slots)

    def widened(self, change: tf.Tensor, power: tf.Tensor | None) -> tf.Tensor:
        """A change that :meth:`narrowed` ones led to, as it is."""
        return tf.cast(change if power is None else times(change, power), self.dtype)

    def tensor(self, weight: tf.Variable) -> tf.Tensor:
        return tf.cast(tf.convert_to_tensor(weight), self.dtype)


Rule = Callable[[Step, list[Tangent | None], Primals], Tangent | None]
"""Tangents of a step's inputs (None where one does not change) -> the output's; None where the rule does not apply."""


def values_of(tangent: Tangent) -> tf.Tensor:
    """The numbers of a tangent."""
    return tangent.values if isinstance(tangent, LocalMap) else tangent


def with_values(tangent: Tangent, values: tf.Tensor) -> Tangent:
    """Other numbers in the same place."""
    return tangent.with_values(values) if isinstance(tangent, LocalMap) else values
