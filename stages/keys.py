"""Rows matched by their key, and places by their cell. A leaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def positions(table: pa.Table) -> pa.Table:
    """The keys (image_id, row, col) of a table's rows; row = col = -1 where a row is a whole image."""
    if "row" in table.column_names:
        return table.select(["image_id", "row", "col"])
    whole = pa.array(np.full(len(table), -1, np.int16))
    return pa.table({"image_id": table["image_id"], "row": whole, "col": whole})


def find(rows: pa.Table, among: pa.Table) -> np.ndarray:
    """For each of ``rows`` the index of the row of ``among`` with the same :func:`positions` (distinct there).

    Returns int64 of shape (rows,), -1 where there is none.
    """
    rows, among = positions(rows), positions(among)
    if not len(rows) or not len(among):
        return np.full(len(rows), -1, np.int64)
    images = pc.unique(among["image_id"])
    wanted, there = _code(rows, images), _code(among, images)
    order = np.argsort(there, kind="stable")
    place = np.minimum(np.searchsorted(there, wanted, sorter=order), len(there) - 1)
    found = order[place]
    return np.where((there[found] == wanted) & (wanted >= 0), found, -1)


def _code(rows: pa.Table, images: pa.Array) -> np.ndarray:
    """One integer per row: its image's place in ``images`` (-1: not there), its row and its col."""
    image = pc.fill_null(pc.index_in(rows["image_id"], value_set=images), -1).to_numpy().astype(np.int64)
    row, col = (rows[name].to_numpy().astype(np.int64) + 32768 for name in ("row", "col"))
    return np.where(image < 0, -1, (image << 32) | (row << 16) | col)


def cell(place: np.ndarray, grid: int) -> np.ndarray:
    """floor(place x grid) for places in [0, 1): exact, so that every grid twice as fine nests in the coarser."""
    return np.floor(place.astype(np.float64) * grid).astype(np.int64)


def stored(state: Mapping[str, Any], prefix: str = "") -> pa.Table:
    """The keys that a state holds as three arrays, of names that begin with ``prefix``."""
    images = pa.array(np.char.decode(state[f"{prefix}image_id"]).tolist(), pa.string())
    return pa.table({"image_id": images, **{name: state[prefix + name] for name in ("row", "col")}})
