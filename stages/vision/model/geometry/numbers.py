"""Numbers of positions: an array of a tensor's shape that says which position of a map each value stands for.

int32, for two images: 0 for what is no position's, else 1 + row * width + column, in the second image height * width
more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import takewhile

import numpy as np

MOST = 2**23
"""Values of a tensor whose numbers are followed."""


def numbered(axes: Sequence[int], back: Sequence[bool], shape: tuple) -> np.ndarray | None:
    """The numbers of a map of that shape whose ``axes`` run down and right, some of them ``back``; None if too many."""
    if math.prod(shape) > MOST or shape[0] != 2:
        return None
    height, width = (shape[axis] for axis in axes)
    place = np.ones((1,) * len(shape), np.int32)
    for axis, turned, stride in zip((0, *axes), (False, *back), (height * width, width, 1), strict=True):
        along = np.arange(shape[axis], dtype=np.int32)[:: -1 if turned else 1] * stride
        place = place + along.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return np.broadcast_to(place, shape)


def in_a_row(grid: tuple[int, int], before: int, shape: tuple) -> np.ndarray:
    """The numbers of a tensor (n, T, ...) that holds ``grid`` row after row, behind ``before`` tokens."""
    count = grid[0] * grid[1]
    number = np.zeros((2, shape[1]), np.int32)
    number[:, before : before + count] = 1 + np.arange(2 * count).reshape(2, count)
    return spread(number, shape)


def alone(number: np.ndarray, made: tuple) -> np.ndarray | None:
    """The numbers of a tensor of which each token was made of one of the input, whose first axes it shares."""
    if number.shape == tuple(made):
        return number
    same = (a == b for a, b in zip(number.shape[:-1], made[:-1], strict=False))
    for axes in range(sum(1 for _ in takewhile(bool, same)), 1, -1):
        if is_constant(number, number.ndim - axes):
            return spread(number[(..., *[0] * (number.ndim - axes))], made)
    return None


def together(numbers: Iterable[np.ndarray | None], made: tuple) -> np.ndarray | None:
    """Of what meets value by value; None where different positions do."""
    found, *others = numbers
    for number in others:
        if found is None or number is None or ((found > 0) & (number > 0) & (found != number)).any():
            return None
        found = found if number is found else compact(np.maximum(found, number))
    return found


def is_constant(number: np.ndarray, axes: int) -> bool:
    """Whether the last ``axes`` hold one number each."""
    if all(stride == 0 for stride in number.strides[number.ndim - axes :]):
        return True
    return bool((number == number[(..., *[slice(0, 1)] * axes)]).all())


def compact(number: np.ndarray) -> np.ndarray:
    """The same, in less memory where the last axis holds one number each."""
    whole = number.ndim > 1 and number.size and is_constant(number, 1)
    return np.broadcast_to(number[..., :1], number.shape) if whole else number


def spread(number: np.ndarray, shape: tuple) -> np.ndarray:
    """Numbers of the first axes of a shape, for all that lies behind them."""
    return np.broadcast_to(number.reshape(*number.shape, *[1] * (len(shape) - number.ndim)), shape)
