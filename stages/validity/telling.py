"""What was found of each class -> rows of the table, the statistic to show, and what stands in the run's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.validity.bootstrap import Draws, correlations, fisher, lifts, log, unlog
from activation_atlas.stages.validity.judging import Association, Target

SHOWN = "top_share"
"""The statistic that is shown unless another is clearly better."""
WORDS = {
    "mean": "mean attribution",
    "relative": "mean attribution less that of all classes",
    "top_share": "share of positions that rank the class high",
}
FIGURES = ("correlation", "low", "high", "lift", "lift_low", "lift_high")

Row = dict[str, Any]


@dataclass(frozen=True)
class Pool:
    """Targets of one kind, those that are told one by one, and those whose median is told.

    Attributes:
        targets: with photographs.
        each, pooled: their places.
        unknown: targets of too few photographs, of which nothing is claimed.
    """

    targets: Sequence[Target]
    each: Sequence[int]
    pooled: Sequence[int]
    unknown: Sequence[Target] = ()

    @classmethod
    def of(cls, kind: str, targets: Sequence[Target], many: int) -> Pool:
        """``many``: photographs that a target needs to be told by itself. Classes that were chosen though they have
        fewer are told together."""
        seen = [target for target in targets if target.photographs]
        each = [k for k, target in enumerate(seen) if target.photographs >= many]
        if kind == "group":
            return cls(seen, each, each, [target for target in targets if target.photographs < many])
        return cls(seen, each, list(range(len(seen))))


@dataclass(frozen=True)
class Told:
    """The figures of a pool's targets by one statistic on one grid; of a group the median over its classes."""

    correlation: Draws
    lift: Draws

    @classmethod
    def of(cls, judged: Sequence[Association]) -> Told:
        moments, drawn = [each.moments for each in judged], [each.lifts for each in judged]
        return cls(_of_each(list(map(correlations, moments))), _of_each(list(map(lifts, drawn))))

    def of_target(self, k: int, photographs: int) -> Row:
        """Columns of a row for one target."""
        return _ends(self.correlation.at(k), self.lift.at(k), photographs)

    def of_all(self, pooled: Sequence[int], photographs: int) -> Row:
        """Columns of the row for the median over some."""
        return _ends(self.correlation.median(pooled), self.lift.median(pooled), photographs)


def _of_each(draws: Sequence[Draws]) -> Draws:
    of = [each.median(range(each.value.shape[-1])) for each in draws]
    value, centre, around, drawn = (
        np.stack([getattr(d, name) for d in of], -1) for name in ("value", "centre", "around", "drawn")
    )
    return Draws(value, centre, around, drawn, of[0].either)


def _ends(correlation: Draws, lift: Draws, photographs: int) -> Row:
    number = np.array(photographs)
    ends = correlation.interval(fisher, np.tanh, number), lift.interval(log, unlog, number)
    values = (correlation.value, *ends[0], lift.value, *ends[1])
    return {name: float(v) if np.isfinite(v) else None for name, v in zip(FIGURES, values, strict=True)}


def rows(kind: str, pool: Pool, told: Mapping[str, Told]) -> list[Row]:
    """Of one kind on one grid: the median of every statistic, and each target's."""
    found = []
    number = [target.photographs for target in pool.targets]
    for statistic, figures in told.items():
        head = {"statistic": statistic, "kind": kind, "class": None, "group": None}
        if len(pool.pooled):
            counted = {"classes": len(pool.pooled), "photographs": min(number[k] for k in pool.pooled)}
            found.append(head | counted | figures.of_all(pool.pooled, sum(number[k] for k in pool.pooled)))
        of = [(pool.targets[k], figures.of_target(k, number[k])) for k in pool.each]
        for target, columns in [*of, *((target, dict.fromkeys(FIGURES)) for target in pool.unknown)]:
            who = {"group" if kind == "group" else "class": target.name}
            counted = {"classes": len(target.columns), "photographs": target.photographs}
            found.append(head | who | counted | columns)
    return found


def better(told: Sequence[Mapping[str, Told]], pooled: Sequence[int]) -> tuple[str, list[Row]]:
    """The statistic to show, and by how much each other is better than :data:`SHOWN`.

    Compared is Fisher's z of the median correlation over the targets ``pooled``, in the mean over the grids; the
    interval is of the difference, replicate by replicate, with the noise that both have. Another is shown where it
    lies above 0, or where it alone says something.

    Args:
        told: of each grid the figures by statistic.
    """
    names = list(told[0])
    medians = {name: [each[name].correlation.median(pooled) for each in told] for name in names}
    level = {name: np.mean([fisher(d.value) for d in medians[name]]) for name in names}
    known = [name for name in names if np.isfinite(level[name])]
    if SHOWN not in known:
        return max(known, key=level.__getitem__) if known else usual(names), []
    compared, clearly = [], []
    for name in known:
        if name == SHOWN:
            continue
        pairs = zip(medians[name], medians[SHOWN], strict=True)
        half = 1.959964 * np.nanstd(np.mean([fisher(a.drawn) - fisher(b.drawn) for a, b in pairs], 0))
        apart = level[name] - level[SHOWN]
        ends = {"better by": _short(apart), "low": _short(apart - half), "high": _short(apart + half)}
        compared.append({"statistic": name, **ends})
        if apart - half > 0:
            clearly.append((apart, name))
    return max(clearly)[1] if clearly else SHOWN, compared


def usual(statistics: Sequence[str]) -> str:
    """What is shown where nothing is known."""
    return SHOWN if SHOWN in statistics else statistics[0]


def _short(value: float | None) -> float | None:
    return round(float(value), 4) if value is not None and np.isfinite(value) else None


def summary(table: Sequence[Row], statistic: str) -> dict[str, Any]:
    """For the run's record: of each grid the medians of every statistic, and of the one shown each group's figures."""
    found: dict[str, Any] = {}
    for row in table:
        if row["class"] is not None or (row["group"] is not None and row["statistic"] != statistic):
            continue
        kind = row["kind"] if row["group"] is None else "groups"
        own = found.setdefault(str(row["grid"]), {}).setdefault(kind, {})
        said = {name: _short(row[name]) for name in FIGURES if row[name] is not None}
        own[row["statistic"] if row["group"] is None else row["group"]] = {
            **said,
            "classes": row["classes"],
            "photographs": row["photographs"],
        }
    return found
