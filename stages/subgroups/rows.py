"""Rows of the table of groups."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.subgroups import calibration
from activation_atlas.stages.subgroups.columns import Grouping
from activation_atlas.stages.subgroups.comparing import Side, gap, lacking, tails, two_sided
from activation_atlas.stages.subgroups.seen import Seen
from activation_atlas.stages.subgroups.shrinking import shrunk_means, shrunk_shares
from activation_atlas.stages.subgroups.wording import REST, named

SMALL = 30
"""Images that count, below which a group is marked as small."""
Row = dict[str, Any]


def clean(value: Any) -> Any:
    """A value of a row as tables have it: what is not finite is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Tally:
    """The groups of one column: of each how many images, and the sums that all else follows from.

    Attributes:
        images, labelled: (G,).
        sides: of the images that count.
        probability: (G,) mean of the predictions', over the images that count; NaN where there are none.
        bins: images, hits and probabilities in each bin of probability, (3, G, bins).
    """

    images: np.ndarray
    labelled: np.ndarray
    sides: list[Side]
    probability: np.ndarray
    bins: np.ndarray


class Tallies:
    """Adds up what groups have, and makes their rows."""

    def __init__(self, seen: Seen, seed: int) -> None:
        self._seen, self._seed = seen, seed
        known = seen.known
        self._centre = 0.0 if seen.shares or not known.any() else float(seen.score[known].mean())
        own = np.where(known, seen.score - self._centre, 0)
        self._powers = [own, own**2, own**3]
        self._calibrated = seen.shares and not seen.task.several
        edges = calibration.edges(seen.probability[known]) if self._calibrated else np.zeros(0)
        self._bins, self._made = len(edges) + 1, dict[tuple[str, str], Tally]()
        self._bin = np.searchsorted(edges, np.nan_to_num(seen.probability), "left")
        self.whole = self._sides(np.zeros(len(seen), np.int64), np.arange(len(seen)), 1)[0]

    def _sides(self, index: np.ndarray, image: np.ndarray, count: int) -> list[Side]:
        n = np.bincount(index, self._seen.known[image], count)
        sums = np.stack([np.bincount(index, power[image], count) for power in self._powers], 1)
        return [Side(round(k), each, self._centre) for k, each in zip(n, sums, strict=True)]

    def of(self, grouping: Grouping) -> Tally:
        """The sums of one column's groups."""
        image, index, count, seen = grouping.image, grouping.index, len(grouping.values), self._seen
        sides = self._sides(index, image, count)
        n = np.array([side.n for side in sides])
        told = np.where(seen.known, np.nan_to_num(seen.probability), 0)[image]
        mean = np.bincount(index, told, count) / np.where(n > 0, n, 1)
        mean[n == 0] = np.nan
        bins = np.zeros((3, count, 0))
        if self._calibrated:
            cell, size = index * self._bins + self._bin[image], count * self._bins
            weights = (seen.known[image], self._powers[0][image], told)
            bins = np.stack([np.bincount(cell, each, size).reshape(count, -1) for each in weights])
        labelled = np.bincount(index, seen.labelled[image], count).astype(np.int64)
        return Tally(np.bincount(index, minlength=count), labelled, sides, mean, bins)

    def rows(self, grouping: Grouping) -> list[Row]:
        """The groups of one column, each beside all other images."""
        tally = self._made[grouping.kind, grouping.column] = self.of(grouping)
        by_class = [None] * len(grouping.values) if grouping.kind == "prediction" else self._by_class(grouping)
        found = []
        for k, row in enumerate(self._plain(grouping, tally)):
            row |= {"by_class": by_class[k], "against": REST}
            self._compare(row, tally.sides[k], [(REST, self.whole - tally.sides[k], f"other {self._what}")])
            found.append(row)
        return found

    def crossed(self, both: Grouping, parents: np.ndarray, one: Grouping, other: Grouping) -> list[Row]:
        """The groups by two columns that are not all images of either, each beside the other images of both values.

        Args:
            both, parents: of :func:`columns.crossed`.
            one, other: columns whose :meth:`rows` were made.
        """
        tally, whole = self.of(both), [self._made[of.kind, of.column] for of in (one, other)]
        found = []
        for k, row in enumerate(self._plain(both, tally)):
            a, b = parents[k]
            row |= {"and_column": other.column, "and_value": other.values[b], "by_class": None}
            if tally.images[k] in (whole[0].images[a], whole[1].images[b]):
                continue
            beside = []
            for grouping, within, group in ((one, whole[0], a), (other, whole[1], b)):
                name = f"{grouping.column} = {grouping.values[group]}"
                beside.append((name, within.sides[group] - tally.sides[k], f"other {self._what} of {name}"))
            self._compare(row, tally.sides[k], beside)
            found.append(row)
        return found

    @cached_property
    def _what(self) -> str:
        return "images" if self._seen.measure == "confidence" or self._seen.labelled.all() else "labelled images"

    def _plain(self, grouping: Grouping, tally: Tally) -> Iterator[Row]:
        """What is known of each group by itself."""
        seen, sides = self._seen, tally.sides
        n = np.array([side.n for side in sides])
        if seen.shares:
            shrunk = shrunk_shares(np.array([side.total for side in sides]), n)
        else:
            means = np.array([side.mean for side in sides])
            freedom = np.maximum(n - 1, 0)
            within = np.nansum([side.variance * (side.n - 1) for side in sides if side.n > 1])
            shrunk = shrunk_means(means, n, float(within / max(1, freedom.sum())))
        for k, value in enumerate(grouping.values):
            row: Row = {"kind": grouping.kind, "column": grouping.column, "value": value}
            row |= {"and_column": None, "and_value": None, "images": int(tally.images[k])}
            row |= {"labelled": int(tally.labelled[k]), "measure": seen.measure, "small": bool(n[k] < SMALL)}
            low, high = sides[k].interval(seen.shares)
            row |= {
                "low": low,
                "high": high,
                "accuracy": None,
                "mae": None,
                "confidence": None if seen.task.measured else tally.probability[k],
            }
            row[seen.measure] = sides[k].mean
            row["shrunk"] = shrunk[k] if n[k] else None
            row["errors"] = int(n[k] - round(sides[k].total)) if seen.shares else None
            row["n"] = int(n[k])
            row |= self._ece(row, *tally.bins[:, k])
            yield row

    def _ece(self, row: Row, n: np.ndarray, hits: np.ndarray, told: np.ndarray) -> Row:
        if n.sum() < calibration.LEAST:
            return dict.fromkeys(("ece", "ece_low", "ece_high"))
        rng = np.random.default_rng([self._seed, zlib.crc32(named(row).encode())])
        probability = told / np.where(n > 0, n, 1)
        values = calibration.ece(n.astype(np.int64), hits.astype(np.int64), probability, rng)
        return dict(zip(("ece", "ece_low", "ece_high"), values, strict=True))

    def _compare(self, row: Row, own: Side, beside: list[tuple[str, Side, str]]) -> None:
        """Fills in gap and test, beside each of these: what it is called, its images, and what they are called.

        Of several, that it differs from all in one direction is as sure as it is of the least sure (the test of a union
        of hypotheses: Berger 1982); the smallest gap is shown.
        """
        shares = self._seen.shares
        gaps = [gap(own, side, shares) for _, side, _ in beside]
        told = [k for k, found in enumerate(gaps) if np.isfinite(found[0])]
        best = min(told, key=lambda k: abs(gaps[k][0])) if told else 0
        row["against"] = beside[best][0]
        row |= dict(zip(("gap", "gap_low", "gap_high"), gaps[best], strict=True))
        lacks = [lacking(own, side, shares, self._what, others) for _, side, others in beside]
        row["about"], row["p_value"] = next((reason for reason in lacks if reason), None), None
        if row["about"] is None:
            less, more = (max(each) for each in zip(*(tails(own, side, shares) for _, side, _ in beside), strict=True))
            row["p_value"] = two_sided(less, more)

    def _by_class(self, grouping: Grouping) -> list[list[Row] | None]:
        """Of each group the recall of each class, or the mean absolute error of each quantity."""
        count, seen = len(grouping.values), self._seen
        if seen.off is not None:
            return [self._by_output(seen.off[grouping.of(k)]) for k in range(count)]
        if not seen.shares:
            return [None] * count
        classes = len(seen.classes)
        n, hits = (self._pairs(grouping, of, classes) for of in (seen.label, seen.right))
        found: list[list[Row]] = [[] for _ in range(count)]
        for key in sorted(n):
            low, high = wilson(hits.get(key, 0), n[key])
            score = {"images": n[key], "score": hits.get(key, 0) / n[key], "low": low, "high": high}
            found[key // classes].append({"class": key % classes, **score})
        return list(found)

    @staticmethod
    def _pairs(grouping: Grouping, of: Any, classes: int) -> dict[int, int]:
        """How many images of each group and class that occur together; the key is group * classes + class."""
        place, kind = of.each(grouping.image)
        keys, counts = np.unique(grouping.index[place] * classes + kind, return_counts=True)
        return dict(zip(keys.tolist(), counts.tolist(), strict=True))

    @staticmethod
    def _by_output(off: np.ndarray) -> list[Row]:
        """Each quantity's mean absolute error, of a group's errors (n, K)."""
        sides = [Side.of(own) for own in off[np.isfinite(off).all(1)].T]
        ends = [dict(zip(("low", "high"), side.interval(False), strict=True)) for side in sides]
        scores = [{"class": k, "images": s.n, "score": s.mean, **ends[k]} for k, s in enumerate(sides)]
        return [{name: clean(value) for name, value in row.items()} for row in scores if row["images"]]
