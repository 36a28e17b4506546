"""What a source's labels say of each image: one class, several, or quantities, as the column ``label``.

Several labels are lists, texts such as ``cat|dog``, or columns: a class each, of 0 and 1, or of names. Names and
indices of them all are matched at once, by the rules of :mod:`.labels`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.sources.labels import Kind, Names, match, whole
from activation_atlas.stages.sources.rows import Rows, integers
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import LABELS, QUANTITIES, lists

BETWEEN = "|"
"""Stands between several labels in one text."""

_FLAGS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}
_SAY = "if they are quantities (regression), say model.task: quantities"


@dataclass(frozen=True)
class Answers:
    """The column ``label``, of the type of its kind; class names where known; lines for the user."""

    label: pa.Array
    names: list[str] | None
    warnings: list[str]


def answers(
    rows: Rows, spec: ImagesSpec, task: str = "auto", classes: list[str] | None = None, also: list[str] | None = None
) -> Answers:
    """The labels of all rows.

    Args:
        task: ``model.task``; auto finds one class, or several.
        classes: the model's class names, or those of its outputs.
        also: other names of them.

    Raises:
        UserError: labels of another kind than asked for, or none of which is a class or a number; one line.
    """
    given = rows.labels or [None] * len(rows.keys)
    several = rows.label_columns is not None or any(isinstance(label, (list, tuple)) for label in given)
    if task == QUANTITIES.name:
        return _quantities(given, rows)
    if (number := _number_among(given, classes, also)) is not None:
        raise UserError(f"images: {rows.labelled_by} hold numbers such as {number}, which are no classes; {_SAY}")
    if task == "classes" and several:
        raise UserError(
            f"images: {rows.labelled_by} hold several labels of an image, and model.task: classes asks for one; say "
            "labels, or name another images.label_column"
        )
    joined = task == "auto" and not several and _joined(given, classes)
    if task != LABELS.name and not several and not joined:
        said = (rows.labelled_by, also, spec.labels_are, spec.first_label)
        found, names, warnings = match(given, classes, rows.names, *said)
        return Answers(integers(found), names, warnings)
    return _several(given, rows, spec, classes, also)


def _joined(given: Sequence[Any], classes: list[str] | None) -> bool:
    """Whether texts name several classes: unless a class is called so."""
    texts = {label for label in given if isinstance(label, str) and BETWEEN in label}
    return bool(texts - set(classes or ()))


def _number_among(given: Sequence[Any], classes: list[str] | None, also: list[str] | None) -> str | None:
    """A label that is a number and no whole one, where all are numbers and none of these is a class's name."""
    texts = [str(label).strip() for item in given for label in _flat(item) if label is not None and label != ""]
    broken = [text for text in texts if _real(text) is not None and not whole(text)]
    if not broken or not all(_real(text) is not None for text in texts):
        return None
    by_name = Names(classes, also)
    broken = [text for text in broken if math.isfinite(float(text)) and by_name(text) is None]
    return broken[0] if broken else None


def _flat(label: Any) -> Sequence[Any]:
    return label if isinstance(label, (list, tuple)) else [label]


# -- several labels ------------------------------------------------------------------


def _several(
    given: Sequence[Any], rows: Rows, spec: ImagesSpec, classes: list[str] | None, also: list[str] | None
) -> Answers:
    columns, what = rows.label_columns, rows.labelled_by
    if not columns and (said := _many_hot(given, classes or rows.names)):
        return _hot(given, classes or rows.names, f"{what} {said}")
    if columns and (flags := _flags(given)) is not None:
        given = [None if row is None else [c for c, on in zip(columns, row, strict=True) if on] for row in flags]
        classes_here: list[str] | None = classes or list(columns)
        if lost := [c for c in columns if Names(classes_here, also)(c) is None]:
            raise UserError(f"images.label_columns: {lost[0]!r} is no class of the model; name columns of classes")
        kind: Kind | None = "names"
    else:
        given = [_split(label, classes) for label in given]
        classes_here, kind = classes, spec.labels_are
    lengths = [0 if labels is None else len(labels) for labels in given]
    flat = [label for labels in given if labels is not None for label in labels]
    index, names, warnings = match(flat, classes_here, rows.names, what, also, kind, spec.first_label)
    # What is no class is left out of its image's list, which is still known to be of the others.
    warnings = [
        said.replace(f"of {len(flat)} images have {what}", f"of {len(flat)} {what}")
        .replace("that are no class", "are no class")
        .replace("left unlabelled", "left out")
        for said in warnings
    ]
    owner = np.repeat(np.arange(len(given)), lengths)
    pairs = sorted({(int(image), k) for image, k in zip(owner, index, strict=True) if k is not None})
    count = Counter(image for image, _ in pairs)
    sizes = np.array([count[image] for image in range(len(given))], np.int64)
    known = np.array([labels is not None for labels in given], bool)
    return Answers(lists(sizes, np.array([k for _, k in pairs], np.int32), known), names, warnings)


def _many_hot(given: Sequence[Any], classes: Sequence[str] | None) -> str | None:
    """What to say where lists have a 0 or 1 for each class; None where they are lists of indices, or of names.

    As indices they would be in order, and name no class twice.
    """
    known = [label for label in given if label is not None]
    lists_alone = known and all(isinstance(label, (list, tuple)) for label in known)
    if not lists_alone or len(lengths := {len(label) for label in known}) != 1:
        return None
    length = lengths.pop()
    if length < 2 or (classes and length != len(classes)):
        return None
    if not all(not isinstance(v, str) and v in (0, 1) for label in known for v in label):
        return None
    if all(sorted(set(label)) == list(label) for label in known):
        return None
    return f"have {length} zeros and ones, read as one for each class"


def _hot(given: Sequence[Any], classes: list[str] | None, said: str) -> Answers:
    found = [[k for k, on in enumerate(label or ()) if on] for label in given]
    sizes = np.array([len(own) for own in found], np.int64)
    flat = np.array([k for own in found for k in own], np.int32)
    return Answers(lists(sizes, flat, np.array([label is not None for label in given], bool)), classes, [said])


def _split(label: Any, classes: list[str] | None) -> list[Any] | None:
    """The labels of one image; None where nothing is known of it."""
    if isinstance(label, str):
        label = [label] if label in (classes or ()) else label.split(BETWEEN)
        label = [part for part in map(str.strip, label) if part]
        return label or None
    if isinstance(label, (list, tuple)):
        return [part for part in label if part is not None and part != ""]
    return None if label is None or label != label else [label]


def _flags(given: Sequence[Any]) -> list[list[bool] | None] | None:
    """Columns of yes and no as booleans, None for an image that lacks one; None where some are something else."""
    found: list[list[bool] | None] = []
    for row in given:
        texts = [None if value is None or value == "" else str(value).strip().casefold() for value in row or ()]
        read = [_FLAGS.get(text.removesuffix(".0")) for text in texts if text is not None]
        if None in read:
            return None
        found.append([bool(on) for on in read] if row is not None and len(read) == len(texts) else None)
    return found


# -- quantities ----------------------------------------------------------------------


def _quantities(given: Sequence[Any], rows: Rows) -> Answers:
    """Numbers, one or several of each image; an image that lacks one, or has one that is not finite, has no label."""
    read = [[] if label is None else [_real(str(value)) for value in _flat(label)] for label in given]
    sound = [bool(row) and all(v is not None and math.isfinite(v) for v in row) for row in read]
    sizes = Counter(len(row) for row, kept in zip(read, sound, strict=True) if kept)
    told = [label for label in given if label is not None]
    if told and not sizes:
        raise UserError(
            f"images: none of the {rows.labelled_by} is a number, e.g. {told[0]!r}, and model.task: quantities asks "
            "for numbers; name another images.label_column, or none to go without labels"
        )
    if len(sizes) > 1:
        several = " and ".join(map(str, sorted(sizes)[:2]))
        raise UserError(f"images: {rows.labelled_by} hold {several} numbers; give as many for every image")
    wrong = [label for label, kept in zip(given, sound, strict=True) if label is not None and not kept]
    warnings = []
    if wrong:
        has = "1 image has" if len(wrong) == 1 else f"{len(wrong)} of {len(given)} images have"
        warnings = [f"{has} {rows.labelled_by} that are no finite number, e.g. {wrong[0]!r}: left unlabelled"]
    lengths = [len(row) if kept else 0 for row, kept in zip(read, sound, strict=True)]
    flat = [value for row, kept in zip(read, sound, strict=True) if kept for value in row]
    column = lists(np.array(lengths, np.int64), np.array(flat, np.float64), np.array(sound, bool))
    return Answers(column, list(rows.label_columns) if rows.label_columns else None, warnings)


def _real(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
