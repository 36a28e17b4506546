"""Class names, as tools write them: one reader for every command. A leaf.

    read_classes("imagenet_class_index.json").names[0]     # 'tench'

Text files of a name a line (also "0 name", "0: name", "0,name", "n01440764 name"), CSV with or without a header,
JSON, YAML and Python literals: a list, {index: name}, {name: index} as Keras's ``class_indices``, Keras's
``imagenet_class_index.json``, a Hugging Face ``config.json`` (id2label), a list of {id, name}, ``names`` of a
``data.yaml``.
"""

from __future__ import annotations

import ast
import codecs
import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activation_atlas.stages.stage import UserError

WORDNET = re.compile(r"n\d{8}")
"""An id of WordNet, as ImageNet's folders are called."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_HOLDERS = ("id2label", "label2id", "names", "class_names", "classes", "labels", "categories", "class_indices")
_HOLDERS += ("class_to_idx",)
_NAME = ("name", "class_name", "label_name", "classname", "display_name", "label", "class", "category", "title")
_INDEX = ("index", "idx", "id", "class_index", "class_idx", "class_id", "label_id", "label_index", "number")
_NUMBERED = re.compile(r"(\d+)(\s*[:,;=|\t]\s*|[.)]?\s+)(\S.*)")
_TURNED = re.compile(r"(.*?\S)(?:\s*[:,;=|\t]\s*|\s+)(\d+)")
_FORMS = "a list of names, or an object of index: name or of name: index"


@dataclass(frozen=True)
class Classes:
    """The classes of a model.

    Attributes:
        names: in index order. Two may be alike (ImageNet has two cranes).
        also: other names of the same classes that labels may have: WordNet ids, or the file's own numbers where
            they do not count from 0.
    """

    names: list[str]
    also: list[str] | None = None


def classes_of(given: str | Sequence[str] | None) -> Classes | None:
    """What a section ``model`` gives as ``classes``: a file, a list, or None.

    Raises:
        UserError: the file is missing, empty or of no known form.
    """
    if given is None:
        return None
    return read_classes(given) if isinstance(given, str) else Classes(list(given))


def read_classes(path: str | Path) -> Classes:
    """Class names from a file. Its content decides how it is read, then its extension.

    Numbers must run from 0, or from 1, without a gap, in any order. Where keys and values of an object could both
    be numbers, whole numbers (not texts) as values are indices, as Keras writes them; else the keys are.

    Raises:
        UserError: the file is missing, empty, of no known form, or its numbers have gaps or repetitions; one line.
    """
    path = Path(path)
    try:
        found = _understood(_text(path.read_bytes()), path.suffix.lower())
    except OSError as error:
        raise UserError(f"model.classes: {path} cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise UserError(f"model.classes: {path} {' '.join(str(error).split())}") from None
    if not found.names:
        raise UserError(f"model.classes: {path} holds no names; write one a line, in index order")
    empty = [index for index, name in enumerate(found.names) if not name]
    if empty:
        raise UserError(f"model.classes: {path} has no name for index {empty[0]}; name every class")
    return found


def _text(data: bytes) -> str:
    coding = next((coding for mark, coding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(coding)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text: save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("is not text: give the names as text, JSON, CSV or YAML, in UTF-8")
    return text


def _understood(text: str, suffix: str) -> Classes:
    if suffix == ".json":
        return _of(_literal(text))
    if suffix in (".yaml", ".yml"):
        import yaml

        try:
            return _of(yaml.load(text, yaml.BaseLoader))  # all texts: `no` and `007` stay what they are
        except yaml.YAMLError as error:
            raise ValueError(f"is not YAML ({error})") from None
    if suffix in (".csv", ".tsv"):
        return _of_table(text, suffix)
    if text.lstrip().startswith(("{", "[")):
        try:
            return _of(_literal(text))
        except _NoLiteral:
            pass  # a class may be called [unknown]
    return _of_lines([line.strip() for line in text.splitlines() if line.strip()])


# -- JSON, YAML, Python --------------------------------------------------------------


class _NoLiteral(ValueError):
    """Neither JSON nor a Python literal."""


def _literal(text: str) -> Any:
    """JSON, or what Python prints of a dict."""
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise _NoLiteral(f"is not JSON ({error}); it must hold {_FORMS}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
    if twice is not None:
        raise ValueError(f"has the key {twice!r} twice; give each class once")
    return dict(pairs)


def _of(data: Any) -> Classes:
    if isinstance(data, dict):
        for key in _HOLDERS:
            if isinstance(data.get(key), (dict, list)):
                return _of(data[key])
        whole = all(isinstance(value, int) and not isinstance(value, bool) for value in data.values())
        indices = all(_is_index(key) for key in data)
        if data and (whole or (not indices and all(_is_index(value) for value in data.values()))):
            return _in_order([(int(index), name) for name, index in data.items()])
        if data and not indices:
            raise ValueError(f"must hold {_FORMS}")
        return _in_order([(int(index), value) for index, value in data.items()])
    if not isinstance(data, (list, tuple)):
        raise ValueError(f"must hold {_FORMS}")
    if data and all(isinstance(item, dict) for item in data):
        key = next((key for key in _INDEX if all(_is_index(item.get(key)) for item in data)), None)
        if key is not None:
            return _in_order([(int(item[key]), item) for item in data])
    if data and all(isinstance(item, (list, tuple)) and len(item) == 2 and _is_index(item[0]) for item in data):
        return _in_order([(int(index), name) for index, name in data])
    return _named([_called(item) for item in data])


def _is_index(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"\s*\d+\s*", value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _called(value: Any) -> tuple[str | None, str]:
    """(WordNet id, name) of what stands for a class."""
    if isinstance(value, dict):
        name = next((value[key] for key in _NAME if isinstance(value.get(key), (str, int))), None)
        ids = (own for own in value.values() if isinstance(own, str) and WORDNET.fullmatch(own) and own != name)
        return next(ids, None), _called(name)[1]
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return value[0], value[1]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must hold {_FORMS}; there is {json.dumps(value, default=str)[:60]}")
    return None, str(value).strip()


def _in_order(pairs: Sequence[tuple[int, Any]]) -> Classes:
    """Classes by their numbers, which run from 0 or from 1."""
    pairs = sorted(pairs, key=lambda pair: pair[0])
    numbers = [number for number, _ in pairs]
    for (number, value), (other, again) in zip(pairs, pairs[1:], strict=False):
        if number == other:
            names = f"{_called(value)[1]!r} and {_called(again)[1]!r}"
            raise ValueError(f"gives two classes the index {number}: {names}; number them from 0 without a gap")
    if pairs and numbers != list(range(numbers[0], numbers[0] + len(numbers))) or (numbers and numbers[0] > 1):
        lacking = next(k for k in range(min(numbers[0], 1), numbers[-1]) if k not in numbers)
        raise ValueError(f"has no class of index {lacking}, but one of {numbers[-1]}; number them from 0 without a gap")
    found = _named([_called(value) for _, value in pairs])
    if numbers and numbers[0] == 1 and found.also is None:
        return Classes(found.names, [str(number) for number in numbers])
    return found


def _named(pairs: Sequence[tuple[str | None, str]]) -> Classes:
    """Classes in order; beside WordNet ids, names are written with spaces, and those of two classes carry theirs."""
    ids, names = [own for own, _ in pairs], [name for _, name in pairs]
    if not pairs or None in ids:
        return Classes(names)
    names = [name.replace("_", " ") for name in names]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    return Classes([f"{name} ({own})" if name in twice else name for own, name in zip(ids, names, strict=True)], ids)


# -- lines and tables ----------------------------------------------------------------


def _of_lines(lines: list[str]) -> Classes:
    """A name a line; with a number or a WordNet id before it where every line has one."""
    synsets = [re.fullmatch(rf"({WORDNET.pattern})[\s,:;]+(\S.*)", line) for line in lines]
    if lines and all(synsets):
        return _named([(found[1], found[2]) for found in synsets])
    turned = [re.fullmatch(_TURNED, line) for line in lines]
    found = [re.fullmatch(_NUMBERED, line) for line in lines]
    if lines and all(found):
        pairs = [(int(match[1]), match[3].strip("\"'")) for match in found]
        # "16:9" and "2 stars" are names: where the numbers are none, and where little is left without them.
        if _runs([number for number, _ in pairs]):
            return _in_order(pairs) if _tells([name for _, name in pairs]) else Classes(lines)
        if all(match[2].strip(" .)") for match in found) and not all(_is_index(name) for _, name in pairs):
            return _in_order(pairs)  # says what is wrong with the numbers
    if lines and all(turned) and _runs([int(match[2]) for match in turned]) and _tells([match[1] for match in turned]):
        return _in_order([(int(match[2]), match[1].strip("\"'")) for match in turned])
    return Classes(lines)


def _runs(numbers: Sequence[int]) -> bool:
    """Whether numbers run from 0 or 1 without a gap, in any order."""
    return sorted(numbers) in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _tells(names: Sequence[str]) -> bool:
    """Whether names tell classes apart: nine of ten at least are distinct."""
    return len(set(names)) >= 0.9 * len(names)


def _of_table(text: str, suffix: str) -> Classes:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if suffix == ".tsv" else max(",;\t|", key=first.count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    rows = [row for row in rows if any(row)]
    if not rows:
        return Classes([])
    if len(rows) == 1:
        return Classes(rows[0])
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        counts = f"{widths[0]} and of {widths[-1]} columns"
        raise ValueError(f"has rows of {counts}; put names that hold a {delimiter!r} in quotes")
    if widths == [1]:
        return _of_lines([row[0] for row in rows[rows[0][0].lower() in _NAME :]])
    head, body, numbers = [], rows, _number_columns(rows)
    if not numbers and (_number_columns(rows[1:]) or {cell.lower() for cell in rows[0]} & {*_NAME, *_INDEX}):
        head, body, numbers = [cell.lower() for cell in rows[0]], rows[1:], _number_columns(rows[1:])
    columns = list(zip(*body, strict=True))
    # A column of counts may number the rows by accident: what has a name of its own is no index.
    unnamed = [k for k in numbers if not head or head[k] in ("", "#", *_NAME)]
    meant = [k for k in numbers if head and head[k] in _INDEX] or unnamed
    if not meant:  # said to be numbers, and they do not run
        meant = [head.index(word) for word in _INDEX if word in head and all(map(_is_index, columns[head.index(word)]))]
    ids = next((k for k, column in enumerate(columns) if all(map(WORDNET.fullmatch, column))), None)
    rest = [k for k in range(widths[0]) if k not in (*meant[:1], ids)]
    named = [head.index(word) for word in _NAME if word in head and head.index(word) in rest] or rest
    if not named and ids is not None:
        named, ids = [ids], None
    if not named or (len(named) > 1 and not (head and head[named[0]] in _NAME)):
        raise ValueError("has several columns, of which none is called name: keep two, the index and the name")
    synsets = columns[ids] if ids is not None else [None] * len(body)
    pairs = [list(pair) if pair[0] else pair[1] for pair in zip(synsets, columns[named[0]], strict=True)]
    if meant:
        return _in_order(list(zip(map(int, columns[meant[0]]), pairs, strict=True)))
    return _named([_called(pair) for pair in pairs])


def _number_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """Columns that number the rows."""
    columns = list(zip(*rows, strict=True))
    return [k for k, column in enumerate(columns) if all(map(_is_index, column)) and _runs([int(c) for c in column])]
