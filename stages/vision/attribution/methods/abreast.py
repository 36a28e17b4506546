"""Pieces of a batch side by side: where one waits for memory or runs on a single core, another computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from stages.vision.attribution.methods.method import padded

PIECE = 8
"""Images of one piece: measured with MobileNet on two cores, between 4 and 64."""


def abreast(call: Callable[..., Sequence[tf.Tensor]], piece: int, *rows: np.ndarray) -> list[np.ndarray]:
    """What ``call`` gives for all rows, computed piece by piece, as many at once as there are cores.

    Args:
        call: a frozen function of ``piece`` rows of each array; rows of what it returns belong to those.
        rows: arrays with the same number of rows, at least one; the last piece is filled up with zeros.
    """
    count = len(rows[0])

    def one(start: int) -> list[np.ndarray]:
        given = (array[start : start + piece] for array in rows)
        found = call(*(tf.constant(padded(part, piece)) for part in given))
        return [tensor.numpy()[: count - start] for tensor in found]

    starts = range(0, count, piece)
    if len(starts) == 1:
        return one(0)
    with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
        return [np.concatenate(parts) for parts in zip(*pool.map(one, starts), strict=True)]
