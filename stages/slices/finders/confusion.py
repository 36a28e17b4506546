"""Cells of the confusion matrix, the fullest first: what every other finder is measured against."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.slices.images import Finder, Images, Score

LEAST = 5
"""Images of the search half that a cell needs."""


def fit(search: Images, seed: int, most: int) -> Score:
    """Which label is taken for which class, how often; an image is the more of it the more confident the model is."""
    wrong = (search.label >= 0) & (search.label != search.pred)
    pairs, count = np.unique(np.stack([search.label[wrong], search.pred[wrong]], 1), axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")
    chosen = pairs[order][count[order] >= LEAST][:most]

    def score(images: Images) -> np.ndarray:
        mine = (images.label[:, None] == chosen[:, 0]) & (images.pred[:, None] == chosen[:, 1])
        return np.where(mine, images.confidence[:, None], np.nan)

    return score


FINDER = Finder("confusion", "cells of the confusion matrix", "a baseline", fit, ("label",), labelled=True)
