"""Kernel SHAP: Shapley values of superpixels, from the scores of images with some hidden (Lundberg & Lee 2017)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from activation_atlas.stages.vision.attribution.additive import Jobs, Worth, coalitions, shapley
from activation_atlas.stages.vision.attribution.methods.by_segments import HiddenSegments, Sampled, configure, given
from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.attribution.methods.method import Explain, Method, Setting


class KernelShap(Sampled):
    name: Literal["kernel_shap"] = "kernel_shap"


class Coalitions(HiddenSegments):
    def jobs(self, image_id: str, segments: int) -> Jobs:
        return coalitions(generator(self.seed, image_id), segments, self.options.samples)

    def worth(self, jobs: Jobs, scores: np.ndarray, whole: np.ndarray, nothing: np.ndarray) -> Worth:
        return shapley(jobs, scores, whole, nothing)


def kernel_shap(setting: Setting) -> Explain:
    """Weighted least squares of the scores on which segments are shown; the values add up to score - score of none."""
    return Coalitions(setting)


METHODS = (
    Method(
        name="kernel_shap",
        title="Kernel SHAP",
        about="Shapley values of superpixels: what each adds to the logit, over all orders in which they are shown",
        meaning="what a superpixel adds to the class’s logit, on average over all orders in which they are shown",
        formula="v of least sum_z w(z) (logit(z) - logit(none) - sum of v over z)^2 under sum v = logit(all) - "
        "logit(none), w(z) = (S - 1) / (C(S, |z|) |z| (S - |z|)), z sets of the S segments that are shown",
        source="Lundberg & Lee 2017",
        options=KernelShap,
        build=kernel_shap,
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
