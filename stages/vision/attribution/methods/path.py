"""Gradients along the way from a baseline to the image, times the difference: they add up to the score's change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.specs import PositiveInt
from activation_atlas.stages.vision.attribution.methods.input_gradient import Source, configure_anywhere
from activation_atlas.stages.vision.attribution.methods.many_passes import Jobs, ManyPasses, generator
from activation_atlas.stages.vision.attribution.methods.method import (
    Explain,
    InputOrLayer,
    Maps,
    Method,
    Pair,
    Setting,
)
from activation_atlas.stages.vision.lazy import tf


class IntegratedGradients(InputOrLayer):
    name: Literal["integrated_gradients"] = "integrated_gradients"
    steps: PositiveInt = Field(50, description="intervals from the baseline to the image")
    baseline: Literal["black", "zero"] = Field(
        "black", description="black: before preprocessing; zero: what the model receives is zero"
    )

    def passes(self, size: Pair | None) -> int:
        return self.steps


class ExpectedGradients(InputOrLayer):
    name: Literal["expected_gradients"] = "expected_gradients"
    samples: PositiveInt = Field(50, description="points between the image and images of the background")
    background: PositiveInt = Field(32, description="images of the data, a seeded sample")

    def passes(self, size: Pair | None) -> int:
        return self.samples


class PathFromBaseline(ManyPasses):
    """n intervals, n + 1 points, the two ends with half a weight."""

    def __init__(self, setting: Setting) -> None:
        model, self.intervals = setting.model, setting.options.steps
        zero = tf.zeros((1, *model.input_size, model.channels))
        baseline = model.to_input(zero) if setting.options.baseline == "black" else zero
        one = tf.TensorSpec((), tf.float32)
        super().__init__(setting, self.intervals + 1, [one, one], [_map(setting)], [_at_source(setting, baseline)])

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


class PathsFromBackground(ManyPasses):
    """A point at a uniform share of the way from a uniformly drawn background image, for each sample."""

    def __init__(self, setting: Setting) -> None:
        background = _at_source(setting, setting.model.to_input(tf.constant(setting.background)))
        self.background = len(setting.background)
        jobs = [tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)]
        super().__init__(setting, setting.options.samples, jobs, [_map(setting)], [background])

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


def _map(setting: Setting) -> tf.TensorSpec:
    return tf.TensorSpec((setting.configured["height"], setting.configured["width"]), tf.float32)


def _at_source(setting: Setting, x: tf.Tensor) -> tf.Tensor:
    """What the model receives, or what its layer is of that; one image at a time, so that none has companions."""
    layer = setting.configured.get("layer")
    if layer is None:
        return x
    source = tf.function(lambda one: Source(setting.model, layer).tensors(one)[0], autograph=False)
    return tf.concat([source(one) for one in tf.split(x, len(x))], 0)


def between(start: tf.Tensor, end: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Points (n, h, w, c) at ``share`` (n,) of the way; exactly ``start`` at 0 and ``end`` at 1."""
    share = share[:, None, None, None]
    return (1 - share) * start + share * end


def integrated_gradients(setting: Setting) -> Explain:
    """sum over colour of (x - x') integral of g(x' + a (x - x')) da, by the trapezoid rule (Sundararajan et al. 2017).

    x' is black before preprocessing, or zero. Colours are summed, so that the whole map adds up to
    score(x) - score(x') (completeness, their proposition 1); ``gap`` is what it adds up to, less that.

    Of a layer, x is its output and x' that of black: the way is straight in its activations, not in the image. What
    else the head reads, because a path leads around the layer, stays as it is of the image; so score(x') is that of
    the image with black's activations in the layer, and black's own where every path goes through the layer.
    """
    return PathFromBaseline(setting)


def expected_gradients(setting: Setting) -> Explain:
    """sum over colour of the mean of (x - b) g(b + a (x - b)), a uniform, b of the background (Erion et al. 2021).

    Summed over pixels it is score(x) less the background's mean score, in expectation. Of a layer, x and b are its
    outputs, and what else the head reads is of the image, as in :func:`integrated_gradients`.
    """
    return PathsFromBackground(setting)


METHODS = (
    Method(
        name="integrated_gradients",
        title="Integrated gradients",
        about="gradients summed on the way from black to the image",
        meaning="what each pixel adds to the class’s logit on the way from an empty image",
        formula="sum over colour of (x - x') integral of g(x' + a (x - x')) da, a from 0 to 1, by the trapezoid rule; "
        "summed over pixels: logit(x) - logit(x') (proposition 1). Of a layer, x and x' are its outputs",
        source="Sundararajan, Taly & Yan 2017",
        options=IntegratedGradients,
        build=integrated_gradients,
        configure=configure_anywhere,
        resolution="input",
        grain="pixels",
        signed=True,
        needs=("gradient",),
        quick={"steps": 4},
    ),
    Method(
        name="expected_gradients",
        title="Expected gradients",
        about="gradients on the ways from other images of the data to this one",
        meaning="what each pixel adds to the class’s logit compared with other images",
        formula="sum over colour of the mean of (x - b) g(b + a (x - b)), a uniform in [0, 1], b an image of the "
        "background; of a layer, x and b are its outputs",
        source="Erion, Janizek, Sturmfels, Lundberg & Lee 2021",
        options=ExpectedGradients,
        build=expected_gradients,
        configure=configure_anywhere,
        resolution="input",
        grain="pixels",
        signed=True,
        needs=("gradient",),
        draws=True,
        background=lambda options: options.background,
        quick={"samples": 3, "background": 2},
    ),
)
