"""What two audits found: verified cues that are new, gone, worse or better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.compared.runs import Rows, Run

LEAST = 0.25
"""Share of the smaller region that must lie in the larger: from there on two cues of a class are one."""
AROUND = 1
"""Cells by which regions are the larger for that, for a layout is no finer than that."""
STATES = ("new", "worse", "same", "better", "undecided", "gone")


@dataclass(frozen=True)
class Region:
    """A cue and what its cells hold.

    Attributes:
        row: of the table `cues`.
        name: of its class.
        held: what lies in its cells, as codes that both runs share; near: in these or in one beside them.
    """

    row: dict[str, Any]
    name: str
    held: np.ndarray
    near: np.ndarray

    def overlap(self, other: Region) -> float:
        """Share of the smaller of the two that is in the other or right beside it, in [0, 1]."""
        small, large = sorted((self, other), key=lambda region: len(region.held))
        return len(np.intersect1d(small.held, large.near)) / len(small.held) if len(small.held) else 0.0


def regions(run: Run, atlas: str, code: np.ndarray, rows: Rows) -> list[Region]:
    """The cues of an atlas that were tested, in the order of their table.

    Args:
        code: (m,) what each row is of; -1 of one that the other run does not hold.
        rows: where they lie.
    """
    found = []
    columns = ["rank", "candidate", "class", "verdict", "flip_rate", "gap", "gap_low", "gap_high", "atlas", "cells"]
    for row in run.inputs.table("cues", columns).sort_by("rank").to_pylist():
        if row["atlas"] == atlas and row["gap"] is not None and row["cells"]:
            grid = row["cells"][0]["grid"]
            held, near = np.zeros((2, grid, grid), bool)
            for one in row["cells"]:
                x, y = one["cell_x"], one["cell_y"]
                held[x, y] = True
                near[max(x - AROUND, 0) : x + AROUND + 1, max(y - AROUND, 0) : y + AROUND + 1] = True
            at = rows.cells(grid)
            inside = [np.unique(code[cells.reshape(-1)[at] & (code >= 0)]) for cells in (held, near)]
            found.append(Region(row, run.classes[row["class"]], *inside))
    return found


def matched(before: Sequence[Region], after: Sequence[Region]) -> pa.Table:
    """A row for each cue that is verified in either run, what is worse first.

    A cue is held against the one of its class that overlaps it most, a verified one before others. New: none there is
    verified, in the first run; gone: none is, in the second, but refuted or not found; undecided: found, and not
    decided. Worse, better: the gap (share that becomes the class, less the strongest control's) is surely larger, or
    smaller, by the intervals of both (Newcombe 1998; Zou 2007).
    """
    rows = []
    for one in after:
        if one.row["verdict"] == "verified":
            other, overlap = _nearest(one, before)
            rows.append(_row(other, one, overlap))
    for one in before:
        if one.row["verdict"] == "verified":
            other, overlap = _nearest(one, after)
            if other is None or other.row["verdict"] != "verified":
                rows.append(_row(one, other, overlap))
    rows.sort(key=lambda row: STATES.index(row["state"]))
    return pa.Table.from_pylist(rows, SCHEMA)


def _nearest(one: Region, among: Sequence[Region]) -> tuple[Region | None, float | None]:
    able = [(other, one.overlap(other)) for other in among if other.name == one.name]
    able = [(other, overlap) for other, overlap in able if overlap >= LEAST]
    if not able:
        return None, None
    return max(able, key=lambda pair: (pair[0].row["verdict"] == "verified", pair[1]))


_FIGURES = ("candidate", "verdict", "flip_rate", "gap", "gap_low", "gap_high")
_TYPES = (pa.int32(), pa.string(), *[pa.float32()] * 4)
SCHEMA = pa.schema(
    [
        ("state", pa.string()),
        ("class", pa.string()),
        *((f"{other}{name}", kind) for other in ("", "other_") for name, kind in zip(_FIGURES, _TYPES, strict=True)),
        ("overlap", pa.float32()),
        *((name, pa.float32()) for name in ("change", "low", "high")),
    ]
)


def _row(before: Region | None, after: Region | None, overlap: float | None) -> dict[str, Any]:
    nothing: dict[str, Any] = dict.fromkeys(_FIGURES)
    one = before.row if before else nothing
    two = after.row if after else nothing
    known = before or after
    assert known is not None
    row = {"class": known.name, "overlap": overlap}
    row |= {name: one[name] for name in _FIGURES} | {f"other_{name}": two[name] for name in _FIGURES}
    low = high = None
    if before and after:
        change = two["gap"] - one["gap"]
        low = change - np.hypot(two["gap"] - two["gap_low"], one["gap_high"] - one["gap"])
        high = change + np.hypot(two["gap_high"] - two["gap"], one["gap"] - one["gap_low"])
        row |= {"change": change, "low": low, "high": high}
    if two["verdict"] != "verified":
        state = "undecided" if two["verdict"] == "undecided" else "gone"
    elif one["verdict"] != "verified":
        state = "new"
    else:
        assert low is not None and high is not None
        state = "worse" if low > 0 else "better" if high < 0 else "same"
    return {**row, "state": state}
