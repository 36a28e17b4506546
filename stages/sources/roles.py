"""Which column of a table beside images is which: paths, labels, splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from activation_atlas.stages.specs import ImagesSpec, meant
from activation_atlas.stages.stage import UserError

USUAL = {
    "image": (
        "image",
        "path",
        "file",
        "filename",
        "uri",
        "file_name",
        "filepath",
        "file_path",
        "image_path",
        "url",
        "image_id",
    ),
    "label": ("label", "class", "target"),
    "split": ("split",),
}
"""Names a column is found by, whatever its case, in this order."""


def choose(names: Sequence[str], asked: str | None, role: str, where: str) -> str | None:
    """The column for a role: the one asked for, or the first of the usual names; None where there is none.

    ``none`` asked for a label means that there is to be no label.

    Raises:
        UserError: the column asked for is not there.
    """
    if asked is not None:
        if asked in names:
            return asked
        if role == "label" and asked.lower() == "none":
            return None
        raise UserError(f"images.{role}_column: {where} has no column {asked!r}; {meant(asked, names)}")
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[usual] for usual in USUAL[role] if usual in lower), None)


def choose_labels(names: Sequence[str], spec: ImagesSpec, where: str) -> list[str]:
    """The columns of labels: one, or those that ``images.label_columns`` names; none where there is none.

    Raises:
        UserError: a column asked for is not there.
    """
    if spec.label_columns is None:
        name = choose(names, spec.label_column, "label", where)
        return [] if name is None else [name]
    for asked in spec.label_columns:
        if asked not in names:
            raise UserError(f"images.label_columns: {where} has no column {asked!r}; {meant(asked, names)}")
    return list(dict.fromkeys(spec.label_columns))


def check_labels(schema: pa.Schema, chosen: Sequence[str], where: str) -> None:
    """Refuses columns of labels that hold neither single values nor lists of them.

    Raises:
        UserError: says what the column holds.
    """
    for name in chosen:
        kind = stored(schema.field(name).type)
        listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if pa.types.is_nested(kind) and not (listed and not pa.types.is_nested(kind.value_type)):
            raise _no_labels(name, kind, where)


def _no_labels(name: str, kind: object, where: str) -> UserError:
    return UserError(
        f"images.label_column: {where}: column {name!r} holds {kind}, which are no labels: give a name, an index or a "
        "number, or a list of them, for each image; name another column, or none to go without labels"
    )


def labels_of(table: pa.Table, chosen: Sequence[str]) -> list[Any] | None:
    """The labels of each row, of several columns a list of their values; None where there is no such column."""
    columns = [table[name].to_pylist() for name in chosen]
    return (
        None if not columns else columns[0] if len(columns) == 1 else [list(row) for row in zip(*columns, strict=True)]
    )


def labelled_by(chosen: Sequence[str]) -> str:
    """What the labels are, for messages."""
    some = ", ".join(map(repr, chosen[:3])) + (", ..." if len(chosen) > 3 else "")
    return f"labels in column{'s' if len(chosen) > 1 else ''} {some}"


def stored(kind: pa.DataType) -> pa.DataType:
    """What a column of dictionaries, or of an extension such as tensors, holds."""
    return kind.value_type if pa.types.is_dictionary(kind) else getattr(kind, "storage_type", kind)
