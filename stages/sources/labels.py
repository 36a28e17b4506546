"""Labels as a source gives them, matched with the model's classes."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from stages.specs import near
from stages.stage import UserError

Label = int | str | None

_GIVE_UP = "or images.label_column: none to go without labels"


def match(
    labels: Sequence[Label], classes: list[str] | None, names: list[str] | None, what: str
) -> tuple[list[int | None], list[str] | None, list[str]]:
    """Class index of each label.

    A name is matched exactly, then without regard to case, spaces, underscores,
    hyphens and dots. A column of whole numbers holds indices; negative ones mean
    "unlabelled", as in Hugging Face test sets. Where neither ``classes`` nor
    ``names`` is known, the sorted distinct names are the classes, as Keras and
    torchvision number folders.

    Args:
        classes: the model's class names.
        names: what integer labels mean, according to the source.
        what: what the labels are, for messages.

    Returns:
        (indices, class names where known, warnings).

    Raises:
        UserError: there are labels, and none of them is a class.
    """
    labels = _numbers(labels, what)
    counts = Counter(label for label in labels if label is not None and not (isinstance(label, int) and label < 0))
    known = classes or names or sorted({str(label) for label in counts if isinstance(label, str)}) or None
    resolve = _resolver(known, names if classes else None, counts)
    index = {label: resolve(label) for label in counts}
    lost = Counter({label: n for label, n in counts.items() if index[label] is None})
    warnings = []
    if lost:
        example = lost.most_common(1)[0][0]
        why = _why(example, known or [])
        if len(lost) == len(counts):
            raise UserError(
                f"images: none of the {what} is a class of the model, e.g. {why}; {_remedy(what)}, {_GIVE_UP}"
            )
        total = sum(lost.values())
        warnings.append(f"{total} of {len(labels)} images have {what} that are no class, e.g. {why}: left unlabelled")
    return [index.get(label) for label in labels], known, warnings


def simple(name: str) -> str:
    """A name without case, spaces and punctuation, and with composed accents (macOS stores them apart)."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def _numbers(labels: Sequence[Label], what: str) -> list[Label]:
    """Whole numbers as int where every label is one (but folder names are names); empty texts as None."""
    cleaned: list[Label] = []
    for label in labels:
        if isinstance(label, str):
            label = label.strip() or None
        elif isinstance(label, float):
            label = None if label != label else int(label) if label.is_integer() else str(label)
        elif isinstance(label, bool):
            label = int(label)
        cleaned.append(label)
    texts = {label for label in cleaned if isinstance(label, str)}
    if texts and what != "folder names" and all(re.fullmatch(r"[+-]?\d+(\.0+)?", t) for t in texts):
        whole = {t: int(float(t)) for t in texts}
        cleaned = [whole[label] if isinstance(label, str) else label for label in cleaned]
    return cleaned


def _resolver(known: list[str] | None, names: list[str] | None, counts: Counter):
    exact, loose = _unique(known or [], str), _unique(known or [], simple)

    def by_name(name: str) -> int | None:
        if name in exact:
            return exact[name]
        return loose.get(simple(name))

    def by_index(number: int) -> int | None:
        return number if known is None or number < len(known) else None

    meant = None
    if names and names != known:
        # The source numbers its classes itself. Where its names are the model's, they decide;
        # where its numbers agree with the model's, or its names mean nothing, the numbers do.
        found = {i: by_name(names[i]) for i in counts if isinstance(i, int) and i < len(names)}
        if any(j is not None and j != i for i, j in found.items()):
            meant = found

    def resolve(label: int | str) -> int | None:
        if isinstance(label, int):
            return meant.get(label) if meant is not None else by_index(label)
        found = by_name(label)
        if found is None and label not in exact and re.fullmatch(r"\d+", label):
            return by_index(int(label))
        return found

    return resolve


def _unique(names: Sequence[str], form) -> dict[str, int | None]:
    """Index by form of the name; None where two classes share it (ImageNet has two cranes)."""
    found: dict[str, int | None] = {}
    for index, name in enumerate(names):
        key = form(name)
        found[key] = None if key in found else index
    return found


def _why(label: int | str, known: list[str]) -> str:
    if isinstance(label, int):
        return f"{label} (the classes are numbered 0 to {len(known) - 1})"
    same = [i for i, name in enumerate(known) if simple(name) == simple(label)]
    if len(same) > 1:
        return f"{label!r} (the name of classes {' and '.join(map(str, same))}: give the number)"
    if found := near(label, known, 1):
        return f"{label!r} (nearest: {found[0]!r})"
    return f"{label!r} (classes are {', '.join(map(repr, known[:3]))}{', ...' if len(known) > 3 else ''})"


def _remedy(what: str) -> str:
    if what == "folder names":
        return "rename the folders, give images.labels a CSV of path,label"
    return "correct them or model.classes, name another images.label_column"
