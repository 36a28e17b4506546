"""A layer's activations, the gradients of class scores there, and what the network says when they are shifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.model import Model, freeze


class AtLayer:
    """One layer of a model; images are uint8 (n, h, w, c) at its input size, in any number.

    Each way to ask is compiled when it is first taken, for ``batch`` images.
    """

    def __init__(self, model: Model, layer: str, batch: int) -> None:
        self._model, self._batch = model, batch
        self._trunk, self._head = model.trunk(layer), model.head(layer)
        self._slots = [model.slot(layer), *model.program.frontier(model.slot(layer))]
        self._images = tf.TensorSpec((batch, *model.input_size, model.channels), tf.uint8)

    def _maps(self, images: tf.Tensor) -> list[tf.Tensor]:
        return self._trunk(self._model.to_input(images))

    def _scores(self, maps: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.cast(self._model.scores(self._head(maps)), tf.float32)

    def _batches(self, function: Callable[..., tf.Tensor], *arrays: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(arrays[0]), self._batch):
            some = [array[start : start + self._batch] for array in arrays]
            asked = [tf.constant(padded(array, self._batch)) for array in some]
            found.append(function(*asked).numpy()[: len(some[0])])
        return np.concatenate(found)

    @cached_property
    def _pool(self) -> Callable[..., tf.Tensor]:
        def pool(images: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.reduce_mean(self._maps(images)[0], [1, 2]), tf.float32)

        return freeze(pool, self._images)

    def pooled(self, images: np.ndarray) -> np.ndarray:
        """Means of the activations over positions, (n, C) float32."""
        return self._batches(self._pool, images)

    def projected(self, images: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """The activation of every position along vectors (m, C), (n, H, W, m) float32."""
        along = tf.constant(vectors.T, self._model.dtype)
        project = freeze(lambda x: tf.cast(tf.tensordot(self._maps(x)[0], along, 1), tf.float32), self._images)
        return self._batches(project, images)

    @cached_property
    def _differentiate(self) -> Callable[..., tf.Tensor]:
        def differentiate(images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            maps = self._maps(images)
            with tf.GradientTape() as tape:
                tape.watch(maps[0])
                score = tf.gather(self._scores(maps), targets, batch_dims=1)
            return tf.cast(tf.reduce_sum(tape.gradient(score, maps[0]), [1, 2]), tf.float32)

        return freeze(differentiate, self._images, tf.TensorSpec((self._batch,), tf.int32))

    def gradients(self, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Of each image's score for its target (n,) int32, summed over positions: (n, C) float32.

        Times a vector: how fast the score rises when the vector is added at every position.
        """
        return self._batches(self._differentiate, images, targets)

    @cached_property
    def _keep(self) -> Callable[..., list[tf.Tensor]]:
        return freeze(self._maps, self._images)

    @cached_property
    def _shift(self) -> Callable[..., tf.Tensor]:
        def shift(along: tf.Tensor, vector: tf.Tensor, first: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
            return self._scores([first + along[..., None] * vector, *others])

        specs = [
            tf.TensorSpec((self._batch, *self._model.shapes[slot][1:]), self._model.held(slot)) for slot in self._slots
        ]
        flat = tf.TensorSpec(specs[0].shape[:3], specs[0].dtype)
        return freeze(shift, flat, tf.TensorSpec(specs[0].shape[3:], specs[0].dtype), *specs)

    def kept(self, images: np.ndarray) -> Kept:
        """At most ``batch`` images whose activations are held, to be shifted many times."""
        maps = self._keep(tf.constant(padded(images, self._batch)))
        return Kept(maps, len(images), self._shift)


class Kept:
    """Images at a layer."""

    def __init__(self, maps: Sequence[tf.Tensor], count: int, shift: Callable[..., tf.Tensor]) -> None:
        self._maps, self._count, self._shift = maps, count, shift

    def along(self, vector: np.ndarray) -> np.ndarray:
        """The activation of every position along a vector (C,): (n, H, W)."""
        return tf.tensordot(self._maps[0], tf.constant(vector, self._maps[0].dtype), 1).numpy()[: self._count]

    def shifted(self, by: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """Scores (n, K) float32 when each position moves ``by`` (n, H, W) along a vector (C,)."""
        kind = self._maps[0].dtype
        full = padded(by, self._maps[0].shape[0])
        return self._shift(tf.constant(full, kind), tf.constant(vector, kind), *self._maps).numpy()[: self._count]
