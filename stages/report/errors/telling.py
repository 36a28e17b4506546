"""What a case is called where images are of several labels, or have quantities."""

from __future__ import annotations

from collections.abc import Sequence

from activation_atlas.stages.drawing.numbers import figure, probability
from activation_atlas.stages.report.errors.cases import Case
from activation_atlas.stages.report.errors.maps import Map
from activation_atlas.stages.tasks import Task

Words = list[tuple[str, bool]]
"""Pieces of a line; whether each is what it is about."""

MAPS = 2
"""Maps shown of a case, beside the photograph."""


def title(case: Case, classes: Sequence[str], task: Task) -> Words | None:
    """What the case is about; None of one class each, which has words of its own."""
    if task.measured:
        return _measured(case, classes)
    if not task.several:
        return None
    share = "" if case.prob is None else f", {probability(case.prob)}"
    if case.label is not None:
        return [("missed ", False), (classes[case.label], True), (share, False)]
    if case.pred is not None:
        return [("falsely called ", False), (classes[case.pred], True), (share, False)]
    return [("taken for " if case.mistake is None else "rightly ", False), (_listed(case.called, classes), True)]


def line(case: Case, classes: Sequence[str], task: Task) -> str | None:
    """What else is known of it, in one line."""
    if task.several:
        label = "no labels" if case.true is None else f"labels: {_listed(case.true, classes)}"
        return f"{label} · predicted: {_listed(case.called, classes)}"
    if not task.measured:
        return None
    if case.true is None:
        return "no label"
    told = zip(classes, case.called, case.true, strict=True)
    return " · ".join(f"{name}: off by {figure(said - true, 3, signed=True)}" for name, said, true in told)


def _measured(case: Case, classes: Sequence[str]) -> Words:
    true = case.true or [None] * len(classes)
    words: Words = []
    for name, said, own in zip(classes, case.called, true, strict=True):
        instead = "" if own is None else f", not {figure(own, 3)}"
        words += [(f"{' · ' if words else ''}{name} ", False), (figure(said, 3), True), (instead, False)]
    return words


def _listed(indices: Sequence[int] | None, classes: Sequence[str]) -> str:
    return ", ".join(classes[k] for k in indices or ()) or "none"


def own_first(case: Case, maps: Sequence[Map], task: Task) -> list[Map]:
    """The maps of a case: of several labels that of its own class first."""
    if not task.several:
        return list(maps)
    own = case.label if case.label is not None else case.pred
    return sorted(maps, key=lambda one: one.target != own)[:MAPS]
