"""Deletion and insertion (Petsiuk et al. 2018): how fast a class goes when the pixels that a map ranks highest go, and
how fast it comes when they come.

Deletion starts from the image and paints pixels grey; insertion starts from the blurred image and puts pixels back.
Every step of every map is one forward pass; steps of several maps share a batch, and all classes are read from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.caches import cached
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods.method import GREY
from activation_atlas.stages.vision.batching import packed, padded
from activation_atlas.stages.vision.lazy import tf
from activation_atlas.stages.vision.model import Model, freeze, open_model

BLUR = 0.05
"""Standard deviation of insertion's Gaussian blur, as a share of the shorter side (11 pixels of 224)."""


@dataclass(frozen=True)
class Curves:
    """Probabilities of all classes along the way, float32 (n, steps + 1, K); None where not asked for.

    Step s of ``deletion`` lacks the first floor(s N / steps) of the N pixels; step s of ``insertion`` has just these.
    """

    deletion: np.ndarray | None
    insertion: np.ndarray | None


class PixelCurves:
    """Deletion and insertion by one model, compiled once: ``(pixels, ranks) -> curves``."""

    def __init__(self, model: Model, batch: int, steps: int, deletion: bool = True, insertion: bool = True) -> None:
        self.model, self.batch, self.steps = model, batch, steps
        self.deletion, self.insertion = deletion, insertion
        size, one = model.input_size, tf.TensorSpec((batch,), tf.int32)
        image = tf.TensorSpec((batch, *size, model.channels), tf.float32)
        self.prepare = freeze(self._prepare, tf.TensorSpec((batch, *size, model.channels), tf.uint8))
        ranks = tf.TensorSpec((batch, *size), tf.int32)
        self.step = freeze(self._step, image, image, ranks, one, one, tf.TensorSpec((batch,), tf.bool))
        self.counts = np.arange(steps + 1, dtype=np.int64) * (size[0] * size[1]) // steps

    def _prepare(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        down, right = (tf.constant(gaussian(n, BLUR * min(self.model.input_size))) for n in self.model.input_size)
        blurred = tf.einsum("ij,njkc,lk->nilc", down, tf.cast(pixels, tf.float32), right)
        return self.model.to_input(pixels), self.model.to_input(blurred)

    def _step(
        self, x: tf.Tensor, blurred: tf.Tensor, ranks: tf.Tensor, own: tf.Tensor, count: tf.Tensor, insert: tf.Tensor
    ) -> tf.Tensor:
        """Probabilities (batch, K) of image ``own``: with its first ``count`` pixels only, or without them."""
        image, first = tf.gather(x, own), (tf.gather(ranks, own) < count[:, None, None])[..., None]
        grey = self.model.to_input(tf.fill((1, *self.model.input_size, self.model.channels), GREY))
        insert = insert[:, None, None, None]
        shown = tf.where(tf.equal(first, insert), image, tf.where(insert, tf.gather(blurred, own), grey))
        (logits,) = self.model.values(shown, [self.model.program.output])
        return tf.cast(self.model.probabilities(logits), tf.float32)

    def __call__(self, pixels: np.ndarray, ranks: np.ndarray) -> Curves:
        """
        Args:
            pixels: uint8 (n, h, w, c) at the model's input size, 1 <= n <= batch.
            ranks: int32 (n, h, w), the order of each image's pixels, from 0.
        """
        n, steps = len(pixels), self.steps
        x, blurred = self.prepare(tf.constant(padded(pixels, self.batch)))
        held = tf.constant(padded(ranks, self.batch))
        # Deletion's steps, then insertion's but for the last: that is the image, deletion's first.
        jobs = (steps + 1) * self.deletion + (steps + (not self.deletion)) * self.insertion
        batches = []
        for own, job, real in packed([jobs] * n, self.batch):
            insert = job > steps if self.deletion else np.ones(len(job), bool)
            count = self.counts[job - (steps + 1) * (insert & self.deletion)].astype(np.int32)
            made = self.step(x, blurred, held, *(tf.constant(v) for v in (own, count, insert)))
            batches.append(made.numpy()[:real])
        all_of = np.concatenate(batches).reshape(n, jobs, -1)
        deleted = all_of[:, : steps + 1] if self.deletion else None
        inserted = all_of[:, (steps + 1) * self.deletion :] if self.insertion else None
        if self.deletion and self.insertion:
            inserted = np.concatenate([inserted, all_of[:, :1]], 1)
        return Curves(deleted, inserted)


def gaussian(size: int, sigma: float) -> np.ndarray:
    """A blur along one side as a matrix, float32 (size, size); rows add up to 1, also at the border."""
    apart = np.arange(size)[:, None] - np.arange(size)
    weights = np.exp(-0.5 * (apart / sigma) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def area(curve: np.ndarray) -> np.ndarray:
    """Area under curves (..., steps + 1) over [0, 1], by trapezoids; in [0, 1] for probabilities."""
    curve = np.asarray(curve, np.float64)
    return (curve[..., 1:] + curve[..., :-1]).mean(-1) / 2


def pixel_curves(spec: ModelSpec, batch: int, steps: int, deletion: bool, insertion: bool) -> PixelCurves:
    """A :class:`PixelCurves`, kept within the process: compiled once for all shards."""
    return _compiled(open_model(spec), batch, steps, deletion, insertion)


@cached(1)
def _compiled(model: Model, batch: int, steps: int, deletion: bool, insertion: bool) -> PixelCurves:
    return PixelCurves(model, batch, steps, deletion, insertion)
