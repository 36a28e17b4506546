"""Two runs over one layout: of which cells there are more images now, and of which fewer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activation_atlas.stages.compared.estimates import Shares
from activation_atlas.stages.compared.runs import Pairs, Rows, Run
from activation_atlas.stages.significance import bh, wider

SURE = 0.05
"""The q value below which something has changed."""
DRAWS, AT_ONCE = 1000, 100
"""Of which images are of which run, for the test of all cells together."""
EXAMPLES = 8
"""Photographs of a cell that has changed."""


@dataclass(frozen=True)
class Population:
    """Cells of one grid, by cell_x and cell_y.

    Attributes:
        grid: cells along a side.
        table: a row for each cell that is occupied in either run, see ``described``.
        images, other_images: of either run that have a row in the atlas at all.
        p_value: that all cells together differ as they do by chance; NaN where nothing could differ.
        examples: of each row whose state is not "same" the run that has more of it (0, 1) and ids of its images, drawn.
    """

    grid: int
    table: pa.Table
    images: int
    other_images: int
    p_value: float
    examples: dict[int, tuple[int, list[str]]]

    def count(self, *states: str) -> int:
        """Cells in any of these states."""
        return sum(state in states for state in self.table["state"].to_pylist())


def shifted(first: Run, second: Run, rows: Rows, other_rows: Rows, shared: Pairs, grid: int) -> Population:
    """How the share of images that reach each cell has changed.

    Positions of one image are not independent: an image counts once in a cell, however many of its rows lie there.
    """
    (image, cell), (other_image, other_cell) = rows.presence(grid), other_rows.presence(grid)
    cells, place = np.unique(np.r_[cell, other_cell], return_inverse=True)
    own, other = place[: len(cell)], place[len(cell) :]
    there, other_there = np.zeros(len(first), bool), np.zeros(len(second), bool)
    there[image], other_there[other_image] = True, True
    both = there[shared.one] & other_there[shared.two]
    pair, other_pair = np.full(len(first), -1), np.full(len(second), -1)
    pair[shared.one[both]] = other_pair[shared.two[both]] = np.arange(both.sum())
    k = len(cells)
    hits, other_hits = np.bincount(own, minlength=k), np.bincount(other, minlength=k)
    seen = _pair_hits(own, pair[image]), _pair_hits(other, other_pair[other_image])
    in_both = np.intersect1d(*seen, assume_unique=True) >> 32
    shares = Shares(
        there.sum(), hits, other_there.sum(), other_hits,
        both.sum(), np.bincount(seen[0] >> 32, minlength=k), np.bincount(seen[1] >> 32, minlength=k),
        np.bincount(in_both, minlength=k),
    )  # fmt: skip
    p = shares.p_value()
    q = bh(p)
    sure = q < SURE
    change, low, high = shares.change()
    if sure.any():
        _, wide_low, wide_high = shares.change(wider(int(sure.sum()), int((~np.isnan(p)).sum())))
        low, high = np.where(sure, wide_low, low), np.where(sure, wide_high, high)
    state = np.select(
        [~sure, hits == 0, other_hits == 0, change > 0], ["same", "appeared", "emptied", "grew"], "shrank"
    )
    errors = [_errors(run, at, of, k) for run, at, of in ((first, own, image), (second, other, other_image))]
    one, two = shares.shares()
    columns = {
        "grid": pa.array(np.full(k, grid, np.int16)),
        "cell_x": pa.array((cells // grid).astype(np.int16)),
        "cell_y": pa.array((cells % grid).astype(np.int16)),
        "images": pa.array(hits.astype(np.int32)),
        "other_images": pa.array(other_hits.astype(np.int32)),
        "rows": pa.array(_rows(rows, cells, grid)),
        "other_rows": pa.array(_rows(other_rows, cells, grid)),
        "share": _known(one),
        "other_share": _known(two),
        "change": _known(change),
        "low": _known(low),
        "high": _known(high),
        "p_value": _known(p, np.float64),
        "q_value": _known(q, np.float64),
        "state": pa.array(state.tolist(), pa.string()),
        "error_rate": _known(errors[0]),
        "other_error_rate": _known(errors[1]),
    }
    # Every image once, as it is in the first run where it is in both.
    new = ~np.isin(other_image, shared.two[both])
    codes = np.r_[image, len(first) + other_image[new]], np.r_[own, other[new]]
    inside, other_inside = np.r_[there, np.zeros(len(second), bool)], np.r_[np.zeros(len(first), bool), other_there]
    other_inside[len(first) + shared.two[both]] = False
    other_inside[shared.one[both]] = True
    p_all = together(*codes, inside, other_inside, k)
    examples = {}
    for row in np.flatnonzero(sure).tolist():
        which = int(change[row] > 0)
        run, reached = (second, other_image[other == row]) if which else (first, image[own == row])
        drawn = sorted(reached.tolist(), key=lambda k: run.files[k] or run.ids[k])[:EXAMPLES]
        examples[row] = which, [str(run.ids[k]) for k in drawn]
    return Population(grid, pa.table(columns), int(there.sum()), int(other_there.sum()), p_all, examples)


def together(image: np.ndarray, cell: np.ndarray, one: np.ndarray, two: np.ndarray, cells: int, seed: int = 0) -> float:
    """P value that images are of either run by chance, whichever cells they reach, by drawing anew which are.

    T = sum over cells of (p2 - p1)^2 / (p (1 - p)), p over all images; an image that is in both runs stays one that is.

    Args:
        image, cell: (m,) that reach each other, every pair once; cells are numbered below ``cells``.
        one, two: (n,) bool, which images are of the first run, and of the second.
    """
    from scipy.sparse import csr_matrix

    some = np.flatnonzero(one | two)
    number = np.full(len(one), -1)
    number[some] = np.arange(len(some))
    mine = number[image] >= 0
    reached = csr_matrix((np.ones(mine.sum()), (cell[mine], number[image][mine])), (cells, len(some)))
    weight = two[some] / max(int(two.sum()), 1) - one[some] / max(int(one.sum()), 1)
    if np.ptp(weight) == 0:
        return float("nan")
    share = np.asarray(reached.sum(1)).reshape(-1) / len(some)
    able = (share > 0) & (share < 1)
    scale = share[able] * (1 - share[able])
    rng = np.random.default_rng([seed, 17])

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.asarray(((reached @ weights)[able] ** 2 / scale[:, None]).sum(0))

    found = float(statistic(weight[:, None])[0])
    drawn = [statistic(np.stack([rng.permutation(weight) for _ in range(AT_ONCE)], 1)) for _ in range(DRAWS // AT_ONCE)]
    return float((1 + (np.concatenate(drawn) >= found * (1 - 1e-9)).sum()) / (DRAWS + 1))


def _pair_hits(cell: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """cell << 32 | pair of each occurrence of a shared image."""
    shared = pair >= 0
    return cell[shared].astype(np.int64) << 32 | pair[shared]


def _rows(rows: Rows, cells: np.ndarray, grid: int) -> np.ndarray:
    return np.bincount(np.searchsorted(cells, rows.cells(grid)), minlength=len(cells))


def _errors(run: Run, cell: np.ndarray, image: np.ndarray, cells: int) -> np.ndarray:
    """Share of misclassified among a cell's labelled images, NaN where there are none."""
    known = ~np.isnan(run.correct[image])
    labelled = np.bincount(cell[known], minlength=cells)
    wrong = np.bincount(cell[known], 1 - run.correct[image[known]], cells)
    return np.where(labelled > 0, wrong / np.maximum(labelled, 1), np.nan)


def _known(values: np.ndarray, dtype: type = np.float32) -> pa.Array:
    """A column with nulls for NaN."""
    return pa.array(values.astype(dtype), mask=np.isnan(values))
