"""The patches that are tried to make a network take images of one class for another: cut out where the atlas says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.adversarial.proposed import Proposal
from activation_atlas.stages.intervention import Rect, around, cut
from activation_atlas.stages.intervention.corners import Place, laid

CROPS = (0.25, 0.4, 0.6)
"""Sides of what is cut out about a position, as shares of the image's."""


@dataclass(frozen=True)
class Patch:
    """What is pasted: cut out of an image of the run.

    Attributes:
        proposal: the position that it lies about. rect: what was cut. pixels: uint8 (h, w, c).
    """

    proposal: Proposal
    rect: Rect
    pixels: np.ndarray

    def on(self, image: np.ndarray, place: Place) -> np.ndarray:
        return laid(image, self.pixels, place)


def patches(
    proposals: Sequence[Proposal], pixels: Mapping[str, np.ndarray], centre: Callable[[Proposal], tuple[float, float]]
) -> list[Patch]:
    """What can be cut out about the proposed positions, in :data:`CROPS` sizes.

    Args:
        centre: of a position, the pixel (y, x) at its middle.
    """
    found = []
    for proposal in (p for p in proposals if p.image_id in pixels):
        image = pixels[proposal.image_id]
        for share in CROPS:
            shape = tuple(max(1, round(whole * share)) for whole in image.shape[:2])
            rect = around(centre(proposal), (shape[0], shape[1]), image.shape[:2])
            found.append(Patch(proposal, rect, cut(image, rect)))
    return found
