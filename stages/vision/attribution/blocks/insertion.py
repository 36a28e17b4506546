"""What a position of a layer says by itself: the logits with its block in the layer's map of a plain grey image, less
the logits of that map alone.

The gradient and a removal ask what the rest of the image leaves for a position to change; here there is no rest. As
Petsiuk et al. (2018) put pixels into a blurred image, a block of the image's map is put into a map of nothing: that
of the grey with which occlusion hides, through the whole network, so that all branches agree on it. The algorithms are
a removal's, begun from the grey image instead of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.attribution.blocks.removal import Removal, RemovalMode
from activation_atlas.stages.vision.attribution.forward_mode import Algorithm
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.attribution.methods.method import GREY
from activation_atlas.stages.vision.model import Model


@dataclass(frozen=True)
class Insertion:
    """What is put in at a position.

    Attributes:
        window: positions along a side of the block around it, odd; where it reaches over the border it is clipped.
    """

    window: int = 3


class InsertionMode(RemovalMode):
    """Effects of inserting positions of one layer of one model, called as a ``ForwardMode`` is.

    Args:
        algorithm: as :func:`~stages.vision.attribution.choice.choose` found.
        classes: indices of the attributed classes; None for all.
    """

    def __init__(
        self,
        model: Model,
        layer: str,
        algorithm: Algorithm,
        classes: Sequence[int] | None = None,
        insertion: Insertion = Insertion(),
    ) -> None:
        self._grey: dict[int, np.ndarray] = {}
        super().__init__(model, layer, algorithm, classes, Removal(insertion.window))
        wanted = list(dict.fromkeys([*self.slots, model.program.output]))
        pixels = tf.fill((1, *model.input_size, model.channels), tf.constant(GREY))
        found = tf.function(lambda p: model.values(model.to_input(p), wanted), autograph=False)(pixels)
        self._grey = {slot: value.numpy() for slot, value in zip(wanted, found, strict=True)}
        self.slots = [self.tapped]

    @property
    def begins_at(self) -> np.ndarray:
        """Logits of the grey image, (1, K)."""
        return self._grey[self.model.program.output]

    def _of_all(
        self, activation: tf.Tensor, positions: Positions, value: Callable[[int], tf.Tensor], matrix: tf.Tensor | None
    ) -> tf.Tensor:
        maps, there = value(self.tapped), Positions(tf.zeros_like(positions.image), positions.row, positions.col)
        grey = value if not self._grey else lambda slot: tf.constant(self._grey[slot])
        if self.algorithm == "whole":
            own = [self.removal.kept(maps, grey(self.tapped), positions)]
            own += [tf.gather(grey(slot), there.image) for slot in self.frontier]
            return self.model.head(self.layer)(own) - grey(self.model.program.output)
        put = self.removal.removed(maps, positions)
        change = put.with_values(put.values - self.removal.removed(grey(self.tapped), there).values)
        if self.algorithm == "affine":
            return self._by_products(change, there, matrix)
        return self._by_windows(change, there, grey)
