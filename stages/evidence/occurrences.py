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
    """A sample of positions, at most one an image: those of the images that draw the smallest numbers."""

    draw: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    members: list[tuple[str, int, int, float]] = field(default_factory=list)

    def add(self, draw: np.ndarray, members: list[tuple[str, int, int, float]]) -> None:
        """Positions (image_id, row, col, attribution), and the draw of each."""
        draw, members = np.concatenate([self.draw, draw]), self.members + members
        first = np.argsort(draw, kind="stable")[:POOL]
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
    """What is known of one region from all rows; both halves count, and only the searched one may lend patches.

    Attributes:
        images, own, wrong, labelled: distinct images with a row there, and of these those of the class, those that are
            misclassified, those with a label.
        places: (H, W) rows by position.
        foreign: positions of images that are not of the class.
        others: positions outside the region, of images of the class, that speak for it.
    """

    def __init__(self, region: Region, cells: int, size: tuple[int, int], pools: bool) -> None:
        self.region = region
        self.within = np.zeros(cells, bool)
        self.within[list(region.cells)] = True
        self.images = self.own = self.wrong = self.labelled = 0
        self.places = np.zeros(size, np.int64)
        self.foreign = Pool() if pools else None
        self.others = Pool() if pools else None

    def add(self, rows: Rows, seed: int) -> None:
        """One part."""
        inside, images, column = self.within[rows.cell], rows.images, self.region.column
        there = np.unique(rows.image[inside])
        self.images += len(there)
        self.own += int(images.own[there, column].sum())
        self.wrong += int((images.wrong & images.labelled)[there].sum())
        self.labelled += int(images.labelled[there].sum())
        np.add.at(self.places, (rows.row[inside], rows.col[inside]), 1)
        if self.foreign is None or self.others is None:
            return
        searched, own = ~images.held[rows.image], images.own[rows.image, column]
        self._keep(self.foreign, rows, np.flatnonzero(inside & searched & ~own), seed)
        speaks = rows.values[:, column] > 0
        self._keep(self.others, rows, np.flatnonzero(~inside & searched & own & speaks), seed)

    def _keep(self, pool: Pool, rows: Rows, which: np.ndarray, seed: int) -> None:
        """Of each image the position that speaks most for the class."""
        values = rows.values[which, self.region.column]
        order = np.lexsort((rows.col[which], rows.row[which], -values, rows.image[which]))
        _, first = np.unique(rows.image[which][order], return_index=True)
        best = which[order[first]]
        ids = [rows.images.ids[k] for k in rows.image[best]]
        numbers = (rows.row[best], rows.col[best], rows.values[best, self.region.column])
        pool.add(priority(ids, seed, 17), list(zip(ids, *(each.tolist() for each in numbers), strict=True)))


def constancy(places: np.ndarray, sampled: np.ndarray) -> float:
    """1 - H / H0: entropy of where a region's rows lie, over that of all sampled rows; NaN where these have one place.

    Both in nats, of counts (H, W); 1: always at one position, 0: spread out as all rows are (or more).
    """
    own, whole = _entropy(places), _entropy(sampled)
    return float(max(0.0, 1 - own / whole)) if whole > 0 else float("nan")


def _entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def distinct(regions: Sequence[Region]) -> list[Region]:
    """Regions of which none has another's class and cells."""
    kept: dict[tuple[int, tuple[int, ...]], Region] = {}
    for region in regions:
        kept.setdefault((region.column, region.cells), region)
    return list(kept.values())
