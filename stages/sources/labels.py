"""Labels as a source gives them, matched with the model's classes.

One rule, wherever labels come from (CSV, Parquet, JSON lines, folders): a label that is a class's name means that
class, also when it is a number. A column is read as names or as indices, whichever finds a class for more of its
images; as names where both find as many. Whole numbers from 1 to K, of K classes, K among them, count from 1. What
is not certain is said, with the option that says otherwise (``images.labels_are``, ``images.first_label``).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal

from activation_atlas.stages.classes import WORDNET
from activation_atlas.stages.specs import near
from activation_atlas.stages.stage import UserError

Label = int | str | None
Kind = Literal["names", "indices"]
Reading = Callable[[str], int | None]

FOLDERS = "folder names"
_GIVE_UP = "or images.label_column: none to go without labels"
_LIKELY = 0.9  # of all labels, which another reading finds a class for: it is told
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")


def match(
    labels: Sequence[Label],
    classes: list[str] | None,
    names: list[str] | None,
    what: str,
    also: list[str] | None = None,
    kind: Kind | None = None,
    first: int | None = None,
) -> tuple[list[int | None], list[str] | None, list[str]]:
    """Class index of each label.

    A name is matched exactly, then without regard to case, spaces, underscores,
    hyphens and dots; one that is a number by its value (``007`` is ``7``), then
    likewise with ``also``. Negative numbers that are no name mean "unlabelled",
    as in Hugging Face test sets. Where neither ``classes`` nor ``names`` is
    known, whole numbers are indices (but not as names of folders), and else the
    sorted distinct names are the classes, as Keras and torchvision number folders.

    Args:
        classes: the model's class names.
        names: what integer labels mean, according to the source.
        what: what the labels are, for messages.
        also: other names of the model's classes.
        kind: what the labels are, where the user says so.
        first: the number of the first class, where the user says so.

    Returns:
        (indices, class names where known, warnings).

    Raises:
        UserError: there are labels, and none of them is a class.
    """
    by_name = Names(classes, also)
    spelled = all(by_name(word) is not None for word in ("True", "False"))
    texts = [_text(label, spelled) for label in labels]
    counts = Counter(text for text in texts if text is not None)
    kind = "indices" if kind is None and first is not None else kind
    known, warnings = classes or names, []
    if known is None and (kind == "names" or (kind is None and (what == FOLDERS or not all(map(whole, counts))))):
        known, by_name = sorted(counts) or None, Names(sorted(counts))
        warnings += _as_texts(known or [], what) if kind is None else []
    below = min(first or 0, 0)
    missing = {t: n for t, n in counts.items() if whole(t) and Decimal(t) < below and by_name(t) is None}
    counts = Counter({t: n for t, n in counts.items() if t not in missing})
    if missing and counts:  # where there is nothing else, they are a test set's
        example, n = max(missing.items(), key=lambda item: item[1])
        some = f"{n} {'image has' if n == 1 else 'images have'} {what} of {example}"
        warnings.append(
            f"{some}, taken for unlabelled: if that is a class, say images.first_label: {min(map(_integer, missing))} "
            "where labels run on from it, or give names"
        )
    by_index = _indices(known, first or 0)
    if names and classes and kind != "indices":
        read = _as_the_source(names, classes, by_name, kind, counts)
    elif kind is None and classes:
        read = _likelier(classes, by_name, counts, what, bool(also), warnings)
    elif kind == "names" or (known and not names and kind is None):
        read = by_name
    else:
        read = by_index
    index = {text: read(text) for text in counts}
    lost = Counter({text: n for text, n in counts.items() if index[text] is None})
    if lost:
        why = _why(lost.most_common(1)[0][0], known or [], bool(also), first or 0)
        if kind == "indices" and not whole(lost.most_common(1)[0][0]):
            asked = "images.labels_are: indices" if first is None else f"images.first_label: {first}"
            why = f"{lost.most_common(1)[0][0]!r} is no whole number, which {asked} asks for"
        if lost.total() == counts.total():
            raise UserError(
                f"images: none of the {what} is a class of the model, e.g. {why}; {_remedy(what)}, {_GIVE_UP}"
            )
        said = f"{lost.total()} of {len(labels)} images have {what} that are no class, e.g. {why}: left unlabelled"
        warnings.append(said + (_perhaps_from_one(counts, len(known)) if known and first is None else ""))
    return [None if text is None else index.get(text) for text in texts], known, warnings


def simple(name: str) -> str:
    """A name without case, spaces and punctuation, and with composed accents (macOS stores them apart)."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


class Names:
    """Finds a class by its name, or by its other name."""

    def __init__(self, names: Sequence[str] | None, also: Sequence[str] | None = None):
        self._forms = [
            (
                _unique(listed, str),
                _unique([None if _number(name) is None else name for name in listed], _number),
                _unique([name if _number(name) is None else None for name in listed], simple),
            )
            for listed in (names or [], also or [])
        ]
        self.numeric = any(numbers for _, numbers, _ in self._forms)
        """Whether some name is a number."""

    def __call__(self, text: str) -> int | None:
        number = _number(text)
        for exact, numbers, loose in self._forms:
            if exact.get(text) is not None:
                return exact[text]
            found = loose.get(simple(text)) if number is None else numbers.get(number)
            if found is not None and text not in exact:
                return found
        return None

    def shared(self, text: str) -> bool:
        """Whether several classes have this very name."""
        return text in self._forms[0][0] and self._forms[0][0][text] is None


def whole(text: str) -> bool:
    """Whether a label is a whole number: ``3``, ``007``, ``-1``, ``2.0``."""
    number = _number(text)
    return number is not None and number == number.to_integral_value()


def _text(label: Label | bool | float | bytes, spelled: bool) -> str | None:
    """A label as text, whatever its type; None where there is none.

    Args:
        spelled: True and False rather than 1 and 0.
    """
    if label is None or label != label:
        return None
    if isinstance(label, bytes):
        label = label.decode("utf-8", "backslashreplace")
    if (isinstance(label, bool) and not spelled) or (isinstance(label, float) and label.is_integer()):
        label = int(label)
    return str(label).strip() or None


def _number(text: str) -> Decimal | None:
    return Decimal(text) if re.fullmatch(_NUMBER, text) else None


def _unique(names: Sequence[str | None], form: Callable) -> dict[Any, int | None]:
    """Index by form of the name; None where two classes share it (ImageNet has two cranes)."""
    found: dict[Any, int | None] = {}
    for index, name in enumerate(names):
        if name is not None:
            key = form(name)
            found[key] = None if key in found else index
    return found


def _indices(known: Sequence[str] | None, first: int) -> Reading:
    most = 2**31 if known is None else len(known)

    def by_index(text: str) -> int | None:
        return index if whole(text) and 0 <= (index := int(Decimal(text)) - first) < most else None

    return by_index


def _as_the_source(
    names: list[str], classes: list[str], by_name: Names, kind: Kind | None, counts: Counter[str]
) -> Reading:
    """Labels of a source that numbers its classes itself.

    Where its names are the model's, they decide; where its numbers agree with the model's, or its names mean
    nothing, the numbers do, unless they are said to be names.
    """
    own, by_index = _indices(names, 0), _indices(classes, 0)
    found = {text: by_name(text if (k := own(text)) is None else names[k]) for text in counts}
    if kind == "names" or (names != classes and any(j is not None and j != own(t) for t, j in found.items())):
        return found.get
    return lambda text: by_index(text) if whole(text) else by_name(text)


def _integer(text: str) -> int:
    return int(Decimal(text))


def _likelier(
    classes: list[str], by_name: Names, counts: Counter[str], what: str, also: bool, warnings: list[str]
) -> Reading:
    """As names, or as indices where these find more; told where the labels might be the other."""
    by_index = _indices(classes, 0)

    def names(text: str) -> int | None:
        # A number among names stands for a class whose name is no help: one of two cranes.
        return by_index(text) if (found := by_name(text)) is None and not by_name.numeric else found

    def indices(text: str) -> int | None:
        return by_index(text) if whole(text) else by_name(text)

    def finds(read: Reading) -> int:
        return sum(n for text, n in counts.items() if read(text) is not None)

    if 2 * finds(by_name) < counts.total() and _from_one(counts, len(classes)):
        warnings.append(
            f"{what} leave 0 unused and run to {len(classes)}, of {len(classes)} classes: read as counted from 1 "
            f"(1 is {classes[0]!r}); say images.first_label: 0 if they are not"
        )
        return _indices(classes, 1)
    read, other = (names, indices) if finds(names) >= finds(indices) else (indices, names)
    differs = [text for text in counts if read(text) != other(text) is not None]
    # A class's own name that stands for another class is told, however few of the labels are names.
    crossed = [text for text in differs if read is indices and text in classes]
    if crossed or (differs and finds(other) >= _LIKELY * counts.total()):
        differs = crossed or differs
        example, index = differs[0], read(differs[0])
        means = "is no class" if index is None else f"is class {index}, {classes[index]!r}"
        how, instead = ("names", "indices") if read is names else ("indices", "names")
        if also and read is names and classes and by_name(example) is not None and example not in classes:
            how = "the numbers that model.classes gives"
        warnings.append(
            f"{what} could be {instead} of classes, and are read as {how} ({example!r} {means}): say "
            f"images.labels_are: {instead} if they are"
        )
    return read


def _from_one(counts: Counter[str], classes: int) -> bool:
    """Whether whole numbers lie within 1 and K, and K is among them."""
    numbers = {int(Decimal(text)) for text in counts if whole(text)}
    return all(map(whole, counts)) and min(numbers, default=0) >= 1 and max(numbers, default=0) == classes


def _perhaps_from_one(counts: Counter[str], classes: int) -> str:
    numbers = {int(Decimal(text)) for text in counts if whole(text)}
    if 0 in numbers or classes not in numbers:
        return ""
    return f"; 0 is unused and {classes} is used: if they count from 1, say images.first_label: 1"


def _as_texts(names: list[str], what: str) -> list[str]:
    """A warning where names that are whole numbers stand in another order than the numbers."""
    numbers = [Decimal(name) for name in names if whole(name)]
    if len(numbers) < len(names) or numbers == sorted(numbers):
        return []
    return [
        f"{what} are numbers, and stand in the order of texts, as Keras reads folders ({', '.join(names[:3])}, ...): "
        "give model.classes, or images.labels_are: indices if they are the model's own"
    ]


def _why(label: str, known: Sequence[str], also: bool, first: int) -> str:
    if whole(label) and not all(whole(name) for name in known):
        return f"{label} (the classes are numbered {first} to {first + len(known) - 1})"
    same = [i for i, name in enumerate(known) if simple(name) == simple(label)]
    if len(same) > 1:
        return f"{label!r} (the name of classes {' and '.join(map(str, same))}: give the number)"
    if re.fullmatch(WORDNET, label) and not also:
        return f"{label!r} (an id of WordNet: give imagenet_class_index.json as model.classes, which has ids and names)"
    if _number(label) is None and (found := near(label, known, 1)):
        return f"{label!r} (nearest: {found[0]!r})"
    return f"{label!r} (classes are {', '.join(map(repr, known[:3]))}{', ...' if len(known) > 3 else ''})"


def _remedy(what: str) -> str:
    if what == FOLDERS:
        return "rename the folders, give images.labels a CSV of path,label"
    return "correct them or model.classes, name another images.label_column"
