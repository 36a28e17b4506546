"""Every table and column of a run folder: type, meaning, unit; from the schemas that the stages write."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from activation_atlas.stages import tables as schemas
from activation_atlas.stages.tables import TABLES
from docs.reference.markdown import anchored, code, table
from docs.reference.stages import writers

CLASSES, CHANNELS = 1009, 1013
"""Sizes that stand for K and C: no type has such numbers of its own."""

_SIZES = {"channels": CHANNELS, "classes": CLASSES, "attributed": CLASSES}


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    about: str


def page() -> str:
    parts = [
        "# Tables",
        "A run folder holds a folder of Parquet parts for each table: `TABLE/part-00042.parquet`, or "
        "`TABLE/NAME/part-00042.parquet` where there is one for each layer, atlas or variant (a `/` of a nested "
        "layer's name is written `__`). A part that exists is complete. `image_id` leads from any table back to the "
        "photograph. In types, K is the number of the model's classes (or of those attributed) and C of the layer's "
        "channels.",
    ]
    written = writers()
    for name, described in TABLES.items():
        keys = ", ".join(code(key) for key in described.key)
        stage = written.get(name)
        by = f" Written by [`{stage}`](stages.md#{stage})." if stage else ""
        parts += [anchored(2, code(name), name), f"{_sentence(described.about)} Key: {keys}.{by}"]
        rows = [(code(c.name), c.type, c.about) for c in columns(name)]
        parts.append(table(("column", "type", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def columns(name: str) -> Iterator[Column]:
    """A table's columns in order; ``meta.*`` stands for those that the source gives."""
    schema = getattr(schemas, name)
    asked = [p.name for p in inspect.signature(schema).parameters.values() if p.default is p.empty]
    schema = schema(*(_SIZES[one] for one in asked))
    about = TABLES[name].columns
    for field in schema:
        yield Column(field.name, _type(field.type), about[field.name])
    for own in about:
        if own.endswith("*"):
            yield Column(own, "as given", about[own])


def _type(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        size = {CLASSES: "K", CHANNELS: "C"}.get(kind.list_size, str(kind.list_size))
        return f"{_type(kind.value_type)}[{size}]"
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{f.name}: {_type(f.type)}" for f in kind) + "}"
    return {"float": "float32", "halffloat": "float16", "double": "float64"}.get(str(kind), str(kind))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
