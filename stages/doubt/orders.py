"""Another order of the classes that explains the predictions far better than the one that was given.

An order is an array (K,): where the label is k, the prediction is right if it is ``order[k]``; -1 where none is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.doubt.chance import SURE, Agreement, at_least
from activation_atlas.stages.doubt.finding import LEAST, Seen

SIGNIFICANT = 0.01

CLEAR = 0.3
"""Of the images whose class another order moves, so many more must be right: as a share of them."""


@dataclass(frozen=True)
class Order:
    """An order of the classes, and what it would make of the run.

    Attributes:
        name: one of :func:`named`, or "" of an order found in the predictions themselves.
        order: (K,), see above; of an order that was found, as fitted on all images.
        right: labelled images right in this order, each judged by what was fitted without it.
        before: those that are right now.
        p: of a sign test, corrected for the orders that were tried.
    """

    name: str
    order: np.ndarray
    right: int
    before: int
    n: int
    p: float


def named(classes: Sequence[str]) -> dict[str, np.ndarray]:
    """The orders in which class lists and labels are commonly wrong, by name; none that is as given."""
    count = len(classes)
    own = np.arange(count)
    found = {
        "reversed": own[::-1].copy(),
        "from one": own - 1,
        "one short": np.where(own + 1 < count, own + 1, -1),
        "alphabetical": _ranks(classes, lambda name: (name.casefold(), name)),
        "alphabetical, capitals first": _ranks(classes, str),
        "numbers by value": _ranks(classes, _natural),
        "numbers as texts": _ranks([str(k) for k in own], str),
    }
    kept: dict[str, np.ndarray] = {}
    for name, order in found.items():
        if not any(np.array_equal(order, other) for other in (own, *kept.values())):
            kept[name] = order
    return kept


def _ranks(names: Sequence[str], key) -> np.ndarray:
    """The place of each name once they are sorted: what a model trained on folders in that order calls it."""
    place = np.empty(len(names), np.int64)
    place[sorted(range(len(names)), key=lambda k: key(names[k]))] = np.arange(len(names))
    return place


def _natural(name: str) -> list[tuple[int, int, str]]:
    """2 before 10, and both before letters."""
    return [(0, int(t), "") if t.isdecimal() else (1, 0, t.casefold()) for t in re.split(r"(\d+)", name) if t]


def fitted(label: np.ndarray, pred: np.ndarray, classes: int) -> np.ndarray:
    """The order under which most predictions are right (Kuhn 1955), classes left in their place where little speaks.

    A class moves only for more than half a standard deviation of its own count: what is right by accident moves none.
    """
    from scipy.optimize import linear_sum_assignment

    rows = np.unique(label)
    columns = np.unique(np.concatenate([label, pred]))
    counts = np.zeros((len(rows), len(columns)))
    np.add.at(counts, (np.searchsorted(rows, label), np.searchsorted(columns, pred)), 1)
    own = np.searchsorted(columns, rows)
    counts[np.arange(len(rows)), own] += np.sqrt(counts.sum(1)) / 2
    at, to = linear_sum_assignment(counts, maximize=True)
    order = np.arange(classes)
    order[np.isin(order, columns[to])] = -1  # a class without labels keeps its place, unless that is taken
    order[rows[at]] = columns[to]
    return order


def better(seen: Seen, seed: int) -> Order | None:
    """The order that explains the labelled predictions far better than the given one, if there is one.

    A common order is told by its name. One found in the predictions is fitted on one half of the images and judged on
    the other, and the other way round: fitted to noise, it gains nothing there. What is asked of either: a sign test
    at 0.01, half of it for the order that was found and half for those with names together, :data:`CLEAR` of the
    images that it moves, and more right than the same labels dealt out anew have, at 0.001.
    """
    if len(seen) < LEAST:
        return None
    label, pred, classes = seen.label, seen.pred, len(seen.classes)
    tried = named(seen.classes)
    orders: dict[str, tuple[np.ndarray, np.ndarray]] = {name: (order, order[label]) for name, order in tried.items()}
    half = _halves(label)
    meant = np.empty(len(label), np.int64)
    for k in (0, 1):
        meant[half == k] = fitted(label[half != k], pred[half != k], classes)[label[half == k]]
    orders[""] = (fitted(label, pred, classes), meant)
    found = [
        told
        for name, (order, means) in orders.items()
        # Half of the level for the order that was found, half for all common ones together.
        if (told := _judged(name, order, means, label, pred, 2 * len(tried) if name else 2, seed)) is not None
    ]
    if not found:
        return None
    best = max(found, key=lambda o: o.right)
    # A name says more than a list, where it explains as much.
    by_name = [o for o in found if o.name and o.right >= 0.9 * best.right]
    return by_name[0] if by_name else best


def _halves(label: np.ndarray) -> np.ndarray:
    """0 or 1 for each image, by turns within each class."""
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], label[order])
    half = np.empty(len(label), np.int64)
    half[order] = (np.arange(len(label)) - starts) % 2
    return half


def _judged(
    name: str, order: np.ndarray, meant: np.ndarray, label: np.ndarray, pred: np.ndarray, tried: int, seed: int
) -> Order | None:
    moved = meant != label
    gained = int((pred == meant)[moved].sum())
    lost = int((pred == label)[moved].sum())
    p = min(1.0, tried * at_least(gained, gained + lost, 0.5))
    if p > SIGNIFICANT or gained - lost < CLEAR * moved.sum():
        return None
    if Agreement(meant, pred, seed).more > SURE:
        return None
    return Order(name, order, int((pred == meant).sum()), int((pred == label).sum()), len(label), p)


def listed(order: np.ndarray, names: Sequence[str]) -> list[str]:
    """The classes in the order of the model's outputs, were ``order`` right; "?" where nothing is known."""
    found: Mapping[int, str] = {int(k): name for name, k in zip(names, order, strict=True) if k >= 0}
    return [found.get(k, "?") for k in range(len(names))]
