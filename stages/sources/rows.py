"""What a kind of source says of its images, before labels are matched and rows are counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.stage import UserError


@dataclass
class Rows:
    """Parallel lists, one item an image, in source order.

    Attributes:
        keys: the path relative to the source with ``/``, or the row key; the id is made of it.
        uris: what :func:`~stages.sources.reading.read_images` opens.
        stamps: changes when the image's file does.
        rejects: why the row cannot be used, or None.
        labels: an index, a name or None each, or a list of them; None where the source has no labels.
        label_columns: names of the columns whose values the lists are, where there are several.
        names: class names in the index order of integer labels, where the source knows them.
        labelled_by: what the labels are, for messages, e.g. ``folder names``.
        splits: a name or None each; None where the source has no splits.
        folders: those above each image, outermost first, where they may tell labels and splits.
        meta: further columns.
        warnings: lines for the user.
        watched: local folders and files whose mtime changes when this listing would.
    """

    keys: list[str]
    uris: list[str]
    stamps: list[str]
    rejects: list[str | None]
    labels: list[Any] | None = None
    label_columns: list[str] | None = None
    names: list[str] | None = None
    labelled_by: str = "labels"
    splits: list[str | None] | None = None
    folders: list[tuple[str, ...]] | None = None
    meta: dict[str, pa.Array] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    watched: set[str] = field(default_factory=set)


# `pa.array` imports pandas for any list, which is most of a second that `plan` has not got.


def strings(values: Sequence[str | None]) -> pa.StringArray:
    """``pa.array(values, pa.string())`` without pandas."""
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def integers(values: Sequence[int | None], dtype: str = "int32") -> pa.Array:
    """``pa.array(values, dtype)`` without pandas."""
    known = np.packbits(np.array([v is not None for v in values], bool), bitorder="little")
    numbers = np.array([0 if v is None else v for v in values], dtype)
    buffers = [pa.py_buffer(known), pa.py_buffer(numbers)]
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(values), buffers)


def joined(parts: list[Rows]) -> Rows:
    """Several files' rows as one; a column that a file lacks is null there.

    Raises:
        UserError: they number their classes differently.
    """
    if len({json.dumps(p.names) for p in parts if p.names}) > 1:
        raise UserError("the files number their classes differently: give them one at a time")
    names = list(dict.fromkeys(name for part in parts for name in part.meta))
    counts = [len(part.keys) for part in parts]
    meta = {}
    for name in names:
        tables = [pa.table({name: part.meta[name]}) if name in part.meta else pa.table({name: pa.nulls(n)})
                  for part, n in zip(parts, counts, strict=True)]  # fmt: skip
        try:
            joined = pa.concat_tables(tables, promote_options="permissive")[name]
        except pa.ArrowException:  # texts here, numbers there
            joined = pa.chunked_array([t[name].combine_chunks().cast(pa.string()) for t in tables], pa.string())
        meta[name] = joined.combine_chunks()

    def lists(which: str) -> Any:
        if all(getattr(part, which) is None for part in parts):
            return None
        empty = [
            [None] * n if getattr(p, which) is None else getattr(p, which) for p, n in zip(parts, counts, strict=True)
        ]
        return [value for values in empty for value in values]

    return Rows(
        keys=lists("keys"),
        uris=lists("uris"),
        stamps=lists("stamps"),
        rejects=lists("rejects"),
        labels=lists("labels"),
        label_columns=next((p.label_columns for p in parts if p.label_columns), None),
        names=next((p.names for p in parts if p.names), None),
        labelled_by=next((p.labelled_by for p in parts if p.labels is not None), "labels"),
        splits=lists("splits"),
        folders=lists("folders"),
        meta=meta,
        warnings=list(dict.fromkeys(w for p in parts for w in p.warnings)),
        watched=set().union(*(p.watched for p in parts)),
    )
