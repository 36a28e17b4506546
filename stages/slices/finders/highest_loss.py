"""The images of highest loss: a baseline that says which images are wrong, and not what they have in common."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.slices.images import Finder, Images, Score

SHARE = 0.05
"""Of the search half, what counts as high."""


def fit(search: Images, seed: int, most: int) -> Score:
    """One slice: a loss among the highest 5 % of the search half."""
    least = np.nanquantile(search.loss, 1 - SHARE)

    def score(images: Images) -> np.ndarray:
        return np.where(images.loss >= least, images.loss, np.nan)[:, None]

    return score


FINDER = Finder("highest_loss", "images of the highest loss", "a baseline", fit, ("loss",), labelled=True)
