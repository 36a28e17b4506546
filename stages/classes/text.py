"""Files of names as text: in which coding, and as the rows of a table or a JSON, YAML or Python value."""

from __future__ import annotations

import ast
import codecs
import csv
import io
import json
from collections.abc import Hashable, Sequence
from typing import Any

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
DIGITS = 18
"""Digits of a number that may be an index; Python refuses to read numbers of thousands."""


class NotLiteral(ValueError):
    """Neither JSON nor a Python literal."""


def text_of(data: bytes) -> str:
    """Text in UTF-8, or in what its byte order mark says.

    Raises:
        ValueError: it is not; without the file's name.
    """
    coding = next((coding for mark, coding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(coding)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text: save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("is not text: give the names as text, JSON, CSV or YAML, in UTF-8")
    return text


def rows_of(text: str, suffix: str) -> tuple[list[list[str]], str]:
    """The rows of a CSV or TSV file that are not empty, and what stands between their cells.

    Raises:
        ValueError: a quote is not closed before the file, or its cell, is too long.
    """
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if suffix.lower() == ".tsv" else max(",;\t|", key=first.count)
    try:
        table = list(csv.reader(io.StringIO(text, newline=None), delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"is no CSV ({error}): is a quote not closed?") from None
    rows = [[cell.strip() for cell in row] for row in table]
    return [row for row in rows if any(row)], delimiter


def literal(text: str) -> Any:
    """JSON, or what Python prints of a dict.

    Raises:
        NotLiteral: it is neither. ValueError: a key is given twice, or a number is no index.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_int=_whole)
    except json.JSONDecodeError as error:
        try:
            tree = ast.parse(text.strip(), mode="eval")
            value = ast.literal_eval(tree)
        except (ValueError, TypeError, SyntaxError, MemoryError):
            raise NotLiteral(f"is not JSON ({error})") from None
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                refuse_twice([ast.literal_eval(key) for key in node.keys if key is not None])
        return value


def yaml_of(text: str) -> Any:
    """YAML with every value a text: ``no`` and ``007`` stay what they are.

    Raises:
        ValueError: it is not, or a key is given twice.
    """
    import yaml

    class Distinct(yaml.BaseLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict:
            refuse_twice([self.construct_object(key, deep=True) for key, _ in node.value])
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Distinct)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        raise ValueError(f"is not YAML ({f'line {mark.line + 1}: ' if mark else ''}{problem or error})") from None


def refuse_twice(keys: Sequence[Any]) -> None:
    """Refuses keys of which one is given twice: of two values all but the last would be lost."""
    seen: set[Hashable] = set()
    for key in keys:
        if isinstance(key, Hashable) and key in seen:
            raise ValueError(f"has the key {key!r} twice; give it once")
        seen.add(key) if isinstance(key, Hashable) else None


def shown(value: Any) -> str:
    """The beginning of what was given, as its file writes it."""
    return (json.dumps(value) if value is None or isinstance(value, bool) else repr(value))[:60]


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    refuse_twice([key for key, _ in pairs])
    return dict(pairs)


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise ValueError(f"has the number {digits[:DIGITS]}..., which is the index of no class")
    return int(digits)
