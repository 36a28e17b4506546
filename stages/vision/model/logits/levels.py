"""Logarithms in two slots: what tells the classes apart, and what is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from activation_atlas.stages.vision.model.logits.end import End
from activation_atlas.stages.vision.model.logits.functions import spread, wide


class Log(NamedTuple):
    """A logarithm in two slots: ``slot`` less ``over``, which is one number for each image, or None for 0.

    What is the same for all classes may be left out of the logits of a softmax.
    """

    slot: int
    over: int | None = None


class Levels:
    """Adds functions of slots to a program's end."""

    def __init__(self, end: End) -> None:
        self.end = end

    def add(self, name: str, function: Callable[..., tf.Tensor], slots: Sequence[int]) -> int:
        """A function that keeps the shape of the first slot."""
        return self.end.add(name, function, slots, self.end.shapes[slots[0]])

    def level(self, function: Callable[..., tf.Tensor], slots: Sequence[int], also: int | None = None) -> int:
        """A function that gives one number for each image, plus another such."""
        slots = [*slots, *([] if also is None else [also])]

        def level(*values: tf.Tensor) -> tf.Tensor:
            own = values if also is None else values[:-1]
            found = tf.reshape(function(*map(wide, own)), (-1,))
            return found if also is None else found + values[-1]

        return self.end.add("level", level, slots, (2,))

    def whole(self, known: Log) -> int:
        """One slot for a logarithm in two."""
        return self.moved(known, None)

    def moved(self, known: Log, over: int | None) -> int:
        """The slot that, less ``over``, is the same logarithm."""
        if known.over == over:
            return known.slot
        given = [s for s in (known.over, over) if s is not None]
        signs = [sign for s, sign in ((known.over, -1.0), (over, 1.0)) if s is not None]

        def function(x: tf.Tensor, *levels: tf.Tensor) -> tf.Tensor:
            return wide(x) + sum(sign * spread(v, x) for sign, v in zip(signs, levels, strict=True))

        return self.add("whole", function, [known.slot, *given])
