"""What an audit looks at, part by part: images of both halves, an atlas's rows and what each argues for. A leaf."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activation_atlas.stages.clusters import Grids, numbered
from activation_atlas.stages.halves import held_out, priority
from activation_atlas.stages.keys import find
from activation_atlas.stages.ranked import columns_of
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tasks import Assigned, Task, assigned, log_odds, mistaken, task_of


@dataclass(frozen=True)
class Images:
    """The n images of one part that have a prediction.

    Attributes:
        ids: their ids.
        own: (n, A) bool: which attributed classes each is of, by its label or, without one, by its prediction.
        called: (n, A) bool, the classes that each is predicted as.
        labelled, wrong, held: (n,) bool: has a label; is misclassified; is of the half that is held out.
        files: the first 16 hex digits of each file's hash: who draws by them draws a file that is there twice once.
    """

    ids: list[str]
    own: np.ndarray
    called: np.ndarray
    labelled: np.ndarray
    wrong: np.ndarray
    held: np.ndarray
    files: list[str]


@dataclass(frozen=True)
class Rows:
    """The rows of one part.

    Attributes:
        images: of the part.
        image: (m,) index into these.
        cell: (m,) of the grid.
        row, col: (m,) the position.
        values: (m, A) attributions, float64.
    """

    images: Images
    image: np.ndarray
    cell: np.ndarray
    row: np.ndarray
    col: np.ndarray
    values: np.ndarray


def images_of(inputs: Inputs, part: int, extract: State, seed: int) -> Images:
    """The images of one part."""
    said = inputs.part("predictions", part, ["image_id", "label", "pred", "correct"])
    about = inputs.part("images", part, ["image_id", "sha256"])
    hashes = dict(zip(about["image_id"].to_pylist(), about["sha256"].to_pylist(), strict=True))
    ids = said["image_id"].to_pylist()
    label, pred = assigned(said["label"]), assigned(said["pred"])
    own, called = (_hot(of, extract) for of in (label, pred))
    own[~label.known] = called[~label.known]
    held = held_out([hashes[i] for i in ids], seed)
    files = [hashes[i][:16] for i in ids]
    return Images(ids, own, called, label.known, mistaken(said["correct"]), held, files)


def _hot(of: Assigned, extract: State) -> np.ndarray:
    """(n, A) bool: which attributed classes each image is of."""
    hot = np.zeros((len(of), len(extract["classes"])), bool)
    hot[of.image, of.index] = True
    return hot[:, np.array(extract["attributed"], np.int64)]


def drawn(inputs: Inputs, extract: State, able: Callable[[Images], np.ndarray], most: int, *seeds: int) -> list[str]:
    """Ids of at most so many of the images that are ``able`` (n,) bool, in the order of a draw of each file's own."""
    kept: list[tuple] = []
    for part in range(inputs.parts("predictions")):
        known = images_of(inputs, part, extract, seeds[0])
        may = able(known)
        new = zip(priority(known.files, *seeds)[may].tolist(), np.array(known.ids, object)[may].tolist(), strict=True)
        kept = first_drawn([*kept, *new], most)
    return [own for _, own in kept]


def first_drawn(rows: Iterable[tuple], most: int) -> list[tuple]:
    """At most so many rows of the smallest draws, which are their first fields; of one draw the first row."""
    return heapq.nsmallest(most, {row[0]: row for row in sorted(rows, reverse=True)}.values())


def task_in(inputs: Inputs) -> Task:
    """The kind of answer of a run with predictions."""
    return task_of(inputs.part("predictions", 0, ["label"]).schema.field("label").type)


def taken(scores: np.ndarray, extract: State, task: Task) -> np.ndarray:
    """For which classes images of these scores are taken, as their predictions are made: (..., K) float32 -> bool.

    Of several labels those that reach their threshold, else the largest, the first of equals; of quantities none.
    """
    if task.several:
        return scores >= log_odds(extract.get("thresholds", 0.5)).astype(np.float32)
    if task.measured:
        return np.zeros(scores.shape, bool)
    return scores.argmax(-1)[..., None] == np.arange(scores.shape[-1])


def rows_of(inputs: Inputs, view: ViewSpec, extract: State, grids: Grids, seed: int) -> Iterator[Rows]:
    """All rows of an atlas, one part at a time; parts without any are left out."""
    for part in range(inputs.parts(f"layouts/{view.name}")):
        if (rows := part_of(inputs, view, extract, grids, seed, part)) is not None:
            yield rows


def part_of(inputs: Inputs, view: ViewSpec, extract: State, grids: Grids, seed: int, part: int) -> Rows | None:
    """The rows of one part; None where it has none."""
    layout = inputs.part(f"layouts/{view.name}", part, ["image_id", "row", "col", "x", "y"])
    if not len(layout):
        return None
    columns = ["image_id", "row", "col", "attribution", *(["attributed_classes"] if extract["top"] else [])]
    table, images = inputs.part(view.rows_table, part, columns), images_of(inputs, part, extract, seed)
    names = layout["image_id"].combine_chunks().dictionary_encode().dictionary.to_pylist()
    place = {own: k for k, own in enumerate(images.ids)}
    image = np.array([place[name] for name in names])[numbered(layout)]
    row, col = (layout[name].to_numpy().astype(np.int64) for name in ("row", "col"))
    values = _values(table, find(layout, table), extract)
    return Rows(images, image, grids.cells(layout), row, col, values)


def _values(table: pa.Table, where: np.ndarray, extract: State) -> np.ndarray:
    """Attributions (m, A) float64; of an image's unlisted classes, in the mode ``top``, 0."""
    values = to_numpy(table["attribution"])[where].astype(np.float64)
    if not extract["top"]:
        return values
    wide = np.zeros((len(where), len(extract["attributed"])))
    np.put_along_axis(wide, columns_of(to_numpy(table["attributed_classes"])[where], extract), values, 1)
    return wide
