"""Small windows of a layer's map that travel with a sampled position.

A position touches only a few neighbours of the next layer, a few more of the
one after. Everything that changes when position (row, col) of the tapped layer
changes lies in a window whose place depends on row and col alone, so the starts
are tables made before any image is seen, and only the windows are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.model import geometry


@dataclass(frozen=True)
class Span:
    """Where windows lie along one axis of a map.

    Attributes:
        start: first row (or column) of the window, for every row (or column) of the tapped layer.
        size: of the window.
        full: of the map; windows lie inside of it.
    """

    start: np.ndarray
    size: int
    full: int

    @staticmethod
    def whole(tapped: int, full: int) -> Span:
        """The window that is the map."""
        return Span(np.zeros(tapped, np.int64), full, full)

    def through(self, window: geometry.Window, full: int) -> Span:
        """The outputs, of ``full``, that an operation computes from this window."""
        return _fitted(*window.influences(self.start, self.start + self.size - 1), full)


def _fitted(first: np.ndarray, last: np.ndarray, full: int) -> Span:
    size = int(min(max((last - first).max() + 1, 1), full))
    return Span(np.clip(first, 0, full - size), size, full)


def union(spans: Sequence[Span]) -> Span:
    """The smallest windows that hold all of the given ones."""
    first = np.min([s.start for s in spans], axis=0)
    last = np.max([s.start + s.size - 1 for s in spans], axis=0)
    return _fitted(first, last, spans[0].full)


@dataclass(frozen=True)
class LocalMap:
    """Values (m, down.size, right.size, channels), one window per sampled position; zero elsewhere."""

    values: tf.Tensor
    down: Span
    right: Span

    def with_values(self, values: tf.Tensor) -> LocalMap:
        return LocalMap(values, self.down, self.right)


@dataclass(frozen=True)
class Positions:
    """The sampled positions of one call: image (index into the batch), row and col, each (m,) int32."""

    image: tf.Tensor
    row: tf.Tensor
    col: tf.Tensor

    def indices(self, table: np.ndarray, size: int, axis: int) -> tf.Tensor:
        """``table[row or col] + 0 .. size - 1``: (m, size)."""
        start = tf.gather(tf.constant(table, tf.int32), self.col if axis else self.row)
        return start[:, None] + tf.range(size)[None]

    def cut(self, window: LocalMap, down: np.ndarray, height: int, right: np.ndarray, width: int) -> tf.Tensor:
        """The window seen through a frame of height x width that starts at ``down``, ``right``; zero outside."""
        have_h, have_w = window.down.size, window.right.size
        shift_h, shift_w = down - window.down.start, right - window.right.start
        if not shift_h.any() and not shift_w.any() and (height, width) == (have_h, have_w):
            return window.values
        if np.ptp(shift_h) == 0 and np.ptp(shift_w) == 0:
            rows, above = _fixed(int(shift_h[0]), height, have_h)
            cols, left = _fixed(int(shift_w[0]), width, have_w)
            return tf.pad(window.values[:, rows, cols], [(0, 0), above, left, (0, 0)])
        i, j = self.indices(shift_h, height, 0), self.indices(shift_w, width, 1)
        inside = _within(i, have_h)[:, :, None] & _within(j, have_w)[:, None, :]
        place = tf.where(inside, i[:, :, None] * have_w + j[:, None, :], have_h * have_w)
        channels = window.values.shape[-1]
        rows = tf.reshape(window.values, (-1, have_h * have_w, channels))
        rows = tf.pad(rows, [(0, 0), (0, 1), (0, 0)])  # what lies outside reads this row of zeros
        return tf.gather(rows, place, batch_dims=1)

    def moved(self, window: LocalMap, down: Span, right: Span) -> LocalMap:
        """The same window in another place and size that holds it."""
        return LocalMap(self.cut(window, down.start, down.size, right.start, right.size), down, right)

    def read(self, maps: tf.Tensor, down: np.ndarray, height: int, right: np.ndarray, width: int) -> tf.Tensor:
        """Frames of each position's own map; maps (n, H, W, C) -> (m, height, width, C). They must lie inside."""
        _, full_h, full_w, channels = maps.shape
        i, j = self.indices(down, height, 0), self.indices(right, width, 1)
        place = (self.image[:, None, None] * full_h + i[:, :, None]) * full_w + j[:, None, :]
        return tf.gather(tf.reshape(maps, (-1, channels)), place)

    def inside(self, table: np.ndarray, size: int, full: int, axis: int) -> tf.Tensor:
        """Which of the indices lie on the map: (m, size) bool."""
        return _within(self.indices(table, size, axis), full)


def _within(index: tf.Tensor, size: int) -> tf.Tensor:
    return (index >= 0) & (index < size)


def _fixed(shift: int, size: int, have: int) -> tuple[slice, tuple[int, int]]:
    """Rows to keep, and zeros to put (before, after), for one shift that holds for all."""
    first, last = max(0, shift), max(max(0, shift), min(have, shift + size))
    before = min(size, max(0, -shift))
    return slice(first, last), (before, size - before - (last - first))
