"""Which images of the run are asked: some of each class, and some of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import assigned


class Drawn:
    """Of each class at most ``limit`` images, by a draw that belongs to each image; held: no more than these."""

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._seed = limit, seed
        self.ids, self.classes = np.zeros(0, object), np.zeros(0, np.int64)
        self._draws = np.zeros(0, "S16")

    def add(self, ids: np.ndarray, classes: np.ndarray) -> None:
        """More images (n,) and the class of each; an image may come once for each of its classes."""
        draws = np.array([hashlib.sha256(f"{self._seed}:{i}".encode()).hexdigest()[:16] for i in ids], "S16")
        ids, classes = np.concatenate([self.ids, ids]), np.concatenate([self.classes, classes])
        draws = np.concatenate([self._draws, draws])
        order = np.lexsort([draws, classes])
        place = np.arange(len(order)) - np.searchsorted(classes[order], classes[order])
        kept = order[place < self._limit]
        self.ids, self.classes, self._draws = ids[kept], classes[kept], draws[kept]


def drawn(inputs: Inputs, outputs: int, measured: bool, limits: tuple[int, int], seed: int) -> tuple[Drawn, Drawn]:
    """Images of each class, and images of all classes (as class 0).

    A class's images are those labelled so; where none has a label, those predicted so. Quantities are asked of all.

    Args:
        outputs: how many classes, or quantities, there are.
        limits: of each class, and of all.
    """
    by_class, whole = Drawn(limits[0], seed), Drawn(limits[1], seed)
    column = "label" if labelled(inputs) else "pred"
    for part in inputs.stream("predictions", ["image_id", column]):
        ids = np.array(part["image_id"].to_pylist(), object)
        if measured:
            image, index = np.repeat(np.arange(len(ids)), outputs), np.tile(np.arange(outputs), len(ids))
        else:
            of = assigned(part[column])
            image, index = of.image, of.index
        by_class.add(ids[image], index)
        whole.add(ids, np.zeros(len(ids), np.int64))
    return by_class, whole


def labelled(inputs: Inputs) -> bool:
    """Whether any image has a class as its label."""
    return any(assigned(part["label"]).known.any() for part in inputs.stream("predictions", ["label"]))


def not_of(inputs: Inputs, ids: Sequence[str], outputs: int) -> np.ndarray:
    """Which classes images are not of, by the column that :func:`drawn` goes by: (n, outputs) bool; none where no label
    is known."""
    column = "label" if labelled(inputs) else "pred"
    place = {own: k for k, own in enumerate(ids)}
    wanted, others = pa.array(list(ids), pa.string()), np.zeros((len(ids), outputs), bool)
    for part in inputs.stream("predictions", ["image_id", column]):
        mine = part.filter(pc.is_in(part["image_id"], value_set=wanted))
        if len(mine):
            of, at = assigned(mine[column]), np.array([place[i] for i in mine["image_id"].to_pylist()])
            others[at[of.known]] = True
            others[at[of.image], of.index] = False
    return others
