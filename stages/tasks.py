"""What a label is, and what it takes to be right: the one reader of ``label``, ``pred`` and ``correct``. A leaf.

A kind of answer is one record of :data:`TASKS`; a table tells which it is by the type of its column ``label``:

    labels = assigned(part["label"])      # whatever the kind
    labels.known, labels.of(3)            # images with a label; those labelled as class 3
    mistaken(part["correct"])             # images with a label that were not got right
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


class Several(str):
    """Names in one text, which equals each of them: ``label == "dog"`` holds for an image of a cat and a dog."""

    names: frozenset[str]

    def __new__(cls, names: Iterable[str]) -> Several:
        given = list(names)
        made = super().__new__(cls, ", ".join(given))
        made.names = frozenset(given)
        return made

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or other in self.names

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


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


@dataclass(frozen=True)
class Values:
    """Quantities of images, float64 (n, K); a label that is not known is NaN."""

    pred: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, predictions: pa.Table, outputs: int) -> Values:
        """The columns ``pred`` and ``label`` of a table of quantities."""
        pred, label = (_matrix(predictions[name], outputs) for name in ("pred", "label"))
        return cls(pred, label)

    @property
    def residual(self) -> np.ndarray:
        """What is predicted less the label, (n, K)."""
        return self.pred - self.label


def _matrix(column: Column, outputs: int) -> np.ndarray:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    rows = np.full((len(column), outputs), np.nan)
    rows[labelled(column)] = pc.list_flatten(column).to_numpy(zero_copy_only=False).reshape(-1, outputs)
    return rows


def assigned(*parts: Column) -> Assigned:
    """The classes that a column ``label`` or ``pred`` names, given in parts that follow one another (at least one)."""
    chunks = [chunk for part in parts for chunk in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])]
    column = pa.chunked_array(chunks, parts[0].type).combine_chunks()
    task = task_of(column.type)
    known = np.zeros(len(column), bool) if task.measured else labelled(column)
    return Assigned(known, *task.pairs(column))


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
