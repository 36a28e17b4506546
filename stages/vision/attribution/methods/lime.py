"""LIME: a linear model of the scores of images with random superpixels hidden (Ribeiro, Singh & Guestrin 2016)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.vision.attribution.additive import FOLDS, Jobs, Worth, proximity, ridge
from activation_atlas.stages.vision.attribution.methods.by_segments import (
    Fill,
    HiddenSegments,
    Sampled,
    configure,
    given,
)
from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.attribution.methods.method import Explain, Method, Setting


class Lime(Sampled):
    name: Literal["lime"] = "lime"
    fill: Fill = Field(
        "mean", description="what hides: a grey or a colour, in 0 to 255, before preprocessing; mean: the segment's own"
    )
    width: float = Field(0.25, gt=0, description="of the kernel: how near to the image, by cosine distance, counts")
    ridge: float = Field(1.0, ge=0, description="penalty on the squares of the segments' values")


class LinearModel(HiddenSegments):
    """The first sample is the image itself, as LIME has it."""

    def jobs(self, image_id: str, segments: int) -> Jobs:
        drawn = generator(self.seed, image_id).random((self.options.samples - 1, segments)) < 0.5
        return Jobs(drawn, proximity(drawn, self.options.width), np.arange(1, len(drawn) + 1) % FOLDS)

    def worth(self, jobs: Jobs, scores: np.ndarray, whole: np.ndarray, nothing: np.ndarray) -> Worth:
        every = np.concatenate([np.ones((1, jobs.shown.shape[1]), bool), jobs.shown])
        jobs = Jobs(every, proximity(every, self.options.width), np.arange(len(every)) % FOLDS)
        return ridge(jobs, np.concatenate([whole[None], scores]), self.options.ridge)


def lime(setting: Setting) -> Explain:
    """Coefficients of a ridge regression of the score on which segments are shown, near samples weighted most."""
    return LinearModel(setting)


METHODS = (
    Method(
        name="lime",
        title="LIME",
        about="a linear model of the logit of images with random superpixels hidden",
        meaning="how much a superpixel adds to the class’s logit in a linear model of images with superpixels hidden",
        formula="coefficients of a weighted ridge regression of logit(image with random segments hidden) on which are "
        "shown; weights exp(-d^2 / (2 width^2)), d the cosine distance from the image",
        source="Ribeiro, Singh & Guestrin 2016",
        options=Lime,
        build=lime,
        configure=configure,
        regions=given,
        resolution="input",
        grain="blocky",
        signed=True,
        unit="logits",
        draws=True,
        quick={"superpixels": "grid", "segments": 6, "samples": 24},
    ),
)
