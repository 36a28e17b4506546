"""Which classes of an image are explained: predicted, label, missed, false, second, rank:3, top:5, a class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import CLASSES, Task

KINDS = ("predicted", "label", "missed", "false", "second")
_RANKED = re.compile(r"(rank|top):(\d+)")


def check(
    targets: Sequence[str], classes: Sequence[str], where: str = "explain.targets", measured: bool = False
) -> None:
    """Refuses what is no target of a model with these classes.

    Args:
        measured: they are quantities, each of which is explained as ``predicted``; none ranks before another.

    Raises:
        UserError: no such class (the nearest is named), a rank beyond the number of classes.
    """
    for target in targets:
        ranked = _RANKED.fullmatch(target)
        if measured and target not in classes and (ranked or target in ("second", "missed", "false")):
            names = ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
            raise UserError(f"{where}: {target} is of classes; of quantities choose predicted, or some of {names}")
        if ranked and not 1 <= int(ranked[2]) <= len(classes):
            raise UserError(f"{where}: {target} of a model with {len(classes)} classes; choose 1 to {len(classes)}")
        if not ranked and target not in KINDS:
            _class(target, classes, where)


def resolve(
    targets: Sequence[str],
    logits: np.ndarray,
    label: Any,
    classes: Sequence[str],
    task: Task = CLASSES,
    pred: Any = None,
) -> dict[int, list[str]]:
    """Class index -> the kinds it is asked for as, in the order asked; ``label`` of an unlabelled image is left out.

    ``missed`` are the classes of the label that are not predicted, ``false`` those predicted that are none of it.

    Args:
        logits: (K,) of one image; of equal logits the first class ranks first.
        label: its value in a column of the task's labels; None where it has none.
        pred: its value in the column of what was predicted; None: by the logits.
    """
    order = np.argsort(-logits, kind="stable")
    said = task.predicted(logits) if pred is None else task.classes(pred)
    true = task.classes(label)
    apart = label is not None and not task.measured
    sets = {
        "predicted": said,
        "label": true,
        "missed": [k for k in true if apart and k not in said],
        "false": [k for k in said if apart and k not in true],
    }
    found: dict[int, list[str]] = {}

    def add(index: int, kind: str) -> None:
        kinds = found.setdefault(int(index), [])
        if kind not in kinds:
            kinds.append(kind)

    for target in targets:
        ranked = _RANKED.fullmatch(target)
        if ranked and ranked[1] == "top":
            for rank in range(int(ranked[2])):
                add(order[rank], f"rank:{rank + 1}")
        elif ranked:
            add(order[int(ranked[2]) - 1], target)
        elif target in sets:
            for index in sets[target]:
                add(index, target)
        elif target == "second":
            add(order[1], target)
        else:
            add(_class(target, classes, "target"), target)
    return found


def _class(name: str, classes: Sequence[str], where: str) -> int:
    """A class by its name, by ``class:NAME`` where it is called like a kind of target, or by its index."""
    bare = name.removeprefix("class:")
    if bare in KINDS and bare not in classes:
        raise UserError(f"{where}: {name} is a kind of target, not a class")
    return class_index(bare, classes, where, "target", (*KINDS, "rank:K", "top:K"))
