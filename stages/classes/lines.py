"""Classes from lines of text and from tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from activation_atlas.stages.classes.numbering import INDEX, NAME, WORDNET, Classes, called, in_order, is_index, named
from activation_atlas.stages.classes.text import DIGITS, rows_of

_NUMBERED = re.compile(rf"(\d{{1,{DIGITS}}})(\s*[:,;=|\t]\s*|[.)]?\s+)(\S.*)")
_TURNED = re.compile(rf"(.*?\S)(?:\s*[:,;=|\t]\s*|\s+)(\d{{1,{DIGITS}}})")


def classes_of_lines(lines: list[str]) -> Classes:
    """A name a line; with a number or a WordNet id before it where every line has one."""
    synsets = _all(re.compile(rf"({WORDNET.pattern})[\s,:;]+(\S.*)"), lines)
    if synsets:
        return named([(found[1], found[2]) for found in synsets])
    turned, found = _all(_TURNED, lines), _all(_NUMBERED, lines)
    if found:
        pairs = [(int(match[1]), match[3].strip("\"'")) for match in found]
        # "16:9" and "2 stars" are names: where the numbers are none, and where little is left without them.
        if _runs([number for number, _ in pairs]):
            return in_order(pairs) if _tells([name for _, name in pairs]) else Classes(lines)
        if all(match[2].strip(" .)") for match in found) and not all(is_index(name) for _, name in pairs):
            return in_order(pairs)  # says what is wrong with the numbers
    if turned and _runs([int(match[2]) for match in turned]) and _tells([match[1] for match in turned]):
        return in_order([(int(match[2]), match[1].strip("\"'")) for match in turned])
    return Classes(lines)


def _all(pattern: re.Pattern[str], lines: list[str]) -> list[re.Match[str]]:
    """The match of each line; empty where a line has none."""
    found = [match for line in lines if (match := pattern.fullmatch(line))]
    return found if len(found) == len(lines) else []


def _runs(numbers: Sequence[int]) -> bool:
    """Whether numbers run from 0 or 1 without a gap, in any order."""
    return sorted(numbers) in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _tells(names: Sequence[str]) -> bool:
    """Whether names tell classes apart: nine of ten at least are distinct."""
    return len(set(names)) >= 0.9 * len(names)


def classes_of_table(text: str, suffix: str) -> Classes:
    """Classes of CSV or TSV, with or without a header.

    Raises:
        ValueError: which column names the classes cannot be told.
    """
    rows, delimiter = rows_of(text, suffix)
    if not rows:
        return Classes([])
    if len(rows) == 1:
        return Classes(rows[0])
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        counts = f"{widths[0]} and of {widths[-1]} columns"
        raise ValueError(f"has rows of {counts}; put names that hold a {delimiter!r} in quotes")
    if widths == [1]:
        return classes_of_lines([row[0] for row in rows[rows[0][0].lower() in NAME :]])
    head, body, numbers = [], rows, _number_columns(rows)
    if not numbers and (_number_columns(rows[1:]) or {cell.lower() for cell in rows[0]} & {*NAME, *INDEX}):
        head, body, numbers = [cell.lower() for cell in rows[0]], rows[1:], _number_columns(rows[1:])
    columns = list(zip(*body, strict=True))
    # A column of counts may number the rows by accident: what has a name of its own is no index.
    unnamed = [k for k in numbers if not head or head[k] in ("", "#", *NAME)]
    meant = [k for k in numbers if head and head[k] in INDEX] or unnamed
    if not meant:  # said to be numbers, and they do not run
        meant = [head.index(word) for word in INDEX if word in head and all(map(is_index, columns[head.index(word)]))]
    ids = next((k for k, column in enumerate(columns) if all(map(WORDNET.fullmatch, column))), None)
    rest = [k for k in range(widths[0]) if k not in (*meant[:1], ids)]
    naming = [head.index(word) for word in NAME if word in head and head.index(word) in rest] or rest
    if not naming and ids is not None:
        naming, ids = [ids], None
    if not naming or (len(naming) > 1 and not (head and head[naming[0]] in NAME)):
        raise ValueError("has several columns, of which none is called name: keep two, the index and the name")
    synsets = columns[ids] if ids is not None else [None] * len(body)
    pairs = [list(pair) if pair[0] else pair[1] for pair in zip(synsets, columns[naming[0]], strict=True)]
    if meant:
        return in_order(list(zip(map(int, columns[meant[0]]), pairs, strict=True)))
    return named([called(pair) for pair in pairs])


def _number_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """Columns that number the rows."""
    columns = list(zip(*rows, strict=True))
    return [k for k, column in enumerate(columns) if all(map(is_index, column)) and _runs([int(c) for c in column])]
