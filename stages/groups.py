"""Groups of classes: listed in a file, or told by a column of the images' metadata. A leaf.

    dogs: [151-268]                       # YAML or JSON: names, indices, and ranges that hold both their ends
    birds: [7-24, 80-100, bald eagle]

or CSV with the columns ``class`` and ``group``. A class may be in no group, or in several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.classes.text import DIGITS, literal, rows_of, shown, text_of, yaml_of
from activation_atlas.stages.specs import Spec, meant
from activation_atlas.stages.stage import Inputs, Shared, UserError
from activation_atlas.stages.tasks import assigned

RANGE = re.compile(rf"(\d{{1,{DIGITS}}})\s*-\s*(\d{{1,{DIGITS}}})")
_FORM = "give a mapping of groups to lists of classes, e.g. dogs: [151-268, dingo]"


class Column(Spec):
    """Groups by what the images' metadata says."""

    column: str = Field(
        description="a metadata column of the images: a class is of the group that most of its labelled images carry"
    )


class ClassesSpec(Spec):
    """What is known of the classes besides their names."""

    groups: str | Column | None = Field(
        None,
        description="groups of classes: a YAML or JSON file {group: [class names, indices, ranges like 151-268]}, a "
        "CSV file with the columns class and group, or {column: NAME} of the images' metadata",
    )

    @field_validator("groups", mode="before")
    @classmethod
    def _file_or_column(cls, groups: Any) -> Any:
        if groups is not None and not isinstance(groups, (str, dict, Column)):
            raise ValueError("must be a file, or {column: NAME} of the images' metadata")
        return groups


class Given(Spec):
    """Groups as a stage is given them, before the classes of the model are known.

    Attributes:
        listed: group to names, indices and ranges, as the file has them.
        column: of the images' metadata, without ``meta.``.
        where: how messages call it.
    """

    listed: dict[str, tuple[str, ...]] | None = None
    column: str | None = None
    where: str = Field("classes.groups", exclude=True)


def given(spec: ClassesSpec | None, also: Sequence[str] | None = None) -> Given | None:
    """What a configuration says of groups; a file is read. ``also``: other names of the classes, by index.

    Raises:
        UserError: the file is missing, empty or of no known form.
    """
    if spec is None or spec.groups is None:
        return None
    if isinstance(spec.groups, Column):
        return Given(column=spec.groups.column.removeprefix("meta."))
    ids = {name: str(index) for index, name in enumerate(also or ())}
    listed = {name: tuple(_by_id(item, ids) for item in items) for name, items in read_groups(spec.groups).items()}
    return Given(listed=listed, where=f"classes.groups: {spec.groups}")


def _by_id(item: str, ids: Mapping[str, str]) -> str:  # of a range both ends: a class file may count from 1
    ends = span.groups() if (span := RANGE.fullmatch(item)) else (item,)
    return "-".join(ids[end] for end in ends) if all(end in ids for end in ends) else item


def read_groups(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Groups from a file, each with what it lists.

    Raises:
        UserError: the file is missing, empty, of no known form, or gives a group twice or without classes; one line.
    """
    path = Path(path)
    try:
        text, suffix = text_of(path.read_bytes()), path.suffix.lower()
        groups = _listed(text, suffix) if suffix in (".csv", ".tsv") else _mapped(text, suffix)
    except OSError as error:
        raise UserError(f"classes.groups: {path} cannot be read ({error.strerror or error})") from None
    except RecursionError:
        raise UserError(f"classes.groups: {path} is nested too deeply; {_FORM}") from None
    except ValueError as error:
        raise UserError(f"classes.groups: {path} {' '.join(str(error).split())}") from None
    if not groups:
        raise UserError(f"classes.groups: {path} holds no groups; {_FORM}")
    return groups


def _listed(text: str, suffix: str) -> dict[str, tuple[str, ...]]:
    rows, delimiter = rows_of(text, suffix)
    head = [name.lower() for name in rows[0]] if rows else []
    if not {"class", "group"} <= set(head):
        begins = delimiter.join(rows[0]) if rows else ""
        raise ValueError(f"needs the columns class and group; it begins with {begins!r}")
    found: dict[str, list[str]] = {}
    for number, row in enumerate(rows[1:], 2):
        own = dict(zip(head, row, strict=False))
        if not own.get("class"):
            raise ValueError(f"names no class in row {number}; give one, or leave the row out")
        if own.get("group"):  # a class of no group
            found.setdefault(own["group"], []).append(own["class"])
    return {name: tuple(items) for name, items in found.items()}


def _mapped(text: str, suffix: str) -> dict[str, tuple[str, ...]]:
    given = literal(text) if suffix == ".json" else yaml_of(text) or {}
    if not isinstance(given, dict):
        raise ValueError(f"is no mapping; {_FORM}")
    groups: dict[str, tuple[str, ...]] = {}
    for name, items in given.items():
        items = items if isinstance(items, list) else [items]
        wrong = [item for item in items if isinstance(item, bool) or not isinstance(item, (str, int))]
        if wrong:
            raise ValueError(f"has in group {name} what is no class: {shown(wrong[0])}; {_FORM}")
        groups[str(name)] = tuple(str(item).strip() for item in items)
        if not any(groups[str(name)]):
            raise ValueError(f"has no classes in group {name}; list some, or leave it out")
    return groups


# -- what they are of a model ------------------------------------------------------


def groups_of(inputs: Inputs, asked: Given | None) -> dict[str, list[int]]:
    """Each group's class indices, rising; groups in the order of their names. Empty where none are given.

    Reads the state of ``extract``, and ``images`` where a column tells (see :func:`reads`); says what it took.

    Raises:
        UserError: a class is not the model's, or the column is not there, or tells of no class.
    """
    if asked is None:
        return {}
    classes = inputs.state("extract", "")["classes"]
    if asked.column is not None:
        return _by_column(inputs, asked.column, classes)
    return resolved(asked.listed or {}, classes, asked.where)


def resolved(listed: Mapping[str, Sequence[str]], classes: Sequence[str], where: str) -> dict[str, list[int]]:
    """Names, indices and ranges as class indices.

    Raises:
        UserError: the model has no such class, or several; one line with what may have been meant.
    """
    found = {}
    for name in sorted(listed):
        own = f"{where}: group {name}"
        found[name] = sorted({index for item in listed[name] if item for index in _indices(item, classes, own)})
    return found


def _indices(item: str, classes: Sequence[str], where: str) -> Sequence[int]:
    span = None if item in classes else RANGE.fullmatch(item)
    if span is None:
        return [class_index(item, classes, where)]
    first, last = (int(end) for end in span.groups())
    if first > last:
        raise UserError(f"{where}: the range {item} runs backwards; write {last}-{first}")
    if all(other.isdecimal() for other in classes):  # where all names are numbers, none is an index
        return [class_index(str(number), classes, where) for number in range(first, last + 1)]
    if last >= len(classes):
        lacking = max(first, len(classes))
        raise UserError(f"{where}: there is no class {lacking}; the model's are 0 to {len(classes) - 1}")
    return range(first, last + 1)


def _by_column(inputs: Inputs, column: str, classes: Sequence[str]) -> dict[str, list[int]]:
    """A class's group is what most of its labelled images carry; of as many, the first in the alphabet."""
    name = _column(inputs, column)
    counts: dict[int, dict[str, int]] = {}
    for part in inputs.stream("images", ["label", name]):
        texts = pc.utf8_trim_whitespace(_texts(part[name].combine_chunks()))
        known = pc.and_(pc.is_valid(part["label"]), pc.fill_null(pc.not_equal(texts, ""), False))
        labels, told = assigned(part["label"].filter(known)), texts.filter(known).to_pylist()
        for k, label in zip(labels.image.tolist(), labels.index.tolist(), strict=True):
            text, own = told[k], counts.setdefault(label, {})
            own[text] = own.get(text, 0) + 1
    if not counts:
        raise UserError(
            f"classes.groups: no labelled image has a value in the column {column!r}; label them, or give a file"
        )
    best = {label: min(own, key=lambda text: (-own[text], text)) for label, own in counts.items()}
    found = {group: sorted(k for k in best if best[k] == group) for group in sorted(set(best.values()))}
    inputs.note(_taken(column, found, [k for k in counts if len(counts[k]) > 1], classes))
    return found


def _taken(column: str, found: Mapping[str, list[int]], mixed: Sequence[int], classes: Sequence[str]) -> str:
    """One line: the groups that a column gave, and what it left open."""
    largest = sorted(found, key=lambda name: (-len(found[name]), name))
    some = ", ".join(f"{name} ({len(found[name])})" for name in largest[:6]) + (", ..." if len(found) > 6 else "")
    placed = sum(map(len, found.values()))
    said = f"classes.groups: column {column!r} puts {placed} of {len(classes)} classes into {len(found)} groups: {some}"
    if mixed:
        names = f"{classes[min(mixed)]}{', ...' if len(mixed) > 1 else ''}"
        said += f"; {len(mixed)} ({names}) have images of several, and count for the most frequent"
    return said


def _texts(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _column(inputs: Inputs, column: str) -> str:
    """The column of ``images``; a UserError that names the nearest where it is not there."""
    names = inputs.part("images", 0).column_names
    if f"meta.{column}" in names:
        return f"meta.{column}"
    known = [name.removeprefix("meta.") for name in names if name.startswith("meta.")]
    raise UserError(f"classes.groups: the images have no metadata column {column!r}; {meant(column, known)}")


def reads(asked: Given | None) -> dict[str, Shared]:
    """The tables that :func:`groups_of` reads, as a stage declares them."""
    return {"images": "all"} if asked is not None and asked.column is not None else {}


def check(inputs: Inputs, asked: Given | None) -> None:
    """Refuses, once the model's classes are known, what :func:`groups_of` would: a class or a column that is not there.

    Raises:
        UserError: as it does.
    """
    if asked is None:
        return
    if asked.column is None:
        groups_of(inputs, asked)
    elif inputs.parts("images"):
        _column(inputs, asked.column)


def members(groups: Mapping[str, Sequence[int]], classes: int) -> np.ndarray:
    """Which class is in which group: bool of shape (groups, classes)."""
    found = np.zeros((len(groups), classes), bool)
    for row, own in enumerate(groups.values()):
        found[row, list(own)] = True
    return found
