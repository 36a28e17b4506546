"""SmoothGrad and its kin: statistics of the gradient over noisy copies of the image."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, pi, prod
from typing import Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.specs import PositiveInt
from activation_atlas.stages.vision.attribution.methods.input_gradient import configure
from activation_atlas.stages.vision.attribution.methods.many_passes import Jobs, ManyPasses, generator
from activation_atlas.stages.vision.attribution.methods.method import Explain, Maps, Method, Options, Pair, Setting
from activation_atlas.stages.vision.lazy import tf


class SmoothGrad(Options):
    name: Literal["smooth_grad"] = "smooth_grad"
    samples: PositiveInt = Field(25, description="noisy copies of each image")
    noise: float = Field(0.2, ge=0, description="standard deviation, as a share of the image's range of values")
    statistic: Literal["mean", "squared", "variance"] = Field("mean", description="of the copies' gradients")

    def passes(self, size: Pair | None) -> int:
        return self.samples


class NoisyGradients(ManyPasses):
    """Mean, mean square or variance of the gradients of noisy copies; then the largest of each pixel's colours.

    The mean is summed in float32. The variance, mean of g^2 less the square of the mean of g over all copies, is
    summed in float64, where squares of float32 are exact.
    """

    def __init__(self, setting: Setting) -> None:
        options, model = setting.options, setting.model
        self.noise, self.statistic = options.noise, options.statistic
        size = (*model.input_size, model.channels)
        if options.statistic == "variance":
            sums = [tf.TensorSpec(size, tf.float64)] * 2
        else:
            sums = [tf.TensorSpec(size, tf.float32)]
        super().__init__(setting, options.samples, [tf.TensorSpec((2,), tf.int64)], sums)

    def jobs(self, ids: Sequence[str]) -> Jobs:
        return (np.stack([generator(self.seed, i).integers(2**63, size=(self.passes, 2)) for i in ids]),)

    def point(self, x: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]) -> tf.Tensor:
        if self.noise == 0:
            return x
        deviation = self.noise * (tf.reduce_max(x, (1, 2, 3)) - tf.reduce_min(x, (1, 2, 3)))
        return x + deviation[:, None, None, None] * normal(job[0], x.shape[1:])

    def terms(
        self, x: tf.Tensor, gradient: tf.Tensor, job: Sequence[tf.Tensor], given: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        if self.statistic == "mean":
            return [gradient]
        if self.statistic == "squared":
            return [tf.square(gradient)]
        wide = tf.cast(gradient, tf.float64)
        return [wide, tf.square(wide)]

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        total = self.total(pixels, targets, ids)
        mean, *square = (s / s.dtype.type(self.passes) for s in total.sums)
        values = np.maximum(square[0] - mean**2, 0) if square else np.abs(mean)
        return Maps(values.max(-1).astype(np.float32), total.scores)


def normal(seeds: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Standard normal values (n, *shape) float32, of one seed (n, 2) int64 each; traceable.

    By Box & Muller (1958): a random whole number gives two values, its low 16 bits their radius (at most 4.9, once in
    a million), all of them their angle. A fraction of the time of ``tf.random.stateless_normal``. Each row is drawn by
    operations of its own: the end of a tensor is computed by other instructions, and rounds differently.
    """
    count, half, rows = prod(shape), ceil(prod(shape) / 2), []
    for seed in tf.unstack(seeds):
        bits = tf.random.stateless_uniform((half,), seed, minval=None, maxval=None, dtype=tf.int32)
        low = tf.cast(tf.bitwise.bitwise_and(bits, 2**16 - 1), tf.float32)
        radius = tf.sqrt(-2 * tf.math.log((low + 0.5) * 2**-16))
        angle = tf.cast(bits, tf.float32) * (pi * 2**-31)
        rows.append(tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], 0)[:count])
    return tf.reshape(tf.concat(rows, 0), (-1, *shape))


def smooth_grad(setting: Setting) -> Explain:
    """max over colour of |mean g|, of mean g^2 or of the variance of g, over copies with Gaussian noise.

    The noise's standard deviation is ``noise`` times (largest - smallest value) of what the model receives (Smilkov et
    al. 2017, section 3; squared: Hooker et al. 2019; variance: Adebayo et al. 2018).
    """
    return NoisyGradients(setting)


METHODS = (
    Method(
        name="smooth_grad",
        title="SmoothGrad",
        about="saliency over noisy copies of the image",
        meaning="how the class’s logit reacts to each pixel, over noisy copies of the image",
        formula="max over colour of |mean g|, of mean g^2 or of the variance of g, over copies with Gaussian noise of "
        "standard deviation noise x (largest - smallest value) of what the model receives (section 3; squared: "
        "Hooker et al. 2019; variance: Adebayo et al. 2018)",
        source="Smilkov, Thorat, Kim, Viégas & Wattenberg 2017",
        options=SmoothGrad,
        build=smooth_grad,
        configure=configure,
        resolution="input",
        grain="pixels",
        needs=("gradient",),
        draws=True,
        quick={"samples": 3},
    ),
)
