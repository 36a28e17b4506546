"""Gradients through float16 steps, taken at a scale.

What is smaller than 6e-8 is zero in float16, and small gradients are common: of a mean over many positions, of pixels
in [0, 255]. Between the steps gradients therefore travel in float32, and each step gets what arrives at it multiplied
by a power of two that makes the largest value of each image between 1 and 2, divided out again behind it. So each
step's range is its own, where a loss scaled as a whole (Micikevicius et al. 2018, section 3.2) has one for all.
Values of the forward pass are what they were: a float16 number widened and narrowed again is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields

import tensorflow as tf

from activation_atlas.stages.vision.model.folding import Folding
from activation_atlas.stages.vision.model.program import Environment, Program, Step

NARROW = "float16"
LOWER = 2.0**-10
"""A second attempt's scale for images whose gradient overflowed at the first: a step may sum over many positions."""
_EXPONENT = 0x7F800000
"""The bits of a float32 that are its power of two."""
_plain: ContextVar[bool] = ContextVar("plain", default=False)


def simplifier(program: Program, native: Mapping[int, str]) -> Callable[[Iterable[Step], Iterable[int]], list[Step]]:
    """Steps of the program -> fewer that give the same, with gradients that do not vanish in float16.

    Where a step reads or writes float16 its slots hold float32: the same numbers.

    Args:
        native: slot number to the dtype in which the network itself computes it.
    """
    folding = Folding(program)
    if NARROW not in native.values():
        return folding
    return lambda steps, kept: [_scaled(step, native) for step in folding(steps, kept)]


def widened(dtype: str) -> str:
    """The type in which a slot of this native type is held between steps."""
    return "float32" if dtype == NARROW else dtype


def _scaled(step: Step, native: Mapping[int, str]) -> Step:
    own = {slot: native[slot] for slot in (*step.inputs, *step.outputs) if slot in native}
    if NARROW not in own.values():
        return step
    return ScaledStep(*(getattr(step, each.name) for each in fields(Step)), own)


@dataclass(frozen=True)
class ScaledStep(Step):
    """A step that computes in float16 between float32 slots; ``native``: the types of its slots in the network."""

    native: Mapping[int, str] = field(default_factory=dict)

    def __call__(self, values: Environment) -> None:
        slots = list(dict.fromkeys(self.inputs))
        if _plain.get():
            inner = {s: tf.cast(values[s], self.native.get(s, values[s].dtype)) for s in slots}
            Step.__call__(self, inner)
            values.update({s: tf.cast(inner[s], widened(inner[s].dtype.name)) for s in self.outputs})
            return

        @tf.custom_gradient
        def apply(*given: tf.Tensor) -> tuple[list[tf.Tensor], Callable]:
            inner = {s: tf.cast(x, self.native.get(s, x.dtype)) for s, x in zip(slots, given, strict=True)}
            reads = [inner[s] for s in slots]
            with tf.GradientTape(persistent=True) as tape:
                tape.watch([x for x in reads if x.dtype.is_floating])
                Step.__call__(self, inner)
            made = [inner[s] for s in self.outputs]

            def gradient(*upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None) -> object:
                found = _pulled(tape, made, reads, upstream)
                return (found, [None] * len(variables)) if variables is not None else found

            return [tf.cast(y, widened(y.dtype.name)) for y in made], gradient

        made = apply(*(values[s] for s in slots))
        made = made if isinstance(made, (list, tuple)) else [made]
        values.update(zip(self.outputs, made, strict=True))


@contextmanager
def unscaled() -> Iterator[None]:
    """What is traced under it has TensorFlow's own gradients, whose graph can be read; for a look, not for numbers."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def _pulled(
    tape: tf.GradientTape, made: list[tf.Tensor], reads: list[tf.Tensor], upstream: Sequence[tf.Tensor]
) -> list[tf.Tensor | None]:
    """Gradients with respect to ``reads``, float32; None for those that are no floats."""
    pairs = [(y, dy) for y, dy in zip(made, upstream, strict=True) if y.dtype.is_floating and dy is not None]
    asked = [x for x in reads if x.dtype.is_floating]
    if not asked:  # a class token, say, which is made of nothing but its weights
        return [None] * len(reads)
    power = powers([dy for _, dy in pairs], by_row=_rows_are_images([*asked, *(y for y, _ in pairs)]))

    def attempt(scale: float) -> list[tf.Tensor]:
        arriving = [tf.cast(times(dy, scale / power), y.dtype) for y, dy in pairs]
        found = tape.gradient([y for y, _ in pairs], asked, output_gradients=arriving, unconnected_gradients="zero")
        return [tf.cast(tf.convert_to_tensor(g), tf.float32) for g in found]

    first = attempt(1.0)
    fits = tf.reduce_all(tf.stack([_finite(g, power) for g in first]), 0)
    second = tf.cond(
        tf.reduce_all(fits), lambda: [tf.zeros_like(g) for g in first], lambda: [g / LOWER for g in attempt(LOWER)]
    )
    best = (tf.where(_beside(fits, a), a, b) for a, b in zip(first, second, strict=True))
    found = iter([times(g, power) for g in best])
    return [next(found) if x.dtype.is_floating else None for x in reads]


def _rows_are_images(tensors: Sequence[tf.Tensor]) -> bool:
    sizes = {x.shape[0] if x.shape.rank else -1 for x in tensors}
    return len(sizes) == 1 and -1 not in sizes


def powers(tensors: Sequence[tf.Tensor], by_row: bool) -> tf.Tensor:
    """The largest power of two that is not above the largest value, float32: of each row (n,), or of all, a scalar.

    1 where there is none, because all values are zero or one is not finite. Exact: read off the bits.
    """
    sizes = [tf.reduce_max(tf.abs(tf.cast(x, tf.float32)), tuple(range(by_row, x.shape.rank))) for x in tensors]
    largest = tf.reduce_max(tf.stack(sizes), 0)
    bits = tf.bitwise.bitwise_and(tf.bitcast(largest, tf.int32), _EXPONENT)
    power = tf.clip_by_value(tf.bitcast(bits, tf.float32), 2.0**-100, 2.0**100)
    return tf.where((largest > 0) & tf.math.is_finite(largest), power, 1.0)


def times(tensor: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """``tensor`` in float32 times a factor for each row, or for all."""
    return tf.cast(tensor, tf.float32) * _beside(factor, tensor)


def _beside(rows: tf.Tensor, tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(rows, (-1, *[1] * (tensor.shape.rank - 1))) if rows.shape.rank else rows


def _finite(tensor: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(tensor), tuple(range(like.shape.rank, tensor.shape.rank)))
