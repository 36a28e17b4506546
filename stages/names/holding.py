"""Which names hold in the cells of a grid, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.clusters import among_highest
from activation_atlas.stages.intervals import student_t
from activation_atlas.stages.names.chance import adjusted, at_least, expected
from activation_atlas.stages.names.counts import Counts, Whole

LEAST = 3
"""Photographs that a name needs, and from which on a class's photographs tell where it belongs."""
LEVEL = 0.05
"""Share of false names that is allowed, and what the interval of a share leaves out."""
ODDS = 2.0
"""Times the map's odds that a cell's odds of ranking a name high surely are: many photographs make trifles sure."""
LISTED = 5
"""A class that names a cell is among so many whose share most exceeds the map's rate: those that a panel lists."""
CLEARLY = 10.0
"""Times the map's odds that a name needs which no photographs of its own bear out. Of a MobileNet's cells so named, or
by photographs, a second network that was shown their patches found the name among five in 82 of 100 cases; when twice
the odds were enough, in 62."""

NEARLY = 1.5
"""Lift by photographs nearly taken for a class that a name needs where few are taken for it. Of 1,000 photographs,
names of six groups of ImageNet's classes: of those with less than 0.8 none to half lay where photographs with labels of
the group did, of those with 1.5 and more 95 to 100 %."""


@dataclass
class Ranks:
    """How often the cells of one grid rank each thing high: attributed classes first, then groups; n of them.

    Attributes:
        count, images: rows and photographs, (cells,).
        share, error: share of rows that rank it high, and its standard error clustered by photograph; (cells, n).
        top_images: photographs with such a row, (cells, n).
    """

    count: np.ndarray
    images: np.ndarray
    share: np.ndarray
    error: np.ndarray
    top_images: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """Share of the whole map's rows, (n,)."""
        return np.rint(self.share * self.count[:, None]).sum(0) / self.count.sum()

    @property
    def low(self) -> np.ndarray:
        """Lower end of the share's 95 % interval, (cells, n); 0 where a cell's rows are of one photograph.

        By Student's t (:func:`~stages.intervals.student_t`). Photographs that agree wholly have no spread: it is
        at most what Laplace's rule gives of them.
        """
        images = self.images[:, None]
        low = self.share - np.nan_to_num(student_t(images)) * self.error
        return np.clip(np.where(images > 1, low, 0.0), 0.0, (images + 1) / (images + 2))


@dataclass
class Held:
    """What holds, row by row in the order of cells and places: index into the cells and into the things, and why."""

    cell: np.ndarray
    thing: np.ndarray
    place: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    q_value: np.ndarray
    lift: np.ndarray


def held(
    ranks: Ranks, counts: Counts, whole: Whole, attributed: np.ndarray, members: np.ndarray, min_count: int = 1
) -> Held:
    """The names of one grid's cells.

    A name holds where, over all cells of at least three photographs and all classes and groups that any position of
    the map ranks high, more photographs rank it high than chance gives (q < .05), at least three; where its odds are
    surely at least twice the map's; where no more than four classes stand out more in the cell; and where its
    photographs bear it out (:func:`borne_out`). Where there are too few of these it must stand out clearly, and a cell
    whose best does not has no name.

    Args:
        attributed: class of each attributed column.
        members: which class is in which group, bool (groups, K).
        min_count: rows that a cell needs to be named.
    """
    rate, low = ranks.rate, ranks.low
    chance = expected(counts.photographs, rate)
    tested = (ranks.images >= LEAST) & (ranks.count >= min_count)
    p = np.ones(chance.shape)
    p[tested] = at_least(ranks.top_images[tested], ranks.images[tested, None], chance[tested])
    q = np.ones(chance.shape)
    said = p < 1
    q[said] = adjusted(p[said], int(tested.sum()) * int((rate > 0).sum()))
    lift, borne = borne_out(counts, whole, ranks.count, attributed, members)
    surely = low * (1 - rate) >= ODDS * rate * (1 - low)
    holds = tested[:, None] & (q < LEVEL) & (ranks.top_images >= LEAST) & surely & borne
    listed = among_highest((ranks.share - rate)[:, : len(attributed)], LISTED)
    holds[:, : len(attributed)] &= listed
    cell, thing = np.nonzero(holds)
    first = _order(cell, thing, low - rate, counts.winners, attributed, members, np.isfinite(lift))
    cell, thing = cell[first], thing[first]
    place = np.arange(len(cell)) - np.searchsorted(cell, cell)
    # What comes second is no name where the best is not sure of its own.
    clear = np.isfinite(lift[cell, thing]) | (low * (1 - rate) >= CLEARLY * rate * (1 - low))[cell, thing]
    named = clear & np.isin(cell, cell[(place == 0) & clear])
    cell, thing = cell[named], thing[named]
    place = np.arange(len(cell)) - np.searchsorted(cell, cell)
    at = (cell, thing)
    return Held(cell, thing, place, chance[at], low[at], q[at], lift[at])


def borne_out(
    counts: Counts, whole: Whole, count: np.ndarray, attributed: np.ndarray, members: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lift of each thing's photographs in each cell (NaN where they are fewer than three), and whether it will do.

    The lift is the share of a cell's rows from photographs taken for the class (or a class of the group), over the
    map's share. It must be at least 1. Of a class with fewer photographs, those must do for which it is among the
    likeliest classes (a lift of at least 1.5), and those of the groups that it is in.

    Returns:
        (cells, n) float64 and bool, attributed classes first, then groups.
    """
    own = _lift(counts.taken, count, whole.taken)
    nearly = _lift(counts.nearly, count, whole.nearly)
    of_groups = _lift(counts.taken @ members.T.astype(np.float64), count, members.astype(np.int64) @ whole.taken)
    within = np.ones(own.shape, bool)
    for group, classes in enumerate(members):
        within[:, classes] &= ~(of_groups[:, group, None] < 1)
    with np.errstate(invalid="ignore"):
        fine = np.where(np.isfinite(own), own >= 1, (nearly >= NEARLY) & within)
        return (
            np.concatenate([own[:, attributed], of_groups], axis=1),
            np.concatenate([fine[:, attributed], of_groups >= 1], axis=1),
        )


def _lift(rows: np.ndarray, count: np.ndarray, photographs: np.ndarray) -> np.ndarray:
    """Share of each cell's rows over the map's, (cells, n); NaN where the photographs (n,) are too few."""
    base = rows.sum(0) / count.sum()
    known = (photographs >= LEAST) & (base > 0)
    return np.where(known, rows / count[:, None] / np.where(known, base, 1.0), np.nan)


def _order(
    cell: np.ndarray,
    thing: np.ndarray,
    excess: np.ndarray,
    winners: np.ndarray,
    attributed: np.ndarray,
    members: np.ndarray,
    known: np.ndarray,
) -> np.ndarray:
    """The order of names (cell, thing) within their cells: by falling excess, a group where its best class would be.

    A group stands before its classes unless one stands out: it wins at least half of the positions that classes of the
    group win there, and has photographs enough for its lift to be ``known``.
    """
    score, turn = excess[cell, thing], np.ones(len(cell))
    for row in np.flatnonzero(thing >= len(attributed)):
        group = members[thing[row] - len(attributed)]
        ours = np.flatnonzero((cell == cell[row]) & (thing < len(attributed)))
        ours = ours[group[attributed[thing[ours]]]]
        if not len(ours):
            continue
        best = ours[np.argmax(excess[cell[row], thing[ours]])]
        score[row] = max(score[row], excess[cell[row], thing[best]])
        won = winners[cell[row]]
        if known[cell[row], thing[best]] and 2 * won[attributed[thing[best]]] >= won[group].sum():
            score[best], turn[best] = score[row], 0.0
        else:
            turn[row] = 0.5
    return np.lexsort((thing, turn, -score, cell))
