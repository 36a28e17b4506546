"""What names are judged by beside the cells' own columns: photographs and their places, counted part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.clusters import Grids, Ranked, among_highest, numbered, sum_by
from activation_atlas.stages.keys import find
from activation_atlas.stages.ranked import ONE_IN, columns_of
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tasks import Assigned, assigned

CHUNK = 4096


@dataclass
class Counts:
    """Of the cells of one grid.

    Attributes:
        photographs: how many photographs have m rows in each cell, (cells, most m + 1).
        groups: rows whose best class is of each group, with photographs as clusters; (cells, groups).
        taken, nearly: rows from photographs that the model takes, or nearly takes, for each class; (cells, K).
        winners: rows that argue for each class most, (cells, K); zero where no groups are given.
    """

    photographs: np.ndarray
    groups: Ranked
    taken: np.ndarray
    nearly: np.ndarray
    winners: np.ndarray

    def add(self, cells: np.ndarray, rows: np.ndarray, hits: np.ndarray) -> None:
        """Clusters: the cell of each (n,), its rows (n,) and how many of them are of each group (n, groups)."""
        if (most := int(rows.max()) + 1) > self.photographs.shape[1]:
            self.photographs = np.pad(self.photographs, ((0, 0), (0, most - self.photographs.shape[1])))
        np.add.at(self.photographs, (cells, rows.astype(np.int64)), 1)
        self.groups.add(cells, rows, hits)


@dataclass
class Whole:
    """Of the whole map: distinct photographs taken, or nearly taken, for each class, (K,)."""

    taken: np.ndarray
    nearly: np.ndarray


def count(
    inputs: Inputs, view: ViewSpec, cells: pa.Table, extract: State, members: np.ndarray
) -> tuple[Grids, list[Counts], Whole]:
    """The counts of every grid, the finest first.

    Args:
        cells: the table of cells.
        members: which class is in which group, bool (groups, K).
    """
    grids, (groups, classes) = Grids(cells), members.shape
    sizes = [len(level.of) for level in grids.levels]
    taken, nearly, winners = (np.zeros((sizes[0], classes)) for _ in range(3))
    whole = Whole(np.zeros(classes, np.int64), np.zeros(classes, np.int64))
    found = [Counts(np.zeros((n, 1), np.int64), Ranked(n, groups), taken, nearly, winners) for n in sizes]
    for index, layout in enumerate(inputs.stream(f"layouts/{view.name}")):
        if not len(layout):
            continue
        own, image = grids.cells(layout), numbered(layout)
        hits = np.zeros((len(layout), groups))
        if groups:
            best = winner(inputs, view, index, layout, extract)
            np.add.at(winners, (own, best), 1)
            hits = members[:, best].T.astype(np.float64)
        clusters = list(grids.clusters(own, image))
        for counts, (cell, rows, place) in zip(found, clusters, strict=True):
            hits = sum_by(place, len(cell), hits)
            counts.add(cell, rows, hits)
        cell, rows, place = clusters[0]
        photograph = np.zeros(len(cell), np.int64)
        photograph[place] = image
        pred, high = _said(inputs, index, layout)
        which, called = pred.each(photograph)
        np.add.at(taken, (cell[which], called), rows[which])
        for start in range(0, len(cell), CHUNK):
            some = slice(start, start + CHUNK)
            present, where = np.unique(cell[some], return_inverse=True)
            nearly[present] += sum_by(where, len(present), high[photograph[some]].astype(np.float64), rows[some])
        whole.taken += pred.counts(classes)
        whole.nearly += high.sum(0)
    for counts, level in zip(found, grids.levels, strict=True):
        counts.taken, counts.nearly, counts.winners = (
            sum_by(level.parent, len(level.of), each) for each in (taken, nearly, winners)
        )
    return grids, found, whole


def _said(inputs: Inputs, index: int, layout: pa.Table) -> tuple[Assigned, np.ndarray]:
    """Of each photograph of a part, as numbered there: what it is taken for, and what nearly, bool (n, K)."""
    said = inputs.part("predictions", index, ["image_id", "pred", "logits"])
    names = layout["image_id"].combine_chunks().dictionary_encode().dictionary
    row = pc.index_in(names, value_set=said["image_id"].combine_chunks())
    logits = to_numpy(said["logits"])[row.to_numpy()].astype(np.float32)
    return assigned(said["pred"].take(row)), among_highest(logits, max(1, logits.shape[1] // ONE_IN))


def winner(inputs: Inputs, view: ViewSpec, index: int, layout: pa.Table, extract: State) -> np.ndarray:
    """The class that each row of a part argues for most, (rows,); of equal ones the first attributed."""
    listed: Sequence[str] = ["attributed_classes"] if extract["top"] else []
    rows = inputs.part(view.rows_table, index, ["image_id", "row", "col", "attribution", *listed])
    where, values = find(layout, rows), to_numpy(rows["attribution"])
    found = np.empty(len(where), np.int64)
    for start in range(0, len(where), CHUNK):
        some = where[start : start + CHUNK]
        own = values[some].astype(np.float32)
        if extract["top"]:
            columns = columns_of(to_numpy(rows["attributed_classes"])[some], extract)
            columns = np.where(own == own.max(1, keepdims=True), columns, len(extract["classes"])).min(1)
        else:
            columns = own.argmax(1)
        found[start : start + CHUNK] = np.array(extract["attributed"])[columns]
    return found
