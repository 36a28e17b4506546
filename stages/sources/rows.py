"""What a kind of source says of its images, before labels are matched and rows are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa


@dataclass
class Rows:
    """Parallel lists, one item an image, in source order.

    Attributes:
        keys: the path relative to the source with ``/``, or the row key; the id is made of it.
        uris: what :func:`~stages.sources.reading.read_images` opens.
        stamps: changes when the image's file does.
        rejects: why the row cannot be used, or None.
        labels: an index, a name or None each; None where the source has no labels.
        names: class names in the index order of integer labels, where the source knows them.
        labelled_by: what the labels are, for messages, e.g. ``folder names``.
        splits: a name or None each; None where the source has no splits.
        meta: further columns.
        warnings: lines for the user.
        watched: local folders and files whose mtime changes when this listing would.
    """

    keys: list[str]
    uris: list[str]
    stamps: list[str]
    rejects: list[str | None]
    labels: list[int | str | None] | None = None
    names: list[str] | None = None
    labelled_by: str = "labels"
    splits: list[str | None] | None = None
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
