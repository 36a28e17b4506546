"""What is wanted. ``Tap``: (map) -> (activations); ``Objective``: (activations, directions) -> (values)."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Tap = Callable[[tf.Tensor], tf.Tensor]
Objective = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def centre(maps: tf.Tensor) -> tf.Tensor:
    """The activation at row H // 2, column W // 2 of maps (n, H, W, C): (n, C)."""
    shape = tf.shape(maps)
    return maps[:, shape[1] // 2, shape[2] // 2]


def spatial_mean(maps: tf.Tensor) -> tf.Tensor:
    """The mean over the positions of maps (n, H, W, C): (n, C)."""
    return tf.reduce_mean(maps, axis=(1, 2))


BORDER = 2
"""Positions at each edge of a map that :func:`interior_mean` leaves out."""


def interior_mean(maps: tf.Tensor) -> tf.Tensor:
    """The mean over the positions of maps (n, H, W, C) that are not at the border: (n, C).

    Two positions at each edge are left out, where what lies outside the image is seen (Chollet, Deep Learning with
    Python); fewer where none would be left.
    """
    cuts = [min(BORDER, (side - 1) // 2) for side in maps.shape[1:3]]
    (top, left), (height, width) = cuts, maps.shape[1:3]
    return spatial_mean(maps[:, top : height - top, left : width - left])


def at(row: int, col: int) -> Tap:
    """The activation at one position."""
    return lambda maps: maps[:, row, col]


TAPS: dict[str, Tap] = {"centre": centre, "mean": spatial_mean, "interior": interior_mean}


def tap_of(name: str) -> Tap:
    """One of :data:`TAPS`, or ``at:ROW,COL``."""
    if name.startswith("at:"):
        row, col = name.removeprefix("at:").split(",")
        return at(int(row), int(col))
    return TAPS[name]


def cosine(activations: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
    """cos(a, v) of each pair of rows (n, C): (n,), in [-1, 1]; 0 where either is zero."""
    norms = _safe_norm(activations) * _safe_norm(directions)
    return tf.reduce_sum(activations * directions, axis=1) / norms


def direction(power: float = 4.0, floor: float = 0.1) -> Objective:
    """(a . v) max(floor, cos(a, v))^power, for unit directions v.

    Carter et al., Activation Atlas (2019): the dot product alone is answered by
    whatever is loudest, the cosine alone by faint noise.
    """

    def objective(activations: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        dot = tf.reduce_sum(activations * directions, axis=1)
        return dot * tf.maximum(tf.constant(floor, dot.dtype), cosine(activations, directions)) ** power

    return objective


def _safe_norm(x: tf.Tensor) -> tf.Tensor:
    # The epsilon is far below any activation that matters and keeps the gradient finite at zero.
    return tf.sqrt(tf.reduce_sum(x * x, axis=1) + tf.constant(1e-12, x.dtype))
