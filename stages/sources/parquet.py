"""Parquet of ``{bytes, path}`` images, the Hugging Face form: one file, or a folder of them."""

from __future__ import annotations

import json
import os
import posixpath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from activation_atlas.stages.sources.columns import PARQUET, metadata, texts, told, wanted
from activation_atlas.stages.sources.folder import split_of
from activation_atlas.stages.sources.places import Place, is_image, one_line
from activation_atlas.stages.sources.roles import check_labels, choose, choose_labels, labelled_by, labels_of
from activation_atlas.stages.sources.rows import Rows, joined
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError


def list_parquet(place: Place, spec: ImagesSpec) -> Rows | None:
    """Rows of all files in order of their names; the images' bytes are not read.

    The row key is ``file#row``, relative to the source. Class names are taken
    from the ``huggingface`` metadata; a split from a column, or from names such
    as ``train-00000-of-00002.parquet``. The image's own ``path`` becomes ``meta.path``.
    """
    if place.extension in PARQUET and place.isfile():
        base, files = place.parent, [(place.name, place.stat()[0])]
    elif place.isdir() and spec.labels is None:
        entries = place.walk()
        if any(is_image(e.path) for e in entries):
            return None
        base, files = place, [(e.path, e.stamp) for e in entries if posixpath.splitext(e.path)[1].lower() in PARQUET]
    else:
        return None
    parts = []
    for name, stamp in files:
        found = _part(base, name, stamp, spec)
        if found is None:
            if len(files) == 1:
                return None  # a table of paths
            raise UserError(f"{base.uri(name)} has no column of image bytes: move it, or give one file as images.path")
        parts.append(found)
    if not parts:
        return None
    rows = parts[0] if len(parts) == 1 else joined(parts)
    if place.fs is None:
        rows.watched |= {os.path.join(base.root, name) for name, _ in files}
    return rows


def _part(base: Place, name: str, stamp: str, spec: ImagesSpec) -> Rows | None:
    try:
        with pq.ParquetFile(base.openable(name)) as parquet:
            schema = parquet.schema_arrow
            column = image_column(schema, spec.image_column)
            if column is None:
                return None
            labels = choose_labels(schema.names, spec, base.uri(name))
            check_labels(schema, labels, base.uri(name))
            split = choose(schema.names, None, "split", base.uri(name))
            kept, left = wanted(parquet, {column, split, *labels})
            paths = pa.types.is_struct(schema.field(column).type)
            asked = [*kept, *labels, *([split] if split else []), *([f"{column}.path"] if paths else [])]
            table = parquet.read(columns=asked)
            count = parquet.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{base.uri(name)} cannot be read as Parquet: {one_line(error)}") from None
    meta = metadata(table, kept)
    if paths and "path" not in meta and "path" in [f.name for f in schema.field(column).type]:
        inner = table[column].combine_chunks()
        inner = inner.field("path") if inner.type.get_field_index("path") >= 0 else pa.nulls(count, pa.string())
        if inner.null_count < len(inner):
            meta["path"] = inner.cast(pa.string())
    splits = texts(table[split]) if split else [split_of(name)] * count
    uri = base.uri(name)
    marked = "" if column == image_column(schema, usual=True) else f"@{column}"
    return Rows(
        keys=[f"{name}#{row}" for row in range(count)],
        uris=[f"{uri}#{row}{marked}" for row in range(count)],
        stamps=[stamp] * count,
        rejects=[None] * count,
        labels=labels_of(table, labels),
        label_columns=labels if len(labels) > 1 else None,
        names=_class_names(schema, labels[0]) if len(labels) == 1 else None,
        labelled_by=labelled_by(labels),
        splits=splits if any(s is not None for s in splits) else None,
        meta=meta,
        warnings=told(name, kept, left, labels, spec),
    )


def image_column(schema: pa.Schema, asked: str | None = None, usual: bool = False) -> str | None:
    """The column that holds image bytes: a struct with ``bytes``, or plain binary; None where there is none.

    Args:
        asked: by the user; None where it holds none.
        usual: None, rather than an error, where there are several.

    Raises:
        UserError: there are several, and none is asked for.
    """

    def holds(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):
            index = kind.get_field_index("bytes")
            return index >= 0 and _binary(kind.field(index).type)
        return _binary(kind)

    found = [f.name for f in schema if holds(f.type)]
    if asked is not None:
        return asked if asked in found else None
    named = [name for name in found if name.lower() in ("image", "img")]
    if len(named) == 1 or len(found) == 1:
        return (named or found)[0]
    if found and not usual:
        raise UserError(f"several columns hold images: {', '.join(found)}; choose one with images.image_column")
    return None


def _binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _class_names(schema: pa.Schema, label: str) -> list[str] | None:
    """Names of a ClassLabel feature, or of a list of them, from the file's ``huggingface`` metadata."""
    try:
        feature: dict[str, Any] = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]
        names = feature.get("feature", feature)["names"]
        return [str(n) for n in names] if names else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
