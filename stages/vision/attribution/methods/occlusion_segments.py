"""Occlusion by segments: how much the score falls when a superpixel is hidden (after Zeiler & Fergus 2014)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from activation_atlas.stages.vision.attribution.additive import Jobs, Worth
from activation_atlas.stages.vision.attribution.methods.by_segments import BySegments, HiddenSegments, configure, given
from activation_atlas.stages.vision.attribution.methods.method import Explain, Method, Setting


class OcclusionSegments(BySegments):
    name: Literal["occlusion_segments"] = "occlusion_segments"


class OneHidden(HiddenSegments):
    def jobs(self, image_id: str, segments: int) -> Jobs:
        return Jobs(~np.eye(segments, dtype=bool), np.ones(segments))

    def worth(self, jobs: Jobs, scores: np.ndarray, whole: np.ndarray, nothing: np.ndarray) -> Worth:
        return Worth(whole - scores, None)


def occlusion_segments(setting: Setting) -> Explain:
    """score - score with the segment hidden, for each segment."""
    return OneHidden(setting)


METHODS = (
    Method(
        name="occlusion_segments",
        title="Occlusion by segments",
        about="how much the logit falls when a superpixel is hidden",
        meaning="how much the class’s logit falls when a superpixel is hidden",
        formula="logit(image) - logit(image with the segment filled), for each segment",
        source="after Zeiler & Fergus 2014",
        options=OcclusionSegments,
        build=occlusion_segments,
        configure=configure,
        regions=given,
        resolution="input",
        grain="blocky",
        signed=True,
        unit="logits",
        quick={"superpixels": "grid", "segments": 6},
    ),
)
