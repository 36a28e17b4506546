"""What a label is, and what it takes to be right: the one reader of ``label``, ``pred`` and ``correct``. A leaf.

A kind of answer is one record of :data:`TASKS`; a table tells which it is by the type of its column ``label``:

    labels = assigned(part["label"])      # whatever the kind
    labels.known, labels.of(3)            # images with a label; those labelled as class 3
    mistaken(part["correct"])             # images with a label that were not got right
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.tasks.kinds import (
    CLASSES,
    LABELS,
    QUANTITIES,
    TASKS,
    Column,
    Task,
    labelled,
    lists,
    log_odds,
    task_named,
    task_of,
)
from activation_atlas.stages.tasks.values import SHARE, Values, Worst, judged

__all__ = [
    "Assigned",
    "CLASSES",
    "Column",
    "LABELS",
    "QUANTITIES",
    "SHARE",
    "Several",
    "TASKS",
    "Task",
    "Values",
    "Worst",
    "assigned",
    "described",
    "judged",
    "labelled",
    "lists",
    "log_odds",
    "mistaken",
    "right",
    "task_named",
    "task_of",
]


class Several(str):
    """Names in one text."""

    names: tuple[str, ...]

    def __new__(cls, names: Iterable[str]) -> Several:
        given = tuple(names)
        made = super().__new__(cls, ", ".join(given))
        made.names = given
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Several, (self.names,)


@dataclass(frozen=True)
class Assigned:
    """The classes that images are labelled as, or taken for.

    Attributes:
        known: (n,) bool, the images that have a label (or a prediction) at all; of quantities none has.
        image, index: (m,) int64, pairs of an image and the index of one of its classes, by rising image.
    """

    known: np.ndarray
    image: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.known)

    def of(self, *classes: int) -> np.ndarray:
        """Which images are of any of these classes, (n,) bool."""
        mine = np.zeros(len(self), bool)
        mine[self.image[np.isin(self.index, classes)]] = True
        return mine

    def counts(self, classes: int) -> np.ndarray:
        """How many images are of each class, (classes,)."""
        return np.bincount(self.index, minlength=classes)

    def without(self, others: Assigned) -> Assigned:
        """The classes of each image that are not among those of another column; known where both are."""
        mine, theirs = (of.image << 32 | of.index for of in (self, others))
        known = self.known & others.known
        left = ~np.isin(mine, theirs) & known[self.image]
        return Assigned(known, self.image[left], self.index[left])

    def each(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The classes of images (k,), which may come more than once: places among them, and the class there."""
        first, last = (np.searchsorted(self.image, images, side) for side in ("left", "right"))
        count = last - first
        place = np.repeat(np.arange(len(images)), count)
        within = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
        return place, self.index[first[place] + within]

    @property
    def only(self) -> np.ndarray:
        """The class of each image that is of one, else -1: (n,) int64."""
        mine = np.full(len(self), -1, np.int64)
        mine[self.image] = self.index
        return np.where(np.bincount(self.image, minlength=len(self)) == 1, mine, -1)

    def names(self, classes: Sequence[str]) -> np.ndarray:
        """The name of each image's class, of several all of them: (n,) object, None where none is known."""
        named = np.full(len(self), None, object)
        named[self.known] = ""
        one = self.only >= 0
        named[one] = np.array(classes, object)[self.only[one]]
        for k in np.unique(self.image[~one[self.image]]).tolist():
            named[k] = Several(classes[index] for index in self.each(np.array([k]))[1])
        return named

    def least(self, probabilities: np.ndarray) -> pa.Array:
        """The probability (n, K) of each image's class, of several the least; null where it is of none."""
        value = probabilities[:, 0].copy() if len(self) else np.zeros(0, probabilities.dtype)
        value[self.image] = np.inf
        np.minimum.at(value, self.image, probabilities[self.image, self.index])
        return pa.array(value, mask=np.bincount(self.image, minlength=len(self)) == 0)


def assigned(*parts: Column) -> Assigned:
    """The classes that a column ``label`` or ``pred`` names, given in parts that follow one another (at least one)."""
    chunks = [chunk for part in parts for chunk in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])]
    column = pa.chunked_array(chunks, parts[0].type).combine_chunks()
    task = task_of(column.type)
    known = np.zeros(len(column), bool) if task.measured else labelled(column)
    return Assigned(known, *task.pairs(column))


def right(correct: Any) -> np.ndarray:
    """Which images count as right, (n,) bool, by a column ``correct`` of Arrow or pandas."""
    return _known(correct, False)


def mistaken(correct: Any) -> np.ndarray:
    """Which images count as errors, (n,) bool: what is unknown is none."""
    return ~_known(correct, True)


def _known(correct: Any, otherwise: bool) -> np.ndarray:
    column = correct if isinstance(correct, Column) else pa.array(correct, pa.bool_())
    return pc.fill_null(column, otherwise).to_numpy(zero_copy_only=False).astype(bool)


def described(label: Any, pred: Any, classes: Sequence[str], task: Task) -> str | None:
    """What an image was labelled and predicted as, in words, by values of both columns; None of one class each."""
    if not (task.several or task.measured):
        return None

    def words(value: Any) -> str:
        if task.measured:
            return ", ".join(f"{name} {one:.4g}" for name, one in zip(classes, value, strict=True))
        return ", ".join(classes[k] for k in value) or "none"

    said = f"predicted {words(pred)}"
    return said if label is None else f"{words(label)}; {said}"
