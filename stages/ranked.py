"""An atlas's rows with what each argues for, and which classes it ranks high. A leaf.

In the mode `top` an image's unlisted classes count 0, and the highest of those listed is the one that is ranked high.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from activation_atlas.stages.clusters import Grids, among_highest, numbered, whole
from activation_atlas.stages.keys import find
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.tables import to_numpy

ONE_IN = 20
"""A position ranks a class high that is among the highest of one in so many attributed classes (at least one)."""
CHUNK = 2048
"""Rows taken at once: so many counts, squared and added up, are exact in float32."""
WIDE = 2**22
"""Values widened to float64 at once."""


def ranked_rows(
    inputs: Inputs, view: ViewSpec, extract: State, grids: Grids
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """An atlas's rows, whole clusters at a time: part by part, in each by cell of the coarsest grid, then in order.

    Yields:
        the number of each row in the layout (n,), its cell of the finest grid (n,), its photograph (n,), numbered
        within its part, its attributions (n, A) float64 and whether each class is among the highest of them, 0 or 1
        (n, A).

    Raises:
        ValueError: the layout holds rows that the table of activations does not.
    """
    size, before = len(extract["attributed"]), 0
    columns = ["image_id", "row", "col", "attribution", *(["attributed_classes"] if extract["top"] else [])]
    for index, layout in enumerate(inputs.stream(f"layouts/{view.name}")):
        if not len(layout):
            continue
        rows = inputs.part(view.rows_table, index, columns)
        where, own, image = find(layout, rows), grids.cells(layout), numbered(layout)
        if (where < 0).any():
            raise ValueError(f"part {index} of layouts/{view.name} holds rows that {view.rows_table} does not")
        values = to_numpy(rows["attribution"])
        known = columns_of(to_numpy(rows["attributed_classes"]), extract) if extract["top"] else None
        for some in whole(grids.coarsest(own), image, min(CHUNK, max(1, WIDE // size))):
            taken = where[some]
            chosen = None if known is None else known[taken]
            yield before + some, own[some], image[some], *_ranked(values[taken], chosen, size)
        before += len(layout)


def _ranked(values: np.ndarray, known: np.ndarray | None, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Attributions (n, size) float64, and which classes are among the highest, 0 or 1.

    Args:
        known: the column of each value where only some are listed.
    """
    counts = np.float32 if len(values) <= CHUNK else np.float64
    if known is None:
        wide = values.astype(np.float64)  # and float32 of it: of float16 it takes longer than both
        return wide, among_highest(wide.astype(np.float32), max(1, size // ONE_IN)).astype(counts)
    order = np.argsort(known, axis=1)  # of equal ones the first column is the higher, whatever their order
    known, values = (np.take_along_axis(each, order, 1) for each in (known, values))
    wide, high = np.zeros((len(values), size)), np.zeros((len(values), size), counts)
    np.put_along_axis(wide, known, values, 1)
    np.put_along_axis(high, known, among_highest(values.astype(np.float32), max(1, values.shape[1] // ONE_IN)), 1)
    return wide, high


def columns_of(classes: np.ndarray, extract: State) -> np.ndarray:
    """Class indices (rows, 20) as columns of the attribution vector."""
    column = np.zeros(len(extract["classes"]), np.int64)
    column[np.array(extract["attributed"])] = np.arange(len(extract["attributed"]))
    return column[classes]
