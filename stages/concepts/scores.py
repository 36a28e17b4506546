"""TCAV: in how many images of a class its score would rise along a concept's direction (Kim et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.concepts.testing import beyond
from activation_atlas.stages.intervals import wilson


@dataclass(frozen=True)
class Score:
    """Of one class.

    Attributes:
        score: share of the images whose derivative along the direction is positive.
        low, high: 95 % interval: the wider ends of re-drawn images and directions (percentiles of the bootstrap) and
            of the share itself (Wilson).
        derivative: mean derivative of the class's score, for a unit step along the direction at every position.
        p: that a random direction has as large a one.
    """

    score: float
    low: float
    high: float
    derivative: float
    p: float


def scored(
    gradients: np.ndarray, vector: np.ndarray, redrawn: np.ndarray, random: np.ndarray, rng: np.random.Generator
) -> Score:
    """From the gradients (n, C) of a class's score in its n images, summed over positions.

    Args:
        vector: (C,) the direction. redrawn: (B, C), of other samples of the concept's images. random: (m, C).
    """
    n = len(gradients)
    score = float((gradients @ vector > 0).mean())
    times = rng.multinomial(n, np.full(n, 1 / n), len(redrawn))
    drawn = (times * (redrawn @ gradients.T > 0)).sum(1) / n
    low, high = np.percentile(drawn, (2.5, 97.5))
    least, most = wilson(score * n, n)
    mean = gradients.mean(0)
    p = float(beyond(mean @ vector, random @ mean))
    return Score(score, min(float(low), least), max(float(high), most), float(mean @ vector), p)
