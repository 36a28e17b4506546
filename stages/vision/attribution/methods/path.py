"""Gradients along the way from a baseline to the image, times the difference: they add up to the score's change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.input_gradient import settle
from activation_atlas.stages.vision.attribution.methods.many_passes import Jobs, ManyPasses, generator
from activation_atlas.stages.vision.attribution.methods.method import Explain, Maps, Method, Setting


class IntegratedGradients(ManyPasses):
    """n intervals, n + 1 points, the two ends with half a weight."""

    def __init__(self, setting: Setting) -> None:
        model, self.intervals = setting.model, setting.options.steps
        zero = tf.zeros((1, *model.input_size, model.channels))
        baseline = model.to_input(zero) if setting.options.baseline == "black" else zero
        one = tf.TensorSpec((), tf.float32)
        sums = [tf.TensorSpec(model.input_size, tf.float32)]
        super().__init__(setting, self.intervals + 1, [one, one], sums, [baseline])

    def jobs(self, ids: Sequence[str]) -> Jobs:
        share = np.arange(self.passes, dtype=np.float32) / np.float32(self.intervals)
        weight = np.where((share == 0) | (share == 1), 0.5, 1.0).astype(np.float32)
        return tuple(np.broadcast_to(job, (len(ids), self.passes)) for job in (share, weight))

    def point(self, x: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]) -> tf.Tensor:
        return between(given[0], x, job[0])

    def terms(
        self, x: tf.Tensor, gradient: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        change = tf.reduce_sum(gradient * (x - given[0][:, None]), -1)
        return [job[1][:, None, None, None] * change]

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        total = self.total(pixels, targets, ids)
        maps = total.sums[0] / np.float32(self.intervals)
        gap = maps.sum((2, 3), dtype=np.float64) - (total.scores.astype(np.float64) - total.first)
        return Maps(maps, total.scores, gap.astype(np.float32))


class ExpectedGradients(ManyPasses):
    """A point at a uniform share of the way from a uniformly drawn background image, for each sample."""

    def __init__(self, setting: Setting) -> None:
        background = setting.model.to_input(tf.constant(setting.background))
        self.background = len(setting.background)
        jobs = [tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)]
        sums = [tf.TensorSpec(setting.model.input_size, tf.float32)]
        super().__init__(setting, setting.options.samples, jobs, sums, [background])

    def jobs(self, ids: Sequence[str]) -> Jobs:
        drawn = np.stack([generator(self.seed, i).random((self.passes, 2)) for i in ids])
        return drawn[..., 0].astype(np.float32), (drawn[..., 1] * self.background).astype(np.int32)

    def point(self, x: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]) -> tf.Tensor:
        return between(tf.gather(given[0], job[1]), x, job[0])

    def terms(
        self, x: tf.Tensor, gradient: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        return [tf.reduce_sum(gradient * (x - tf.gather(given[0], job[1])[:, None]), -1)]

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        total = self.total(pixels, targets, ids)
        return Maps(total.sums[0] / np.float32(self.passes), total.scores)


def between(start: tf.Tensor, end: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Points (n, h, w, c) at ``share`` (n,) of the way; exactly ``start`` at 0 and ``end`` at 1."""
    share = share[:, None, None, None]
    return (1 - share) * start + share * end


def integrated_gradients(setting: Setting) -> Explain:
    """sum over colour of (x - x') integral of g(x' + a (x - x')) da, by the trapezoid rule (Sundararajan et al. 2017).

    x' is black before preprocessing, or zero. Colours are summed, so that the whole map adds up to
    score(x) - score(x') (completeness, their proposition 1); ``gap`` is what it adds up to, less that.
    """
    return IntegratedGradients(setting)


def expected_gradients(setting: Setting) -> Explain:
    """sum over colour of the mean of (x - b) g(b + a (x - b)), a uniform, b of the background (Erion et al. 2021).

    Summed over pixels it is score(x) less the background's mean score, in expectation.
    """
    return ExpectedGradients(setting)


METHODS = (
    Method(
        "integrated_gradients",
        "gradients summed on the way from black to the image",
        "Sundararajan, Taly & Yan 2017",
        integrated_gradients,
        settle,
        signed=True,
    ),
    Method(
        "expected_gradients",
        "gradients on the ways from other images of the data to this one",
        "Erion, Janizek, Sturmfels, Lundberg & Lee 2021",
        expected_gradients,
        settle,
        background=lambda options: options.background,
        signed=True,
    ),
)
