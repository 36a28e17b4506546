"""Where regions occur, and in whose images; and the positions that may stand for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from activation_atlas.stages.audited import Rows
from activation_atlas.stages.evidence.regions import Region
from activation_atlas.stages.halves import priority

POOL = 2000
"""Positions of a region that are held, a sample of all."""


@dataclass
class Pool:
    """A sample of positions, at most one a file: those of the files that draw the smallest numbers.

    Attributes:
        most: positions that are held.
    """

    most: int = POOL
    draw: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    members: list[tuple[str, int, int, float]] = field(default_factory=list)

    def add(self, draw: np.ndarray, members: list[tuple[str, int, int, float]]) -> None:
        """Positions (image_id, row, col, attribution), and the draw of each."""
        members = self.members + members
        _, first = np.unique(np.concatenate([self.draw, draw]), return_index=True)
        draw, first = np.concatenate([self.draw, draw]), first[: self.most]
        self.draw, self.members = draw[first], [members[k] for k in first]

    @property
    def median(self) -> float | None:
        """Of the attributions."""
        return float(np.median([m[3] for m in self.members])) if self.members else None

    def upper_half(self, most: int) -> list[tuple[str, int, int, float]]:
        """Of those at the median attribution or above, the first so many as drawn, strongest first."""
        least = self.median
        chosen = [m for m in self.members if least is not None and m[3] >= least][:most]
        return sorted(chosen, key=lambda m: -m[3])


class Occurrences:
    """Where one region occurs. Both halves count, and only the searched one may lend positions.

    Attributes:
        images, own: distinct images with a row there, and those of the class among them.
        wrong, labelled: of the held-out ones, those that are misclassified and those with a label: what goes wrong in
            the searched half has a part in where regions are.
        places: (H, W) rows of the searched half by position; of a region of the class's own, of its own images.
        bearing: positions that speak for the class, a few: of its own images, or, of a foreign region, of all others.
    """

    def __init__(self, region: Region, cells: int, size: tuple[int, int], most: int) -> None:
        self.region, self.within = region, _within(region, cells)
        self.images = self.own = self.wrong = self.labelled = 0
        self.places = np.zeros(size, np.int64)
        self.bearing = Pool(most)

    def add(self, rows: Rows, seed: int) -> None:
        """One part."""
        inside, images, column = self.within[rows.cell], rows.images, self.region.column
        there = np.unique(rows.image[inside])
        self.images += len(there)
        self.own += int(images.own[there, column].sum())
        known = images.labelled & images.held
        self.wrong += int((images.wrong & known)[there].sum())
        self.labelled += int(known[there].sum())
        seen = inside & ~images.held[rows.image]
        if not self.region.foreign:
            seen &= images.own[rows.image, column]
        np.add.at(self.places, (rows.row[seen], rows.col[seen]), 1)
        if self.bearing.most:
            _keep(self.bearing, rows, _bears(rows, self.region, inside), column, seed)


class Exemplars:
    """Positions that may stand for a region, and for what else the class is known by, of the half that is searched.

    Attributes:
        own: as :attr:`Occurrences.bearing`, more of them.
        others: positions outside the region, of images of the class, that speak for it.
    """

    def __init__(self, region: Region, cells: int) -> None:
        self.region, self.within = region, _within(region, cells)
        self.own, self.others = Pool(), Pool()

    def add(self, rows: Rows, seed: int) -> None:
        """One part."""
        inside, column = self.within[rows.cell], self.region.column
        _keep(self.own, rows, _bears(rows, self.region, inside), column, seed)
        mine = ~rows.images.held[rows.image] & rows.images.own[rows.image, column] & (rows.values[:, column] > 0)
        _keep(self.others, rows, ~inside & mine, column, seed)


def _within(region: Region, cells: int) -> np.ndarray:
    """Which cells are the region's, (cells,) bool."""
    within = np.zeros(cells, bool)
    within[list(region.cells)] = True
    return within


def _bears(rows: Rows, region: Region, inside: np.ndarray) -> np.ndarray:
    """Which rows make a region what it is, (m,) bool: of searched images of the class, or of all others."""
    own = rows.images.own[rows.image, region.column]
    return inside & ~rows.images.held[rows.image] & (~own if region.foreign else own)


def _keep(pool: Pool, rows: Rows, chosen: np.ndarray, column: int, seed: int) -> None:
    """Of each image the position that speaks most for the class."""
    which = np.flatnonzero(chosen)
    values = rows.values[which, column]
    order = np.lexsort((rows.col[which], rows.row[which], -values, rows.image[which]))
    _, first = np.unique(rows.image[which][order], return_index=True)
    best = which[order[first]]
    ids = [rows.images.ids[k] for k in rows.image[best]]
    numbers = (rows.row[best], rows.col[best], rows.values[best, column])
    files = [rows.images.files[k] for k in rows.image[best]]
    pool.add(priority(files, seed, 17), list(zip(ids, *(each.tolist() for each in numbers), strict=True)))


def constancy(places: np.ndarray, sampled: np.ndarray) -> float:
    """1 - H / H0: entropy of where a region's rows lie, over that of all sampled rows; NaN where these have one place.

    Both in nats, of counts (H, W), corrected for their number (Miller 1955), for a few rows lie at few places whatever
    they are of. 1: always at one position, 0: spread out as all rows are (or more).
    """
    if not places.any() or (whole := _entropy(sampled)) <= 0:
        return float("nan")
    return float(max(0.0, 1 - _entropy(places) / whole))


def _entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum() + (len(p) - 1) / (2 * counts.sum()))


def distinct(regions: Sequence[Region]) -> list[Region]:
    """Regions of which none has another's class and cells."""
    kept: dict[tuple[int, tuple[int, ...]], Region] = {}
    for region in regions:
        kept.setdefault((region.column, region.cells), region)
    return list(kept.values())
