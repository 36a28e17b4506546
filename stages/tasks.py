"""What a label is, and what it takes to be right: the one reader of ``label``, ``pred`` and ``correct``. A leaf.

A kind of answer is one record of :data:`TASKS`; a table tells which it is by the type of its column ``label``:

    labels = assigned(part["label"])      # whatever the kind
    labels.known, labels.of(3)            # images with a label; those labelled as class 3
    mistaken(part["correct"])             # images with a label that were not got right
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True)
class Task:
    """A kind of answer. What is explained of an image is always a logit: that of each class which a target names.

    Attributes:
        name: of the kind.
        stored: Arrow type of the columns ``label`` and ``pred``, another for each kind; a null is no label.
        predict: logits (n, K) -> the column ``pred``, (n,).
        correct: columns ``pred`` and ``label`` -> the column ``correct``, bool, null where there is no label.
        pairs: a column of ``stored`` -> (image, class), int64 (m,) each, by rising image: what it is of, if of classes.
    """

    name: str
    stored: pa.DataType
    predict: Callable[[np.ndarray], pa.Array]
    correct: Callable[[pa.Array, pa.Array], pa.Array]
    pairs: Callable[[pa.Array], tuple[np.ndarray, np.ndarray]]

    def classes(self, value: Any) -> list[int]:
        """The classes of one image, by a value of ``label`` or ``pred``; none where it is None."""
        return self.pairs(pa.array([value], self.stored))[1].tolist()

    def predicted(self, logits: np.ndarray) -> list[int]:
        """The classes that one image is taken for, by its logits (K,)."""
        return self.pairs(self.predict(logits[None]))[1].tolist()


def _largest(logits: np.ndarray) -> pa.Array:
    return pa.array(logits.argmax(1).astype(np.int32))


def _same(pred: pa.Array, label: pa.Array) -> pa.Array:
    equal = pred.to_numpy() == label.fill_null(0).to_numpy()
    return pa.array(equal, mask=~labelled(label))


def _one_each(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    image = np.flatnonzero(labelled(column))
    return image, column.fill_null(-1).to_numpy()[image].astype(np.int64)


CLASSES = Task("classes", pa.int32(), predict=_largest, correct=_same, pairs=_one_each)
"""Each image is of one class; that of the largest logit, the first of equals, is predicted. So are sigmoids read."""

TASKS = {task.name: task for task in (CLASSES,)}


def task_of(stored: pa.DataType) -> Task:
    """The kind whose labels are stored so.

    Raises:
        ValueError: there is none.
    """
    for task in TASKS.values():
        if task.stored == stored:
            return task
    raise ValueError(f"labels of type {stored} are of no kind of answer: {', '.join(TASKS)}")


@dataclass(frozen=True)
class Assigned:
    """The classes that images are labelled as, or taken for.

    Attributes:
        known: (n,) bool, the images that have a label (or a prediction) at all.
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
            named[k] = ", ".join(classes[index] for index in self.each(np.array([k]))[1])
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
    return Assigned(labelled(column), *task_of(column.type).pairs(column))


def labelled(label: Column) -> np.ndarray:
    """Which images count as labelled, (n,) bool: by their column ``label``, or ``correct``."""
    return label.is_valid().to_numpy(zero_copy_only=False)


def right(correct: Any) -> np.ndarray:
    """Which images count as right, (n,) bool, by a column ``correct`` of Arrow or pandas."""
    return _known(correct, False)


def mistaken(correct: Any) -> np.ndarray:
    """Which images count as errors, (n,) bool: what is unknown is none."""
    return ~_known(correct, True)


def _known(correct: Any, otherwise: bool) -> np.ndarray:
    column = correct if isinstance(correct, Column) else pa.array(correct, pa.bool_())
    return pc.fill_null(column, otherwise).to_numpy(zero_copy_only=False).astype(bool)
