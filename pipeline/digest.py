"""Digests: of a table's content, of a state, and of plain values."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa


def content_digest(table: pa.Table) -> str:
    """SHA-256 (hex) over a table's Arrow stream: schema and values, without metadata."""
    sink = _HashSink()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), table.schema) as writer:
        writer.write_table(table)
    return sink.hash.hexdigest()


def bare(field: pa.Field, name: str | None = None) -> pa.Field:
    """A field as it was made: Parquet adds numbers, and calls what Arrow calls the ``item`` of a list ``element``."""
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([bare(child) for child in kind])
    elif pa.types.is_fixed_size_list(kind):
        kind = pa.list_(bare(kind.value_field, "item"), kind.list_size)
    elif pa.types.is_list(kind):
        kind = pa.list_(bare(kind.value_field, "item"))
    return pa.field(name or field.name, kind, field.nullable)


def state_digest(state: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over a state's plain values and its arrays, but for what is only ``told``."""
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays and name != "told"}
    digest = hashlib.sha256(canonical(rest))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


class _HashSink(io.RawIOBase):
    def __init__(self):
        self.hash = hashlib.sha256()
        self.length = 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        view = memoryview(data)
        self.hash.update(view)
        self.length += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.length


def canonical(value: Any) -> bytes:
    """JSON of a plain value in one form: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
