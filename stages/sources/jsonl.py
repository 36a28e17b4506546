"""JSON lines beside images, as Hugging Face's ``metadata.jsonl``, as an Arrow table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from activation_atlas.stages.sources.rows import integers, strings


def objects(text: str) -> list[dict[str, Any]]:
    """The lines that are not empty.

    Raises:
        ValueError: a line is no object; says which.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"line {number} is not JSON ({error})") from None
            if not isinstance(rows[-1], dict):
                raise ValueError(f'line {number} is no object such as {{"file_name": "a.png", "label": "cat"}}')
    return rows


def keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All keys, in order; a line may lack some."""
    return list(dict.fromkeys(key for row in rows for key in row))


def columns(rows: Sequence[dict[str, Any]], plain: set[str | None], few: int) -> tuple[pa.Table, list[str]]:
    """(table, columns left out); a key that a line lacks is null there.

    Whole numbers, numbers, truth values and texts keep their type, columns of several kinds become texts, and
    lists of at most ``few`` numbers, on average, texts of JSON.

    Args:
        plain: columns that become texts if they are scalars.
    """
    made = {name: _column([row.get(name) for row in rows], name in plain, few) for name in keys(rows)}
    kept = {name: column for name, column in made.items() if column is not None}
    return pa.table(kept), [name for name in made if name not in kept]


def _column(values: Sequence[Any], plain: bool, few: int) -> pa.Array | None:
    known = [value for value in values if value is not None]
    kinds = {type(value) for value in known}
    if kinds & {list, dict}:
        numbers = [n for value in known for n in _numbers(value)]
        if kinds != {list} or None in numbers or len(numbers) > few * len(values):
            return None
        return strings([None if value is None else json.dumps(value) for value in values])
    if plain or len(kinds - {int, float}) > (0 if kinds & {int, float} else 1) or str in kinds:
        return strings([None if value is None or value == "" else _written(value) for value in values])
    if kinds <= {bool}:
        return integers(values, "int8").cast(pa.bool_()) if kinds else strings(values)
    if float not in kinds and all(-(2**63) <= value < 2**63 for value in known):
        return integers(values, "int64")
    return integers(values, "float64")


def texts(values: Sequence[Any]) -> pa.Array:
    """Lists of scalars, and scalars, as lists of texts; null where there is nothing."""
    rows = [v if isinstance(v, list) or v is None else [v] for v in values]
    return pa.array([row and [None if v is None else _written(v) for v in row] for row in rows], pa.list_(pa.string()))


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _numbers(value: Any) -> list[Any]:
    """The numbers of nested lists; None for whatever else is among them."""
    if isinstance(value, list):
        return [n for inner in value for n in _numbers(inner)]
    return [value if isinstance(value, (int, float)) and not isinstance(value, bool) else None]
