"""What a map shows for a class: a statistic of each cell, and whether it differs from the map as a whole.

Photographs are the unit: positions of one photograph are alike, so standard
errors are clustered by photograph (Liang & Zeger 1986), with as few degrees of
freedom as a cell has photographs less one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.intervals import Z, student_t, wilson_bounds
from activation_atlas.stages.report.evidence import Atlas, Grid

NAMES = {"top_share": "Share", "relative": "Relative mean", "mean": "Mean"}
"""What the statistics are called where there is room for a word."""


SATURATED = 0.9
"""Of a class atlas's own class, a share of the whole map above which the shares of its cells tell nothing."""


@dataclass(frozen=True)
class Shown:
    """One statistic over the cells; columns are the attributed classes.

    Attributes:
        values: (cells, classes). A share in [0, 1], or logits.
        rate: (classes,) or (cells, classes): the same of all of the map.
        sure: (cells, classes) bool: whether the 95 % interval lies beside the rate; all true where none is known.
        spread: what the interval follows from, (cells, classes): of a share the number of independent positions that
            would tell as much, of logits half of its width. None where not known.
    """

    values: np.ndarray
    rate: np.ndarray
    sure: np.ndarray
    spread: np.ndarray | None = None

    @property
    def excess(self) -> np.ndarray:
        """(cells, classes): above the rate."""
        return self.values - self.rate

    def reach(self, trusted: np.ndarray) -> float:
        """The largest difference from the rate, > 0: of what is sure in cells that hold enough, else of all."""
        size = np.abs(np.nan_to_num(self.excess))
        enough = trusted[:, None] & np.ones_like(self.sure)
        for chosen in (enough & self.sure, enough, np.ones_like(self.sure)):
            if size[chosen].any():
                return float(size[chosen].max())
        return 1.0


def possible(atlas: Atlas, grid: Grid) -> list[str]:
    """The statistics that a grid has, the one to show first.

    That is what ``validity`` has for the atlas, else the share; but not of an atlas of rows that argue for one class,
    where nearly all do so before any other: their share tells nothing.
    """
    if grid.attribution is None:
        return []
    found = ["mean"]
    several = len(atlas.attributed) > 1
    if atlas.softmax and several and not atlas.listed and len(atlas.attributed) == len(atlas.classes):
        found.insert(0, "relative")
    if "top_share" in grid.measured and several and not atlas.measured:
        found.insert(0, "top_share")
    first = atlas.statistic if atlas.statistic in found else found[0] if found[0] == "top_share" else "mean"
    if first == "top_share" and atlas.kind == "class":
        own = [atlas.attributed.index(c) for c in atlas.own_classes if c in atlas.attributed]
        if own and shown(grid, first).rate[own].min() > SATURATED:
            first = next(name for name in found if name != first)
    return [first, *(name for name in found if name != first)]


def shown(grid: Grid, statistic: str) -> Shown:
    """A statistic of :func:`possible` over the cells."""
    values, weight = grid.attribution.astype(np.float64), grid.count / grid.count.sum()
    if statistic == "top_share":
        values = grid.measured["top_share"].astype(np.float64)
        rate, spread = weight @ values, None
        sure = np.ones(values.shape, bool)
        if "top_share_se" in grid.measured:
            spread = effective(values, grid.measured["top_share_se"], grid.count, grid.images)
            low, high = wilson_bounds(values, spread)
            sure = (low > rate) | (high < rate)
        return Shown(values, rate, sure, spread)
    if statistic == "relative":
        values = values - values.mean(1, keepdims=True)
    rate, error = weight @ values, grid.measured.get("relative_se" if statistic == "relative" else "attribution_se")
    if error is None:
        return Shown(values, rate, np.ones(values.shape, bool))
    half = error * student_t(grid.images)[:, None]
    with np.errstate(invalid="ignore"):
        return Shown(values, rate, np.abs(values - rate) > half, half)


def effective(share: np.ndarray, error: np.ndarray, count: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Independent positions that would tell as much of a share, (cells, classes) (Korn & Graubard 1998).

    s (1 - s) / error^2 of them, at most as many as there are, and fewer where
    the error itself is of few photographs. Where all photographs agree (an error
    of 0) they are counted, not their positions; of a single one nothing follows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = share * (1 - share) / np.square(error.astype(np.float64))
    found = np.where((share > 0) & (share < 1) & (error > 0), found, images[:, None])
    found = np.minimum(found, count[:, None]) * np.square(Z / student_t(images))[:, None]
    return np.where(np.isfinite(found) & ~np.isnan(error), found, 0.0)


def worded(atlas: Atlas, statistic: str) -> tuple[str, str]:
    """What a statistic is, before and after the name of a class."""
    if statistic == "mean":
        return "mean attribution to ", ", in its unit" if atlas.measured else ", in logits"
    if statistic == "relative":
        return "mean attribution to ", " less that to all classes, in logits: all that a softmax goes by"
    classes = len(atlas.attributed)
    if atlas.listed and classes > 20:
        return "share of its positions that argue for ", " before any other of their image's 20 likeliest"
    most, of = max(1, classes // 20), "" if classes == len(atlas.classes) else " extracted classes"
    if most == 1:
        return "share of its positions that argue for ", f" before any other of {classes}{of}" if of else (
            " before any other class"
        )
    return "share of its positions that rank ", f" among their top {most} of {classes:,}{of}"


def ranked(grid: Grid, most: int = 5) -> list[list[tuple[int, float, float, bool]]]:
    """Per cell the classes whose share exceeds that of the map most: (column, share, mean in logits, sure).

    Those that surely do come first.
    """
    found = shown(grid, "top_share")
    excess = found.excess
    order = np.lexsort((-excess, ~(found.sure & (excess > 0))), axis=1)[:, :most]
    return [
        [
            (int(j), float(found.values[k, j]), float(grid.attribution[k, j]), bool(found.sure[k, j]))
            for j in columns
            if excess[k, j] > 0
        ]
        for k, columns in enumerate(order)
    ]
