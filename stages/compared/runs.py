"""One of two runs, as they are compared: its images, what became of them, and where an atlas's rows lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.keys import cell
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State, UserError
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tasks import Assigned, assigned, right, task_of


@dataclass(frozen=True)
class Run:
    """The n images of a run that have a prediction.

    Attributes:
        name: what the run is called.
        inputs: its tables and states.
        ids, files, uris: (n,) object: image_id, hash of the file's content (None where unknown), address.
        label, pred: the classes of each.
        correct: (n,) 1, 0, or NaN where there is no label.
        prob: (n,) probability of the prediction; NaN of quantities.
        meta: metadata columns and the split, n rows.
        several, measured: the kind of answer, see :class:`stages.tasks.Task`.
    """

    name: str
    inputs: Inputs
    ids: np.ndarray
    files: np.ndarray
    uris: np.ndarray
    label: Assigned
    pred: Assigned
    correct: np.ndarray
    prob: np.ndarray
    meta: pa.Table
    several: bool
    measured: bool

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def extract(self) -> State:
        return self.inputs.state("extract", "")

    @property
    def classes(self) -> list[str]:
        return list(self.extract["classes"])

    @cached_property
    def place(self) -> dict[str, int]:
        """Index of each image by its id."""
        return {own: k for k, own in enumerate(self.ids.tolist())}

    def indices(self, ids: pa.ChunkedArray) -> np.ndarray:
        """Index of each id; -1 of one without a prediction."""
        found = pc.index_in(ids, value_set=pa.array(self.ids, pa.string()))
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    def labels(self) -> np.ndarray:
        """(n,) object: the name of each image's class, None without a label."""
        return self.label.names(self.classes)

    def predictions(self) -> np.ndarray:
        """(n,) object: the name of what each image is taken for."""
        return self.pred.names(self.classes)


def read_run(name: str, inputs: Inputs) -> Run:
    """The images of a run.

    Raises:
        UserError: the run has no predictions.
    """
    if not inputs.parts("predictions") or not inputs.parts("images"):
        raise UserError(f"{name}: no image has a prediction yet; run it to its end, then compare")
    said = inputs.table("predictions", ["image_id", "label", "pred", "prob", "correct"])
    about = inputs.table("images")
    about = about.take(pc.index_in(said["image_id"], value_set=about["image_id"].combine_chunks()))
    task = task_of(said.schema.field("label").type)
    correct = right(said["correct"]).astype(np.float64)
    correct[pc.is_null(said["correct"]).to_numpy(zero_copy_only=False)] = np.nan
    ids, files, uris = (
        np.array(column.to_pylist(), object) for column in (said["image_id"], about["sha256"], about["uri"])
    )
    return Run(
        name, inputs, ids, files, uris, assigned(said["label"]), assigned(said["pred"]), correct,
        pc.fill_null(said["prob"], float("nan")).to_numpy(zero_copy_only=False).astype(np.float64),
        about.select([c for c in about.column_names if c == "split" or c.startswith("meta.")]),
        task.several, task.measured,
    )  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Where the rows of an atlas lie.

    Attributes:
        image: (m,) index of the run's image.
        position: (m,) the place in the layer's map, as one number (-1: the row is a whole image).
        x, y: (m,) float32 in [0, 1).
    """

    image: np.ndarray
    position: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def cells(self, grid: int) -> np.ndarray:
        """The cell of each row, (m,): cell_x * grid + cell_y."""
        return cell(self.x, grid) * grid + cell(self.y, grid)

    def codes(self, mine: np.ndarray | None = None, positions: bool = True) -> np.ndarray:
        """(m,) what each row is of, as one number: its image and position, or its image alone.

        Args:
            mine: images (k,) that are shared, in an order that both runs have; rows of others get -1. Default: all are
                numbered as they are.
        """
        image = self.image
        if mine is not None:
            shared = np.full(int(image.max(initial=-1)) + 1, -1)
            inside = mine < len(shared)
            shared[mine[inside]] = np.flatnonzero(inside)
            image = shared[image]
        code = image << 32 | (self.position & 0xFFFFFFFF if positions else 0)
        return np.where(image < 0, -1, code)

    def presence(self, grid: int) -> tuple[np.ndarray, np.ndarray]:
        """(image, cell) of each image and each cell that a row of it lies in, every pair once."""
        pairs = np.unique(self.image << 32 | self.cells(grid))
        return pairs >> 32, pairs & 0xFFFFFFFF


def read_rows(run: Run, layouts: Callable[[], Iterator[pa.Table]]) -> Rows:
    """The rows of a layout, part by part."""
    found = []
    for part in layouts():
        image = run.indices(part["image_id"])
        row, col = (part[name].to_numpy().astype(np.int64) for name in ("row", "col"))
        mine = image >= 0
        position = np.where(row < 0, -1, row << 16 | col)
        found.append([column[mine] for column in (image, position, part["x"].to_numpy(), part["y"].to_numpy())])
    if not found:
        raise UserError(f"{run.name}: its atlas holds no row; run it to its end, then compare")
    return Rows(*(np.concatenate(each) for each in zip(*found, strict=True)))


def argued(run: Run, view: ViewSpec) -> np.ndarray | None:
    """(n,) mean over an image's positions of the attribution for its own class, in logits.

    Its own class is its label's, or what it is taken for without one; of several the mean. NaN of an image that has no
    attribution for its class; None where the run has none at all.
    """
    table = f"activations/{view.rows_table.split('/', 1)[1]}"
    if not run.inputs.parts(table) or "attribution" not in run.inputs.part(table, 0).column_names:
        return None
    extract = run.extract
    known = np.isin(np.arange(len(run)), run.label.image)
    image = np.concatenate([run.label.image, run.pred.image[~known[run.pred.image]]])
    index = np.concatenate([run.label.index, run.pred.index[~known[run.pred.image]]])
    order = np.argsort(image, kind="stable")
    own = Assigned(known, image[order], index[order])
    column = np.full(len(run.classes), -1)
    column[list(extract["attributed"])] = np.arange(len(extract["attributed"]))
    sums, counts = np.zeros(len(run)), np.zeros(len(run))
    names = ["image_id", "attribution", *(["attributed_classes"] if extract["top"] else [])]
    for part in run.inputs.stream(table, names):
        image = run.indices(part["image_id"])
        values = to_numpy(part["attribution"])
        at, index = own.each(np.maximum(image, 0))
        keep = image[at] >= 0
        at, index = at[keep], index[keep]
        if extract["top"]:
            row, where = np.nonzero(to_numpy(part["attributed_classes"])[at] == index[:, None])
            at = at[row]
        else:
            able = column[index] >= 0
            at, where = at[able], column[index[able]]
        sums += np.bincount(image[at], values[at, where].astype(np.float64), len(run))
        counts += np.bincount(image[at], minlength=len(run))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


@dataclass(frozen=True)
class Pairs:
    """Images that two runs share: the same content under the same id, else the same content, once in each.

    Attributes:
        one, two: (m,) index in the first run and in the second.
        changed: images of one id whose content is not the same: they are not shared.
    """

    one: np.ndarray
    two: np.ndarray
    changed: int

    def __len__(self) -> int:
        return len(self.one)

    def within(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of which both are in the given sets, (n1,) and (n2,) bool: indices among the members of either."""
        both = one[self.one] & two[self.two]
        return (np.cumsum(one) - 1)[self.one[both]], (np.cumsum(two) - 1)[self.two[both]]


def pairs(first: Run, second: Run) -> Pairs:
    """The images that two runs share."""
    there = second.place
    same = [(k, there[own]) for k, own in enumerate(first.ids.tolist()) if own in there]
    kept = [(a, b) for a, b in same if first.files[a] == second.files[b]]
    taken, other_taken = {a for a, _ in kept}, {b for _, b in kept}
    alone, other_alone = (_once(run.files, used) for run, used in ((first, taken), (second, other_taken)))
    moved = [(alone[file], other_alone[file]) for file in alone if file in other_alone]
    found = np.array(sorted([*kept, *moved]), np.int64).reshape(-1, 2)
    return Pairs(found[:, 0], found[:, 1], len(same) - len(kept))


def _once(files: np.ndarray, used: set[int]) -> dict[str, int]:
    """Content that is there once, of what is not used: its image."""
    counts = Counter(files.tolist())
    return {file: k for k, file in enumerate(files.tolist()) if file and counts[file] == 1 and k not in used}
