"""Sequences of tokens: which of their values stand for which position of a map, whatever moved them.

A transformer holds its map as a sequence (n, T, C), a class token and others beside it; windows, cut out of a map and
put into the batch, are another. Each value of such a tensor carries the number of its position. What only moves values
(a reshape, a transposition, a slice, a concatenation, a roll) is run on these numbers; what works on each token alone,
or, like attention, adds to each what it finds in others, leaves them where they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from keras import tree

from activation_atlas.stages.vision.model.geometry.numbers import (
    alone,
    compact,
    in_a_row,
    is_constant,
    spread,
    together,
)
from activation_atlas.stages.vision.model.geometry.reach import Reach
from activation_atlas.stages.vision.model.geometry.rules import is_known
from activation_atlas.stages.vision.model.geometry.windows import Window
from activation_atlas.stages.vision.model.keras_adapter import home, is_own
from activation_atlas.stages.vision.model.program import Slot, Step

Shapes = dict[int, tuple]
Grid = tuple[int, ...]
"""Rows and columns of positions in a sequence of tokens, as somebody says; perhaps how many tokens lie before."""
BESIDE = 8
"""Tokens beside the map that a layer which cannot be looked into may put before it, at most."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """What of a tensor stands for the positions of a map.

    Attributes:
        grid: height and width of the map.
        number: of the tensor's shape, for two images (:mod:`.numbers`).
        sides: what the positions see, down and right, apart from what attention adds.
        known: whether what every step on the way does to positions is known; else numbers must prove it.
        mixed: whether every position may have been told of all others.
        origin: where it is not known, the slot at which numbers must prove it: what follows from there is known.
    """

    grid: tuple[int, int]
    number: np.ndarray
    sides: tuple[Reach, Reach]
    known: bool = True
    mixed: bool = False
    origin: int | None = None

    @property
    def is_map(self) -> bool:
        """Whether the tensor is the map itself, (n, height, width, C)."""
        if self.number.ndim != 4 or self.number.shape[1:3] != self.grid:
            return False
        found = layout(self)
        return found is not None and found.before == 0 and not found.beside


@dataclass(frozen=True)
class Layout:
    """How a sequence of M tokens (n, ..., C), ``shape`` behind the batch, holds the map ``grid``.

    Attributes:
        order: which of the M tokens each position is, row after row.
        beside: which are no position's.
    """

    grid: tuple[int, int]
    order: tuple[int, ...]
    beside: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def before(self) -> int | None:
        """How many tokens lie before the positions, where these follow one another; None where they do not."""
        first, count = self.order[0], len(self.order)
        return first if self.order == tuple(range(first, first + count)) else None


def layout(tokens: Tokens) -> Layout | None:
    """How tokens lie in (n, T, C) or (n, S, T, C); None where these do not hold each position of the map once."""
    number, (height, width) = tokens.number, tokens.grid
    if number.ndim not in (3, 4) or not is_constant(number, 1):
        return None
    flat = number[..., 0].reshape(2, -1)
    count = height * width
    first, second = flat
    if not np.array_equal(np.sort(first[first > 0]), np.arange(1, count + 1)):
        return None
    if not np.array_equal(second, np.where(first > 0, first + count, 0)):
        return None
    order = np.argsort(np.where(first > 0, first, count + 1), kind="stable")
    return Layout(
        (height, width),
        tuple(order[:count].tolist()),
        tuple(np.flatnonzero(first == 0).tolist()),
        number.shape[1:],
    )


# -- what begins a sequence ------------------------------------------------------------


def guessed(grid: tuple[int, int], tokens: int) -> tuple[tuple[int, int], int] | None:
    """(grid, tokens before it) of a sequence that a layer makes of a map in a way nobody knows.

    Square patches that share out the whole map, and the fewest tokens beside them.
    """
    found = []
    for size in range(1, min(grid) + 1):
        cells = (grid[0] // size, grid[1] // size)
        if grid[0] % size or grid[1] % size:
            continue
        if 0 <= (before := tokens - cells[0] * cells[1]) <= BESIDE and math.prod(cells) > 1:
            found.append((before, size, cells))
    return (min(found)[2], min(found)[0]) if found else None


def square(tokens: int) -> str:
    """Which tokens of so many may be a square of positions, for messages; empty where none can be."""
    side = math.isqrt(tokens)
    beside = tokens - side**2
    if side < 2 or beside > BESIDE:
        return ""
    return f", perhaps [{side}, {side}]" + (f" and {beside} beside them" if beside else "")


def lengths(shapes: Shapes) -> list[int]:
    """How many tokens there are in a model's sequences, rising."""
    return sorted({shape[1] for shape in shapes.values() if len(shape) == 3 and None not in shape})


def unplaced(shapes: Shapes, instead: str = "") -> str:
    """What to do where no layer has positions: tell where a transformer's are, or do something else ``instead``."""
    known = [count for count in lengths(shapes) if count > 1]
    if not known:
        return f"; {instead}" if instead else ""
    say = f"say which of its {known[-1]} tokens are positions, model.tokens: [rows, columns] (--tokens)"
    return f"; {say}{square(known[-1])}" + (f"; or {instead}" if instead else "")


def patched(tokens: Tokens, made: tuple, astray: bool) -> Tokens | None:
    """The sequence (n, T, C) that a layer which cannot be looked into makes of a map, as far as its length tells."""
    found = guessed(tokens.grid, made[1]) if len(made) == 3 and made[0] == 2 else None
    if found is None:
        return None
    cells, before = found
    sides = shared_out(tokens.sides, tokens.grid, cells)
    return Tokens(cells, in_a_row(cells, before, made), sides, False, tokens.mixed or astray)


def told(said: Grid, made: tuple, size: tuple[int, int]) -> Tokens | None:
    """The sequence (n, T, C) that somebody says has such positions, evenly over an image of ``size``; None where T is
    too small, or another number of tokens lies beside them."""
    if len(made) != 3 or made[0] != 2 or None in made:
        return None
    grid, beside = said[:2], made[1] - said[0] * said[1]
    before = said[2] if len(said) > 2 else beside
    if min(grid) < 1 or math.prod(grid) < 2 or not 0 <= before <= beside <= BESIDE:
        return None
    strides = [pixels / count for pixels, count in zip(size, grid, strict=True)]
    sides = tuple(Reach(s, 0.0, s - 1, 0.0, pixels - 1.0) for s, pixels in zip(strides, size, strict=True))
    return Tokens(grid, in_a_row(grid, before, made), sides, False, True)


def shared_out(sides: tuple[Reach, Reach], grid: tuple[int, int], cells: tuple[int, int]) -> tuple[Reach, Reach]:
    """What ``cells`` see that share out a map of ``grid`` among them, of what the map's positions see."""
    sizes = (float(inside // outside) for inside, outside in zip(grid, cells, strict=True))
    return tuple(
        side.through(Window(size, 0.0, size - 1), count) for side, size, count in zip(sides, sizes, cells, strict=True)
    )


# -- what happens to one -----------------------------------------------------------------

MOVES = {
    *("Reshape", "Flatten", "Permute", "Transpose", "Swapaxes", "Moveaxis", "GetItem", "Squeeze", "ExpandDims"),
    *("Concatenate", "Stack", "Split", "Unstack", "Roll", "Flip", "Pad", "Take", "Copy", "Rot90"),
    *("Cropping1D", "ZeroPadding1D", "Cropping2D", "ZeroPadding2D", "TokenMap", "TokenSequence"),
}
"""Class names of what only moves values; what it fills up with zeros is no position's."""
MIXES = {
    *("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"),
    *("DotProductAttention", "Matmul", "Einsum"),
}
"""Class names of what gives each token of its first input something of all tokens."""
BLANK = {"ZerosLike", "OnesLike", "FullLike", "EmptyLike"}
"""Class names of what takes of its input the shape alone."""


def moves(step: Step) -> bool:
    """Whether a step only moves values."""
    return step.kind in MOVES and (home(step.operation) is not None or is_own(step.operation))


def through(
    step: Step, given: Mapping[int, Tokens], made: Sequence[tuple], shapes: Shapes, astray: bool
) -> list[Tokens | None]:
    """What a step makes of tokens, for each of its outputs of shapes ``made``.

    Args:
        given: of the step's inputs, those that hold positions.
        astray: whether another input comes from positions that were lost on the way.
    """
    first, *others = given.values()
    blank = step.kind in BLANK and home(step.operation) is not None
    if blank or any(other.grid != first.grid for other in others):
        return [None] * len(made)
    numbers = {slot: tokens.number for slot, tokens in given.items()}
    known, mixed = not astray, astray
    if moves(step):
        found = moved(step, numbers, shapes)
    elif step.kind in MIXES and home(step.operation) is not None:
        query, mixed = _query(step), True
        found = [alone(numbers[query], shape) if query in numbers else None for shape in made]
    elif is_known(step) or step.kind == "EinsumDense" or _works_alone(step, shapes):
        found = [together([alone(n, shape) for n in numbers.values()], shape) for shape in made]
    else:
        known, mixed = False, True
        found = [_opaque(first, shape) for shape in made]
        if len(found) == 1 and found[0] is None:
            return [patched(first, shape, True) for shape in made]
    origins = {tokens.origin for tokens in given.values() if not tokens.known}
    origin = origins.pop() if known and len(origins) == 1 else None
    known &= all(tokens.known for tokens in given.values())
    mixed |= any(tokens.mixed for tokens in given.values())
    return [
        Tokens(first.grid, number, first.sides, known, mixed, origin) if number is not None and number.any() else None
        for number in (found or [None] * len(made))
    ]


def _works_alone(step: Step, shapes: Shapes) -> bool:
    """Whether a step, on noise, changes a token of its only input's in its output, and no other."""
    shape = shapes[step.inputs[0]]
    if len(step.inputs) != 1 or len(step.outputs) != 1 or len(shape) != 3 or shapes[step.outputs[0]][:2] != shape[:2]:
        return False
    rng, token = np.random.default_rng(0), shape[1] // 2
    noise = rng.normal(size=shape).astype(np.float32)
    other = noise.copy()
    other[:, token] = rng.normal(0, 2, (2, shape[2]))  # also longer: a norm over all tokens changes
    with tf.init_scope():
        try:
            first, second = (_applied(step, tf.constant(x)) for x in (noise, other))
        except Exception:  # whatever a user's layer finds wrong with noise
            return False
    moved = (first != second).any((0, 2))
    return bool(moved[token]) and moved.sum() == 1


def _applied(step: Step, x: tf.Tensor) -> np.ndarray:
    values = {step.inputs[0]: x}
    step(values)
    return values[step.outputs[0]].numpy()


def _query(step: Step) -> int | None:
    """The slot whose tokens the output's are."""
    value = step.kwargs.get("query", step.args[0] if step.args else None)
    value = value[0] if isinstance(value, (list, tuple)) else value
    return value.number if isinstance(value, Slot) else step.inputs[0]


def moved(step: Step, numbers: Mapping[int, np.ndarray], shapes: Shapes) -> list[np.ndarray] | None:
    """The step run on numbers; everything else that it reads is no position's."""

    def number(x: Any) -> Any:
        if isinstance(x, Slot):
            return tf.constant(numbers[x.number]) if x.number in numbers else tf.zeros(shapes[x.number], tf.int32)
        return tf.zeros(x.shape, tf.int32) if "float" in str(getattr(x, "dtype", "")) else x

    args, kwargs = tree.map_structure(number, (list(step.args), step.kwargs))
    with tf.init_scope():
        try:
            return [compact(x.numpy()) for x in tree.flatten(step.operation(*args, **kwargs))]
        except Exception:  # whatever a layer finds wrong with whole numbers
            return None


def _opaque(tokens: Tokens, made: tuple) -> np.ndarray | None:
    """What a layer that cannot be looked into may have left where it was; tokens that it adds or takes lie in front."""
    number = alone(tokens.number, made)
    if number is not None or len(made) != 3 or tokens.number.ndim != 3 or made[0] != len(tokens.number):
        return number
    more = made[1] - tokens.number.shape[1]
    if not is_constant(tokens.number, 1) or more > BESIDE or (more < 0 and tokens.number[:, :-more].any()):
        return None
    rows = np.pad(tokens.number[..., 0], ((0, 0), (max(more, 0), 0)))[:, max(-more, 0) :]
    return spread(rows, made)
