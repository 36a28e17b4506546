"""What a position of a layer does for every class: the logits, less the logits where the position is not there.

Zeiler & Fergus (2014, section 4.2) grey out windows of the image; here a block of the layer's map is put to a
reference, and nothing is linearised. Three algorithms for the same numbers (:mod:`.proof` tells which hold):

- ``affine``: the head is an affine map, so its Jacobian times what is taken away is the difference;
- ``windows``: the change is pushed step by step through the head, inside the window it can reach
  (:data:`~stages.vision.attribution.tangents.FINITE`);
- ``whole``: the head once more for each position: what a removal is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.attribution.forward_mode import WORKING, Algorithm, ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import LocalMap, Positions, Span
from activation_atlas.stages.vision.attribution.tangents import FINITE
from activation_atlas.stages.vision.attribution.tangents.finite import recomputed
from activation_atlas.stages.vision.model import Model


@dataclass(frozen=True)
class Removal:
    """What is taken away at a position.

    Attributes:
        window: positions along a side of the block around it, odd; where it reaches over the border it is clipped.
        fill: what stands there instead: zero, or the mean over the positions of the image's own map.
    """

    window: int = 1
    fill: Literal["zero", "mean"] = "zero"

    def removed(self, maps: tf.Tensor, positions: Positions) -> LocalMap:
        """What the maps (n, H, W, C) hold in the blocks, less what stands there instead; zero outside of the blocks."""
        down, right = (self._span(full) for full in maps.shape[1:3])
        block = positions.read(maps, down.start, down.size, right.start, right.size)
        if self.fill == "mean":
            block -= tf.gather(tf.reduce_mean(maps, (1, 2)), positions.image)[:, None, None]
        rows, cols = positions.indices(down.start, down.size, 0), positions.indices(right.start, right.size, 1)
        return LocalMap(tf.where(self._inside(rows, cols, positions), block, 0), down, right)

    def without(self, maps: tf.Tensor, positions: Positions) -> tf.Tensor:
        """The map of each position's image without its block, (m, H, W, C)."""
        own = tf.gather(maps, positions.image)
        fill = tf.reduce_mean(own, (1, 2), keepdims=True) if self.fill == "mean" else tf.zeros_like(own[:, :1, :1])
        rows, cols = (tf.range(full)[None] for full in maps.shape[1:3])
        return tf.where(self._inside(rows, cols, positions), fill, own)

    def kept(self, maps: tf.Tensor, instead: tf.Tensor, positions: Positions) -> tf.Tensor:
        """The block of each position's image on one map (1, H, W, C) that stands everywhere else, (m, H, W, C)."""
        rows, cols = (tf.range(full)[None] for full in maps.shape[1:3])
        return tf.where(self._inside(rows, cols, positions), tf.gather(maps, positions.image), instead)

    def _span(self, full: int) -> Span:
        reach, at = self.window // 2, np.arange(full)
        size = min(self.window, full)
        return Span(np.clip(at - reach, 0, full - size), size, full)

    def _inside(self, rows: tf.Tensor, cols: tf.Tensor, positions: Positions) -> tf.Tensor:
        """Which of rows (m or 1, h) and columns (m or 1, w) of a map lie in the blocks: (m, h, w, 1)."""
        reach = self.window // 2
        near = tf.abs(rows - positions.row[:, None]) <= reach, tf.abs(cols - positions.col[:, None]) <= reach
        return (near[0][:, :, None] & near[1][:, None, :])[..., None]


class RemovalMode(ForwardMode):
    """Effects of removing positions of one layer of one model, called as a :class:`ForwardMode` is.

    Args:
        algorithm: as :func:`~stages.vision.attribution.choice.choose` found.
        classes: indices of the attributed classes; None for all.
    """

    rules, otherwise = FINITE, staticmethod(recomputed)

    def __init__(
        self,
        model: Model,
        layer: str,
        algorithm: Algorithm,
        classes: Sequence[int] | None = None,
        removal: Removal = Removal(),
    ) -> None:
        self.removal = removal
        super().__init__(model, layer, algorithm, classes)

    def _of_all(
        self, activation: tf.Tensor, positions: Positions, value: Callable[[int], tf.Tensor], matrix: tf.Tensor | None
    ) -> tf.Tensor:
        if self.algorithm == "whole":
            return self._by_head(positions, value)
        removed = self.removal.removed(value(self.tapped), positions)
        if self.algorithm == "affine":
            return self._by_products(removed, positions, matrix)
        return -self._by_windows(removed.with_values(-removed.values), positions, value)

    def _by_products(self, removed: LocalMap, positions: Positions, matrix: tf.Tensor) -> tf.Tensor:
        if matrix.shape[0] == 1:
            return self._by_matrix(tf.reduce_sum(removed.values, (1, 2)), positions, matrix)
        found = []
        for i in range(removed.down.size):
            for j in range(removed.right.size):
                row = tf.gather(tf.constant(removed.down.start + i, tf.int32), positions.row)
                col = tf.gather(tf.constant(removed.right.start + j, tf.int32), positions.col)
                found.append(self._by_matrix(removed.values[:, i, j], Positions(positions.image, row, col), matrix))
        return tf.add_n(found)

    def _begin_whole(self) -> None:
        self.slots = [self.tapped, *self.frontier, self.model.program.output]
        widest = max(int(np.prod(self.model.shapes[slot][1:])) for step in self.steps for slot in step.outputs)
        self.most = int(np.clip(WORKING // (4 * max(1, widest)), 4, self.most))

    def _by_head(self, positions: Positions, value: Callable[[int], tf.Tensor]) -> tf.Tensor:
        given = [self.removal.without(value(self.tapped), positions)]
        given += [tf.gather(value(slot), positions.image) for slot in self.frontier]
        return tf.gather(value(self.model.program.output), positions.image) - self.model.head(self.layer)(given)
