"""The trial of a concept: the component along its direction is exchanged in images of the run.

At every position the activation is moved along the direction until its component there is that of an image with the
concept, and once more until it is that of one without: the concept comes and goes with the strength, and at the places,
that real images have (an interchange intervention: Geiger, Lu, Icard & Potts 2021). The direction is fitted on one half
of the concept's images, and the components are those of the other half. Random directions are moved by just as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from activation_atlas.stages.concepts.direction import Sides, at_random, directions
from activation_atlas.stages.concepts.testing import beyond, within

RANDOM = 40
"""Random directions that are moved along."""
RESAMPLES = 1000


class Kept(Protocol):
    """Images whose activations are held, see :class:`stages.vision.concepts.Kept`."""

    def along(self, vector: np.ndarray) -> np.ndarray: ...

    def shifted(self, by: np.ndarray, vector: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Half:
    """A direction of one half of a concept's images, and what the other half has along it.

    Attributes:
        vector: (C,). random: (m, C), of the same images.
        having, lacking: (n, H, W) components of the other half's images with and without the concept.
    """

    vector: np.ndarray
    random: np.ndarray
    having: np.ndarray
    lacking: np.ndarray


def halves(sides: Sides, projected: np.ndarray, vectors: np.ndarray, rng: np.random.Generator) -> list[Half]:
    """Both halves.

    Args:
        projected: (n, H, W, 2), the images' components along both ``vectors``, those of :func:`fitted`.
    """
    found = []
    signs = sides.signs
    for k, (mine, rest) in enumerate(sides.folds(2)):
        own = projected[..., k]
        random = at_random(_part(sides, rest), RANDOM, rng)
        found.append(Half(vectors[k], random, own[mine & (signs > 0)], own[mine & (signs < 0)]))
    return found


def fitted(sides: Sides) -> np.ndarray:
    """The direction of either half of a concept's images, (2, C)."""
    return np.stack([directions(sides.rows[rest], sides.signs[rest]) for _, rest in sides.folds(2)])


def _part(sides: Sides, rows: np.ndarray) -> Sides:
    return Sides(sides.rows[rows], int(rows[: sides.count].sum()))


def exchanged(
    batches: Iterable[Kept], half: Half, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of every image, and of every direction moved along; each image has one donor of either kind for all.

    Args:
        count: how many images there are in all batches.

    Returns:
        with the concept and without it, (1 + m, count, K) both: along its direction, then along the random ones.
    """
    kinds = [(donors, rng.integers(0, len(donors), count)) for donors in (half.having, half.lacking)]
    scores: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    start = 0
    for kept in batches:
        own = kept.along(half.vector)
        for (donors, chosen), found in zip(kinds, scores, strict=True):
            by = donors[chosen[start : start + len(own)]] - own
            found.append(np.stack([kept.shifted(by, vector) for vector in (half.vector, *half.random)]))
        start += len(own)
    having, lacking = (np.concatenate(found, 1) for found in scores)
    return having, lacking


@dataclass(frozen=True)
class Effects:
    """Of each class, (K,) each, over the images that are not of it; NaN where there are none.

    Attributes:
        images: how many there are.
        effect: mean of the class's score with the concept less that without.
        low, high: its 95 % interval (bootstrap over images).
        random_low, random_high: where 95 % of random directions lie that move as much.
        p: that a random direction does as much.
        flips, lacking: share that is taken for the class with the concept, and without.
        random_flips: the first of random directions, their mean.
    """

    images: np.ndarray
    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    random_low: np.ndarray
    random_high: np.ndarray
    p: np.ndarray
    flips: np.ndarray
    lacking: np.ndarray
    random_flips: np.ndarray


def effects(
    having: np.ndarray, lacking: np.ndarray, taken: tuple[np.ndarray, np.ndarray], others: np.ndarray,
    rng: np.random.Generator,
) -> Effects:  # fmt: skip
    """From what :func:`exchanged` returns.

    Args:
        taken: for which classes each image is taken, with the concept and without, bool as the scores.
        others: (n, K) bool, which images are not of a class.
    """
    count = others.sum(0)
    weight = others / np.where(count > 0, count, np.nan)
    change = having - lacking
    moved, *random = (change * weight).sum(1)
    times = rng.multinomial(len(others), np.full(len(others), 1 / len(others)), RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (times @ np.where(others, change[0], 0)) / (times @ others)
    low, high = np.nanpercentile(drawn, (2.5, 97.5), axis=0) if len(others) else (np.full_like(moved, np.nan),) * 2
    flips, *random_flips = (taken[0] * weight).sum(1)
    return Effects(
        count, moved, low, high, *within(np.stack(random)), beyond(moved, np.stack(random)),
        flips, (taken[1][0] * weight).sum(0), np.mean(random_flips, 0),
    )  # fmt: skip
