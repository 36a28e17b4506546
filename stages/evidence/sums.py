"""What each cell says for each class: of the images that are of the class, and of those that are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.audited import Rows
from activation_atlas.stages.clusters import Clustered, sum_by


@dataclass
class Side:
    """Mean attributions of one side, all (cells, A): NaN where there are no rows.

    Attributes:
        mean, error: in logits; the standard error is clustered by image.
        won: share of rows at which the class's attribution is the highest of all.
        rows, images: how many there are.
    """

    mean: np.ndarray
    error: np.ndarray
    won: np.ndarray
    rows: np.ndarray
    images: np.ndarray

    @property
    def low(self) -> np.ndarray:
        """Two standard errors below the mean; 0 where there is no error, for want of images."""
        return np.nan_to_num(self.mean - 2 * self.error)


class Sums:
    """Over the rows of images of the half that is searched, cell by cell and class by class.

    A class's own side is summed up by itself, image by image; the other side is what is left of all.
    """

    def __init__(self, cells: int, classes: int) -> None:
        self.all, self.own = Clustered(cells, classes), Clustered(cells, classes)
        self.own_squares = np.zeros((cells, classes))  # of rows: an image's own classes differ from another's
        self.rows, self.images = (np.zeros(cells) for _ in range(2))
        self.own_rows, self.own_images, self.own_won, self.won = (np.zeros((cells, classes)) for _ in range(4))

    def add(self, rows: Rows) -> None:
        """One part."""
        kept = np.flatnonzero(~rows.images.held[rows.image])
        values, image, cell = rows.values[kept], rows.image[kept], rows.cell[kept]
        if not len(kept):
            return
        pairs, place = np.unique((image.astype(np.int64) << 32) | cell, return_inverse=True)
        whose, where = pairs >> 32, pairs & 0xFFFFFFFF
        count = np.bincount(place).astype(np.float64)
        sums = sum_by(place, len(pairs), values)
        self.all.add(where, count, sums)
        np.add.at(self.rows, where, count)
        np.add.at(self.images, where, 1)
        best = values.argmax(1)
        clear = values[np.arange(len(values)), best] > 0
        np.add.at(self.won, (cell[clear], best[clear]), 1)
        mine = clear & rows.images.own[image, best]
        np.add.at(self.own_won, (cell[mine], best[mine]), 1)
        cluster, kind = np.nonzero(rows.images.own[whose])
        at, n, total = (where[cluster], kind), count[cluster], sums[cluster, kind]
        np.add.at(self.own_rows, at, n)
        np.add.at(self.own_images, at, 1)
        np.add.at(self.own.total, at, total)
        np.add.at(self.own.weighted, at, n * total)
        np.add.at(self.own.squares, at, total * total)
        np.add.at(self.own_squares, at, n * n)

    def sides(self) -> tuple[Side, Side]:
        """Of the images that are of each class, and of all others."""
        own = [self.own.total, self.own.weighted, self.own.squares, self.own_squares, self.own_rows, self.own_images]
        all_ = [self.all.total, self.all.weighted, self.all.squares]
        all_ += [each[:, None] for each in (self.all.rows_squared, self.rows, self.images)]
        left = [whole - mine for whole, mine in zip(all_, own, strict=True)]
        return _side(own, self.own_won), _side(left, self.won - self.own_won)


def _side(sums: list[np.ndarray], won: np.ndarray) -> Side:
    """As :meth:`Clustered.error`, of counts that differ from class to class."""
    total, weighted, squares, rows_squared, rows, images = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / rows
        spread = np.maximum(squares - 2 * mean * weighted + mean * mean * rows_squared, 0)
        error = np.sqrt(images / (images - 1) * spread) / rows
        error[images < 2] = np.nan
        return Side(mean, error, won / rows, rows, images)
