"""Which images carry a cue: those that argue for its class where the cue lies on the atlas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.keys import cell, find
from activation_atlas.stages.ranked import columns_of
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.tables import to_numpy

CHUNK = 4096
"""Rows widened at once."""


def carriers(inputs: Inputs, view: ViewSpec, cues: Sequence[Mapping[str, Any]]) -> list[set[str]]:
    """Ids of the images that carry each cue.

    An image does that has a position in the cue's cells whose attribution for the cue's class is above 0 and those for
    all other classes. In the cells alone lie many positions that only look like the cue.

    Args:
        view: the atlas; every row of its layer is on it.
        cues: rows of the table `cues`.
    """
    found: list[set[str]] = [set() for _ in cues]
    extract = inputs.state("extract", "")
    listed: Sequence[str] = ["attributed_classes"] if extract["top"] else []
    for index, layout in enumerate(inputs.stream(f"layouts/{view.name}")):
        held = [within(layout, cue["cells"]) for cue in cues]
        if not len(layout) or not np.any(held):
            continue
        rows = inputs.part(view.rows_table, index, ["image_id", "row", "col", "attribution", *listed])
        for own, cue, inside in zip(found, cues, held, strict=True):
            members = layout.filter(pa.array(inside))
            argue = _argue(members, rows, cue["class"], extract)
            own |= set(members["image_id"].filter(pa.array(argue)).to_pylist())
    return found


def within(layout: pa.Table, cells: Sequence[Mapping[str, int]]) -> np.ndarray:
    """Which rows of a layout lie in some cells of one grid, (rows,) bool."""
    if not cells:
        return np.zeros(len(layout), bool)
    grid = cells[0]["grid"]
    wanted = [each["cell_y"] * grid + each["cell_x"] for each in cells]
    x, y = (cell(layout[axis].to_numpy(), grid) for axis in "xy")
    return np.isin(y * grid + x, wanted)


def _argue(members: pa.Table, rows: pa.Table, target: int, extract: State) -> np.ndarray:
    """Which of some rows argue for a class above all others, (rows,) bool."""
    where, values = find(members, rows), to_numpy(rows["attribution"])
    argue = np.zeros(len(where), bool)
    classes = np.array(extract["attributed"])
    for start in range(0, len(where), CHUNK):
        some = where[start : start + CHUNK]
        own = values[some].astype(np.float32)
        best = own.argmax(1)
        if extract["top"]:
            best = columns_of(to_numpy(rows["attributed_classes"])[some], extract)[np.arange(len(some)), best]
        argue[start : start + CHUNK] = (classes[best] == target) & (own.max(1) > 0)
    return argue
