"""Every class's heat against where its photographs lie, on every grid and in every replicate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.validity.measures import centred, lift, moments, warmest
from activation_atlas.stages.validity.photographs import Photographs, Replicates

MEMORY = 2**28
"""Bytes that sums over clusters and cells may take at once."""
CELLS = 3
"""A grid is judged that has at least so many cells of enough rows."""


@dataclass(frozen=True)
class Target:
    """Photographs that the heat of some classes should find.

    Attributes:
        kind: predicted, label or group.
        name: the class index, or the group's name.
        columns: of the attributed classes whose heat it is.
        chosen: (G,) bool, its photographs.
        among: (G,) bool, those it is a share of.
    """

    kind: str
    name: int | str
    columns: tuple[int, ...]
    chosen: np.ndarray = field(repr=False)
    among: np.ndarray = field(repr=False)

    @property
    def photographs(self) -> int:
        return int(self.chosen.sum())


class Level:
    """One grid, in every replicate.

    Attributes:
        grid: cells along one side.
        held: (1 + B, C) bool, cells that are compared: of enough rows, and of some in the replicate.
        rows: (1 + B, C) their rows, 0 of others.
    """

    def __init__(self, grid: int, parent: np.ndarray, rows: np.ndarray, min_count: int) -> None:
        self.grid = grid
        self._order = None if (parent == np.arange(len(parent))).all() else np.argsort(parent, kind="stable")
        self._starts = np.searchsorted(np.sort(parent), np.arange(parent.max() + 1))
        rows = self.of(rows)
        enough = rows[0] >= min_count
        self.cells = int(enough.sum())
        self.kept = np.flatnonzero(enough)
        self.rows = np.ascontiguousarray(rows[:, self.kept])
        self.held = self.rows > 0
        self.count = self.held.sum(1)

    def of(self, finest: np.ndarray) -> np.ndarray:
        """Sums over cells of the finest grid (R, cells) as sums over this grid's."""
        return finest if self._order is None else np.add.reduceat(finest[:, self._order], self._starts, 1)

    def kept_of(self, finest: np.ndarray) -> np.ndarray:
        """The same, of the cells that are compared."""
        return self.of(finest)[:, self.kept]

    def presence(self, own: np.ndarray, among: np.ndarray) -> Presence:
        """Of rows (R, cells of the finest grid) and of those they are a share of."""
        own, rows = self.kept_of(own), self.kept_of(among)
        held = rows > 0
        return Presence(own, rows, held, held.sum(1), centred(own / np.maximum(rows, 1), held))


@dataclass(frozen=True)
class Presence:
    """Where a target's photographs lie, on one grid: its rows and all (R, C), and the centred shares."""

    own: np.ndarray
    rows: np.ndarray
    held: np.ndarray
    count: np.ndarray
    share: np.ndarray


@dataclass
class Association:
    """How a target's photographs go with one statistic on one grid, in every replicate, for each class of it.

    Attributes:
        moments: (1 + B, K, 3) see :func:`~stages.validity.measures.moments`.
        lifts: (1 + B, K).
    """

    moments: np.ndarray
    lifts: np.ndarray


class Judge:
    """An atlas whose classes are judged.

    Attributes:
        levels: grids with enough cells, the coarsest first.
        photographs: the atlas's.
    """

    def __init__(
        self, inputs: Inputs, view: ViewSpec, extract: State, grids: Grids, sides: Sequence[int], min_count: int,
        photographs: Photographs, replicates: Replicates,
    ) -> None:  # fmt: skip
        self.inputs, self.view, self.extract, self.grids = inputs, view, extract, grids
        self.photographs, self.replicates = photographs, replicates
        self._all = replicates.rows(np.ones(len(photographs.pred), bool))
        of = zip(sides, (level.parent for level in grids.levels), strict=True)
        levels = [Level(side, parent, self._all, min_count) for side, parent in of]
        self.levels = sorted((level for level in levels if level.cells >= CELLS), key=lambda level: level.grid)

    def judge(self, targets: Sequence[Target], statistics: Sequence[str]) -> dict[tuple[int, str, int], Association]:
        """How each target goes with each statistic: by grid, statistic and the target's place among ``targets``."""
        drawn = self.replicates.times.shape[1]
        judged = {
            (level.grid, statistic, number): Association(
                np.zeros((drawn, len(target.columns), 3)), np.zeros((drawn, len(target.columns)))
            )
            for level in self.levels
            for statistic in statistics
            for number, target in enumerate(targets)
        }
        wanted: dict[int, list[tuple[int, int]]] = {}
        for number, target in enumerate(targets):
            for place, column in enumerate(target.columns):
                wanted.setdefault(column, []).append((number, place))
        for columns in self._chunks(sorted(wanted, key=lambda column: (wanted[column][-1], column))) if wanted else ():
            presences = _Presences(self, targets)
            for column, heats in self._heats(columns, statistics):
                for level in self.levels:
                    for statistic in statistics:
                        heat = level.kept_of(heats[statistic]) / np.maximum(level.rows, 1)
                        usual = centred(heat, level.held), warmest(heat, level.rows)
                        for number, place in wanted[column]:
                            present, own = presences.of(number, level), usual
                            if not targets[number].among.all():  # of some photographs the label is not known
                                own = centred(heat, present.held), warmest(heat, present.rows)
                            association = judged[level.grid, statistic, number]
                            association.moments[:, place] = moments(own[0], present.share, present.count)
                            association.lifts[:, place] = lift(own[1], present.own, present.rows)
        return judged

    def _chunks(self, columns: list[int]) -> Iterator[list[int]]:
        drawn, clusters = self.replicates.times.shape[1], len(self.photographs.cell)
        each = 4 * 2 * (clusters + self.photographs.cells * drawn)
        size = max(1, MEMORY // each)
        return (columns[start : start + size] for start in range(0, len(columns), size))

    def _heats(self, columns: list[int], statistics: Sequence[str]) -> Iterator[tuple[int, Mapping[str, np.ndarray]]]:
        """Of each column the sums of every statistic over the finest grid's cells, (1 + B, C)."""
        plain, level, high = self.photographs.sums(self.inputs, self.view, self.extract, self.grids, columns)
        plain, high = self.replicates.sums(plain), self.replicates.sums(high)
        level = self.replicates.sums(level[:, None])[..., 0].T
        for k, column in enumerate(columns):
            heats = {"mean": np.ascontiguousarray(plain[..., k].T), "top_share": np.ascontiguousarray(high[..., k].T)}
            heats["relative"] = heats["mean"] - level
            yield column, {name: heats[name] for name in statistics}


class _Presences:
    """Where targets' photographs lie; the last few are kept, as classes come in the order of their targets."""

    KEPT = 8

    def __init__(self, judge: Judge, targets: Sequence[Target]) -> None:
        self._judge, self._targets = judge, targets
        self._held: dict[int, dict[int, Presence]] = {}

    def of(self, number: int, level: Level) -> Presence:
        if number not in self._held:
            while len(self._held) >= self.KEPT:
                del self._held[next(iter(self._held))]
            target, judge = self._targets[number], self._judge
            own = judge.replicates.rows(target.chosen)
            among = judge._all if target.among.all() else judge.replicates.rows(target.among)
            self._held[number] = {each.grid: each.presence(own, among) for each in judge.levels}
        return self._held[number][level.grid]
