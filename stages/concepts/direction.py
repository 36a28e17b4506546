"""The direction of a concept: what sets images that show it apart from images that do not, in a layer's channels.

Activations are averaged over positions, so that a direction is one vector of the channels, says the same wherever the
concept lies in the image, and can be held against an atlas's cells. It is that of ridge regression of the side on the
activations with a ridge of their mean eigenvalue: between the least squares classifier, which also answers to whatever
helps to tell noise apart, and the difference of means, which also points along whatever varies most (Haufe, Meinecke,
Görgen, Dähne, Haynes, Blankertz & Bießmann 2014). Nothing of it is chosen by looking at the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.intervals import wilson

FOLDS = 10
"""Parts of either side, each told by the direction of the others."""


@dataclass(frozen=True)
class Sides:
    """Activations of a concept's images.

    Attributes:
        rows: (n, C) float64, means over positions: those with the concept first.
        count: how many are with it.
    """

    rows: np.ndarray
    count: int

    @property
    def others(self) -> int:
        """How many are without it."""
        return len(self.rows) - self.count

    @property
    def signs(self) -> np.ndarray:
        """(n,) 1 with, -1 without."""
        return np.where(np.arange(len(self.rows)) < self.count, 1.0, -1.0)

    def folds(self, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Which rows are of a fold, and which are of the others: (n,) bool both; each side is cut alike."""
        place = np.concatenate([np.arange(self.count), np.arange(self.others)])
        for fold in range(folds):
            mine = place % folds == fold
            yield mine, ~mine


def directions(rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Unit vectors along which the rows of one sign lie ahead of those of the other.

    v = X' (X X' + r I)^-1 y / |.|, X and y less their means, r the mean eigenvalue of X X' (ridge regression in
    its dual form: Saunders, Gammerman & Vovk 1998).

    Args:
        rows: (n, C). signs: (n,) or (n, m), one column for each direction.

    Returns:
        (C,) or (m, C) float64; zeros where nothing sets the rows apart.
    """
    centred = rows - rows.mean(0)
    kernel = centred @ centred.T
    ridge = max(float(np.trace(kernel)) / len(rows), np.finfo(float).tiny)
    found = centred.T @ np.linalg.solve(kernel + ridge * np.eye(len(rows)), signs - signs.mean(0))
    length = np.linalg.norm(found, axis=0)
    return (found / np.where(length > 0, length, 1.0)).T


def at_random(sides: Sides, count: int, rng: np.random.Generator) -> np.ndarray:
    """Directions that the same images give when halves of either side, drawn at random, are set against the rest.

    As random as can be without leaving what such images do to the layer: each side has as many in both, so that none
    knows of the concept.

    Returns:
        (count, C) float64, unit vectors.
    """
    signs = np.empty((len(sides.rows), count))
    for first, many in ((0, sides.count), (sides.count, sides.others)):
        even = np.where(np.arange(many) % 2 == 0, 1.0, -1.0)
        for column in range(count):
            signs[first : first + many, column] = rng.permutation(even) * rng.choice((-1.0, 1.0))
    return directions(sides.rows, signs)


def redrawn(sides: Sides, count: int, rng: np.random.Generator) -> np.ndarray:
    """The direction of so many samples of the images, drawn with replacement on either side: (count, C)."""
    found = []
    for _ in range(count):
        own = rng.integers(0, sides.count, sides.count)
        other = sides.count + rng.integers(0, sides.others, sides.others)
        found.append(directions(sides.rows[np.concatenate([own, other])], sides.signs))
    return np.stack(found)


@dataclass(frozen=True)
class Told:
    """How well a direction tells the sides of images that it was not fitted on.

    Attributes:
        accuracy: the mean of both sides' shares that lie on their side of the middle.
        low, high: its 95 % interval: Wilson's, at half as many images as there are, for what two folds are fitted on is
            nearly the same, and they err together.
        strength: by how much those with the concept lie ahead of those without, along the direction.
    """

    accuracy: float
    low: float
    high: float
    strength: float

    @property
    def useful(self) -> bool:
        """Whether it surely does better than chance."""
        return self.low > 0.5


def told(sides: Sides) -> Told:
    """By :data:`FOLDS` folds; the middle is that between the means of the two sides that it was fitted on."""
    right, along = np.zeros(len(sides.rows)), np.zeros(len(sides.rows))
    signs = sides.signs
    for mine, rest in sides.folds(FOLDS):
        vector = directions(sides.rows[rest], signs[rest])
        place = sides.rows @ vector
        ahead, behind = (place[rest & (signs == sign)].mean() for sign in (1, -1))
        along[mine] = place[mine] - (ahead + behind) / 2
        right[mine] = along[mine] * signs[mine] > 0
    own, other = (right[signs == sign].mean() for sign in (1, -1))
    accuracy = float(own + other) / 2
    images = 2 / (1 / sides.count + 1 / sides.others)
    strength = float(along[signs == 1].mean() - along[signs == -1].mean())
    return Told(accuracy, *wilson(accuracy * images, images), strength)
