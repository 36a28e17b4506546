"""Sums over many gradients of each image: copies of several images share full batches, all in one frozen graph.

A map does not depend on its batch: an image's gradients are added one after another in the order of its passes,
whichever batches they came in. The sums travel from batch to batch as tensors, and ``tensor_scatter_nd_add`` adds
rows of one image in order on a CPU.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.vision.attribution.methods.input_gradient import Source, gradients
from activation_atlas.stages.vision.attribution.methods.method import Maps, Setting
from activation_atlas.stages.vision.batching import packed, padded
from activation_atlas.stages.vision.lazy import tf

Jobs = tuple[np.ndarray, ...]
"""What distinguishes the passes of n images: arrays (n, passes, ...)."""


@dataclass(frozen=True)
class Totals:
    """What the passes of n images added up to.

    Attributes:
        sums: arrays (n, k, ...), of what :meth:`ManyPasses.terms` returned.
        scores: (n, k), of the images themselves.
        first: (n, k), of every image's first pass.
    """

    sums: list[np.ndarray]
    scores: np.ndarray
    first: np.ndarray


class ManyPasses(ABC):
    """A method that differentiates the model at many points for each image.

    Args:
        passes: of each image.
        jobs: shapes and dtypes of :meth:`jobs`, without image and pass.
        sums: shapes and dtypes of :meth:`terms`, without image and target.
        given: tensors that :meth:`point` and :meth:`terms` receive as ``given``.
    """

    def __init__(
        self,
        setting: Setting,
        passes: int,
        jobs: Sequence[tf.TensorSpec],
        sums: Sequence[tf.TensorSpec],
        given: Sequence[tf.Tensor] = (),
    ) -> None:
        from activation_atlas.stages.vision.model import freeze

        model, batch, k = setting.model, setting.batch, setting.targets
        self.model, self.batch, self.seed, self.passes = model, batch, setting.seed, passes
        self.source = Source(model, setting.configured.get("layer"))
        shape = (batch, *model.input_size, model.channels)
        targets = tf.TensorSpec((batch, k), tf.int32)
        # One row more than images: where the rows go that only fill the last batch.
        self.empty = [tf.zeros((batch + 1, k, *spec.shape), spec.dtype) for spec in sums]
        self.given = list(given)
        self.prepare = freeze(self._prepare, tf.TensorSpec(shape, tf.uint8), targets)
        self.held = self.source.specs(batch)
        self.add = freeze(
            self._add,
            targets,
            *(tf.TensorSpec((batch,), tf.int32) for _ in range(2)),
            *self.held,
            *(tf.TensorSpec(zero.shape, zero.dtype) for zero in self.empty),
            *(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in self.given),
            *(tf.TensorSpec((batch, *spec.shape), spec.dtype) for spec in jobs),
        )

    @abstractmethod
    def jobs(self, ids: Sequence[str]) -> Jobs:
        """What is drawn or set for each pass of the images; depends on (seed, image id, pass) alone."""

    @abstractmethod
    def point(self, x: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]) -> tf.Tensor:
        """Where to differentiate, (b, h, w, c): for images, or their layer, x (b, h, w, c) and one pass of each."""

    @abstractmethod
    def terms(
        self, x: tf.Tensor, gradient: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        """What to sum, tensors (b, k, ...): from images (b, 1, h, w, c) and gradients (b, k, h, w, c)."""

    @abstractmethod
    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps: ...

    def _prepare(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        tensors = self.source.tensors(self.model.to_input(pixels))
        scores = tf.gather(self.source.scores(tensors), targets, axis=1, batch_dims=1)
        return tensors, tf.cast(scores, tf.float32)

    def _add(
        self, targets: tf.Tensor, image: tf.Tensor, row: tf.Tensor, *others: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """One batch of passes; ``others`` are the images' tensors, the sums so far, the jobs, and what is given."""
        left = iter(others)
        held, sums, given = ([next(left) for _ in some] for some in (self.held, self.empty, self.given))
        job = list(left)
        x, *rest = (tf.gather(tensor, image) for tensor in held)
        point = self.point(x, job, given)
        scores, gradient = gradients(self.source, [point, *rest], tf.gather(targets, image))
        terms = self.terms(x[:, None], gradient, job, given)
        added = [tf.tensor_scatter_nd_add(s, row[:, None], term) for s, term in zip(sums, terms, strict=True)]
        return added, scores

    def total(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Totals:
        """Runs all passes of 1 <= n <= batch images."""
        count = len(pixels)
        wanted = tf.constant(padded(targets, self.batch))
        held, scores = self.prepare(tf.constant(padded(pixels, self.batch)), wanted)
        jobs, sums = self.jobs(ids), self.empty
        first = np.empty((count, targets.shape[1]), np.float32)
        for image, number, real in packed([self.passes] * count, self.batch):
            row = np.where(np.arange(self.batch) < real, image, self.batch).astype(np.int32)
            own = (tf.constant(array) for array in (image, row))
            job = (tf.constant(array[image, number]) for array in jobs)
            sums, found = self.add(wanted, *own, *held, *sums, *self.given, *job)
            begins = np.flatnonzero(number[:real] == 0)
            first[image[begins]] = found.numpy()[begins]
        return Totals([s.numpy()[:count] for s in sums], scores.numpy()[:count], first)


def generator(seed: int, image_id: str) -> np.random.Generator:
    """What is drawn for an image: depends on the run's seed and the image's id alone."""
    digest = hashlib.sha256(f"{seed} {image_id}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, "<u4"))
