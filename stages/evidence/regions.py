"""Cells that speak for a class alike, and lie side by side, as one region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.evidence.sums import Side

LEAST_ROWS, LEAST_IMAGES = 20, 10
"""Of one side, below which a cell says nothing of that side."""
NEAR = 0.5
"""A neighbour belongs to a region that has at least this share of its strongest cell's strength."""


@dataclass(frozen=True)
class Region:
    """Some cells and the attributed class (its column) that they speak for.

    Attributes:
        strength: of its strongest cell.
        foreign: whether it is what images of other classes have that makes it.
    """

    column: int
    cells: tuple[int, ...]
    strength: float
    foreign: bool


def strength(side: Side) -> np.ndarray:
    """How surely a side's rows speak for each class, (cells, A): the lower bound of the mean attribution, in logits,
    times the share of rows that the class wins; 0 where that is not positive or there are too few rows."""
    enough = (side.rows >= LEAST_ROWS) & (side.images >= LEAST_IMAGES)
    return np.where(enough, np.maximum(side.low, 0) * np.nan_to_num(side.won), 0.0)


def regions(strong: np.ndarray, x: np.ndarray, y: np.ndarray, most: int, foreign: bool) -> list[Region]:
    """The ``most`` strongest regions of each class: grown from the strongest cell that is left, cell by cell.

    Args:
        strong: (cells, A).
        x, y: (cells,) column and row of each cell in its grid.
    """
    at = {(int(a), int(b)): k for k, (a, b) in enumerate(zip(x, y, strict=True))}
    found = []
    for column in range(strong.shape[1]):
        left = strong[:, column].copy()
        for _ in range(most):
            first = int(left.argmax()) if len(left) else 0
            if not len(left) or left[first] <= 0:
                break
            least, best = NEAR * left[first], float(left[first])
            grown, front = [first], [first]
            left[first] = 0
            while front:
                one = front.pop()
                for step in ((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b):
                    other = at.get((int(x[one]) + step[0], int(y[one]) + step[1]))
                    if other is not None and left[other] >= least:
                        left[other] = 0
                        grown.append(other)
                        front.append(other)
            found.append(Region(column, tuple(sorted(grown)), best, foreign))
    return found
