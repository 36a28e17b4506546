"""What a network makes of images of another size than its own, found by doing it."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def shape_of(function: Callable[[tf.Tensor], tf.Tensor], size: tuple[int, int, int]) -> tuple[int | None, ...] | None:
    """The shape of what a function of one image (1, h, w, c) gives, unknown sides as None; None where it gives nothing.

    It is traced, which refuses what does not fit, and then run: a table of positions that is too short for the tokens
    of a larger image is found out only there. On the CPU, for elsewhere what is beyond its end is read as zeros.
    """
    try:
        traced = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((1, *size), "float32"))
        with tf.device("CPU"):
            traced(tf.zeros((1, *size)))
    except Exception:  # whichever layer objects to the size, and however: the answer is no
        return None
    return tuple(traced.output_shapes)
