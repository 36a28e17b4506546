"""The kinds of answer: what is stored as a label, what is predicted of logits, and when that is right."""

from __future__ import annotations

from collections.abc import Callable
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
        several: whether an image may be of several classes, each by itself: predicted from a probability upwards.
        measured: whether the outputs are numbers that are near or far from the label's, and no classes: nothing is
            right or wrong, and nothing has a probability.
    """

    name: str
    stored: pa.DataType
    predict: Callable[[np.ndarray], pa.Array]
    correct: Callable[[pa.Array, pa.Array], pa.Array]
    pairs: Callable[[pa.Array], tuple[np.ndarray, np.ndarray]]
    several: bool = False
    measured: bool = False

    def classes(self, value: Any) -> list[int]:
        """What is explained of one image, by a value of ``label`` or ``pred``: its classes, of quantities every one;
        none where it is None."""
        if self.measured:
            return list(range(len(value or ())))
        return self.pairs(pa.array([value], self.stored))[1].tolist()

    def unnamed(self, count: int) -> list[str]:
        """What outputs are called that have no names."""
        return [f"{'output' if self.measured else 'class'} {k}" for k in range(count)]

    def predicted(self, logits: np.ndarray) -> list[int]:
        """The classes that one image is taken for, by its logits (K,)."""
        return self.classes(self.predict(logits[None])[0].as_py())


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


def _positive(logits: np.ndarray) -> pa.Array:
    image, index = np.nonzero(logits >= 0)
    return lists(np.bincount(image, minlength=len(logits)), index.astype(np.int32))


def _same_set(pred: pa.Array, label: pa.Array) -> pa.Array:
    codes = [image << 32 | index for image, index in map(_each, (pred, label))]
    differs = np.zeros(len(pred), bool)
    differs[np.setxor1d(*codes) >> 32] = True
    return pa.array(~differs, mask=~labelled(label))


def _each(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    image, index = pc.list_parent_indices(column), pc.list_flatten(column)
    return image.to_numpy().astype(np.int64), index.to_numpy().astype(np.int64)


LABELS = Task("labels", pa.list_(pa.int32()), predict=_positive, correct=_same_set, pairs=_each, several=True)
"""Each image is of any number of classes, none among them (an empty list): those of logit 0 and above are predicted.
An image is right where all of them are."""


def _as_they_are(logits: np.ndarray) -> pa.Array:
    return lists(np.full(len(logits), logits.shape[1]), logits.astype(np.float64).reshape(-1))


def _unjudged(pred: pa.Array, label: pa.Array) -> pa.Array:
    return pa.array(np.zeros(len(pred), bool), mask=np.ones(len(pred), bool))


def _none(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


QUANTITIES = Task(
    "quantities", pa.list_(pa.float64()), predict=_as_they_are, correct=_unjudged, pairs=_none, measured=True
)
"""Of each image a number for each of the model's outputs, which are predicted as they are (regression)."""

TASKS = {task.name: task for task in (CLASSES, LABELS, QUANTITIES)}


def task_of(stored: pa.DataType) -> Task:
    """The kind whose labels are stored so.

    Raises:
        ValueError: there is none.
    """
    for task in TASKS.values():
        if task.stored == stored:
            return task
    raise ValueError(f"labels of type {stored} are of no kind of answer: {', '.join(TASKS)}")


def task_named(name: str) -> Task:
    """The kind that a configuration names; what is to be found (``auto``) is of classes, one or several."""
    return TASKS.get(name, CLASSES)


def log_odds(probability: Any) -> np.ndarray:
    """The logit of a sigmoid at a probability in (0, 1)."""
    share = np.asarray(probability, np.float64)
    return np.log(share) - np.log1p(-share)


def lists(lengths: np.ndarray, values: np.ndarray, known: np.ndarray | None = None) -> pa.ListArray:
    """A column of lists, which follow one another in ``values``; null where not ``known``, (n,) bool."""
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask = None if known is None else pa.array(~known)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values), mask=mask)


def labelled(label: Column) -> np.ndarray:
    """Which images count as labelled, (n,) bool: by their column ``label``, or ``correct``."""
    return label.is_valid().to_numpy(zero_copy_only=False)
