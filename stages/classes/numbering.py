"""Classes by their numbers: what every form of file comes to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activation_atlas.stages.classes.text import DIGITS, shown

WORDNET = re.compile(r"n\d{8}")
"""An id of WordNet, as ImageNet's folders are called."""
NAME = ("name", "class_name", "label_name", "classname", "display_name", "label", "class", "category", "title")
INDEX = ("index", "idx", "id", "class_index", "class_idx", "class_id", "label_id", "label_index", "number")
FORMS = "a list of names, or an object of index: name or of name: index"


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


def is_index(value: Any) -> bool:
    """Whether a value is a whole number from 0, or the text of one."""
    if isinstance(value, str):
        return re.fullmatch(rf"\s*\d{{1,{DIGITS}}}\s*", value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def called(value: Any) -> tuple[str | None, str]:
    """(WordNet id, name) of what stands for a class.

    Raises:
        ValueError: it stands for none.
    """
    if isinstance(value, dict) and (key := next((k for k in NAME if isinstance(value.get(k), (str, int))), None)):
        name = value[key]
        ids = (own for own in value.values() if isinstance(own, str) and WORDNET.fullmatch(own) and own != name)
        return next(ids, None), called(name)[1]
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return value[0], value[1]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must hold {FORMS}; there is {shown(value)}")
    return None, str(value).strip()


def in_order(pairs: Sequence[tuple[int, Any]]) -> Classes:
    """Classes by their numbers, which run from 0 or from 1.

    Raises:
        ValueError: they do not.
    """
    pairs = sorted(pairs, key=lambda pair: pair[0])
    numbers = [number for number, _ in pairs]
    for (number, value), (other, again) in zip(pairs, pairs[1:], strict=False):
        if number == other:
            names = f"{called(value)[1]!r} and {called(again)[1]!r}"
            raise ValueError(f"gives two classes the index {number}: {names}; number them from 0 without a gap")
    if numbers and numbers[0] < 0:
        raise ValueError(f"has the index {numbers[0]}; number the classes from 0 without a gap")
    if pairs and numbers != list(range(numbers[0], numbers[0] + len(numbers))) or (numbers and numbers[0] > 1):
        lacking = next(k for k in range(min(numbers[0], 1), numbers[-1]) if k not in numbers)
        raise ValueError(f"has no class of index {lacking}, but one of {numbers[-1]}; number them from 0 without a gap")
    classes = named([called(value) for _, value in pairs])
    if numbers and numbers[0] == 1 and classes.also is None:
        return Classes(classes.names, [str(number) for number in numbers])
    return classes


def named(pairs: Sequence[tuple[str | None, str]]) -> Classes:
    """Classes in order; beside WordNet ids, names are written with spaces, and those of two classes carry theirs."""
    ids, names = [own for own, _ in pairs if own is not None], [name for _, name in pairs]
    if not pairs or len(ids) < len(pairs):
        return Classes(names)
    names = [name.replace("_", " ") for name in names]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    return Classes([f"{name} ({own})" if name in twice else name for own, name in zip(ids, names, strict=True)], ids)
