"""Which of the folders above an image names its class, and which its split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from activation_atlas.stages.caches import cached
from activation_atlas.stages.sources.labels import FOLDERS
from activation_atlas.stages.sources.places import storable
from activation_atlas.stages.sources.rows import Rows

Folders = tuple[str, ...]

_SPLIT = "training|train|validation|valid|val|development|dev|testing|test|evaluation|eval|holdout|hold[-_ ]out"
_SPLIT += "|heldout|held[-_ ]out|prediction|predict|pred|inference|unlabell?ed"
_FILES = r"images?|imgs?|pictures?|pics?|photos?|photographs?|jpe?gs?|pngs?|datasets?|data|sets?|splits?|[-_. ]|\d"
_BESIDE = f"{_FILES}|raw|seg|full|all|small|mini|public|private|original|resized|crops?|cropped"
_IS_SPLIT = re.compile(rf"({_BESIDE})*({_SPLIT})({_SPLIT}|{_BESIDE})*", re.IGNORECASE)
_HOLDS = re.compile(rf"(?=.*[a-z])({_BESIDE})+", re.IGNORECASE)
_KINDS = re.compile(f"({_FILES})+", re.IGNORECASE)


@cached(4096)
def is_split(folder: str) -> bool:
    """Whether a folder is called as a part of a data set: ``train``, ``Validation``, ``test_images``, ``val2017``."""
    return _IS_SPLIT.fullmatch(folder) is not None


def label_by_folders(
    rows: Rows, named: Callable[[str], object] | None, unlabelled: bool = False, split: str | None = None
) -> None:
    """Gives images the labels and splits that their folders tell, where nothing else told them.

    The class is named by the folders of one level: of those that hold classes the one where most images lie
    in a folder of a class's name (and of an image that does not, by another one of its folders that is called
    so); else, where no name is known, the first that does not only hold others (``images/``, ``train/`` and
    ``test/``, a single folder around all). Folders called as a split are no classes, unless a class is called so.

    Args:
        named: gives None for what is no class's name; None where no names are known.
        unlabelled: no labels are wanted.
        split: the one that is wanted; of others nothing is told.
    """
    folders = rows.folders or []
    level = _named_level(folders, named) if named is not None else None
    if level is None:
        level, named = _first_level(folders), None
    places = [_place(own, level, named) for own in folders]
    if rows.splits is None:
        splits = [next((f for k, f in enumerate(own) if k != at and is_split(f)), None)
                  for own, at in zip(folders, places, strict=True)]  # fmt: skip
        rows.splits = [storable(s) if s else None for s in splits] if any(splits) else None
    if rows.labels is not None or unlabelled:
        return
    labels = [None if at is None else storable(own[at]) for own, at in zip(folders, places, strict=True)]
    if any(labels):
        rows.labels, rows.labelled_by = list(labels), FOLDERS
    rows.warnings += _told(rows, labels, split)
    if (known := {label for label in labels if label}) and named is None and all(map(_HOLDS.fullmatch, known)):
        rows.warnings.append(
            f"the folders {', '.join(sorted(known)[:3])}{', ...' if len(known) > 3 else ''} are taken for classes: say "
            "images.label_column: none if they are not"
        )
    below = {own[level + 1] for own, at in zip(folders, places, strict=True) if at is not None and len(own) > level + 1}
    whole = all(len(own) > level + 1 for own, at in zip(folders, places, strict=True) if at is not None)
    if named is None and whole and len(below) > 1 and not all(map(is_split, below)):
        some = f"{', '.join(sorted(below)[:3])}{', ...' if len(below) > 3 else ''}"
        rows.warnings.append(
            f"the classes are taken to be the outer folders, not those in them ({some}): give model.classes to have "
            "them found by their names"
        )


def _place(own: Folders, level: int, named: Callable[[str], object] | None) -> int | None:
    """The level of an image's folder that names its class; None where none does."""
    here = level if len(own) > level else None
    if named is None:
        return None if here is None or is_split(own[here]) else here
    if here is not None and named(own[here]) is not None:
        return here
    return next((k for k, name in enumerate(own) if named(name) is not None), here)


def _named_level(folders: Sequence[Folders], named: Callable[[str], object]) -> int | None:
    """The level at which most images lie in a folder that is called as a class; of equals the one of most classes."""
    known = {name: named(name) for own in folders for name in own}
    found: dict[int, Counter] = defaultdict(Counter)
    for own in folders:
        for level, name in enumerate(own):
            if known[name] is not None:
                found[level][known[name]] += 1
    return min(found, key=lambda level: (-found[level].total(), -len(found[level]), level), default=None)


def _first_level(folders: Sequence[Folders]) -> int:
    """The first level whose folders do not only hold others."""
    level = 0
    while True:
        below: dict[str, Counter] = defaultdict(Counter)
        for own in folders:
            if len(own) > level:
                below[own[level]][own[level + 1] if len(own) > level + 1 else None] += 1
        outer = {name for name in below if is_split(name) or _HOLDS.fullmatch(name)}
        deep = sum(n for name in outer for inner, n in below[name].items() if inner is not None)
        others = [below[name] for name in below if name not in outer]
        # private/ and public/: of several that hold nothing but images, each is a class; jpg/ and png/, set1/ are not.
        full = [set(below[name]) == {None} for name in outer if not is_split(name)]
        kinds = any(not _KINDS.fullmatch(name) for name in outer)
        if not below or (not others and kinds and len(full) == len(outer) > 1 and all(full)):
            return level
        if others:
            around = deep > sum(own.total() for own in others) and all(set(own) == {None} for own in others)
            if not around and not (len(below) == 1 and _around_all(folders, level, set(others[0]))):
                return level
        level += 1


def _around_all(folders: Sequence[Folders], level: int, inner: set[str | None]) -> bool:
    """Whether the only folder of a level holds several others, or parts of a data set that hold some."""
    parts = [name for name in inner if name is not None and (is_split(name) or _HOLDS.fullmatch(name))]
    if len(parts) == len(inner):
        return any(len(own) > level + 2 for own in folders)
    return None not in inner and len(inner) > 1


def _told(rows: Rows, labels: Sequence[str | None], split: str | None) -> list[str]:
    """A warning of images that lie in no class folder, where others do or where folders are called as splits."""
    splits = rows.splits or [None] * len(labels)
    wanted = [k for k in range(len(labels)) if split is None or splits[k] == split]
    lost = [k for k in wanted if labels[k] is None]
    folders = rows.folders or [()] * len(labels)
    several = len({folders[k][0] for k in lost if folders[k]}) > 1
    if not lost or not (len(lost) < len(wanted) or several or any(splits[k] for k in lost)):
        return []
    places = Counter(folders[k][0] if folders[k] else "" for k in lost)
    where = [f"{name}/" if name else f"beside the folders, e.g. {rows.keys[lost[0]]!r}" for name in sorted(places)]
    some = f"{', '.join(where[:3])}{', ...' if len(where) > 3 else ''}"
    if len(lost) == len(wanted):
        return [f"{some} hold no class folders: no image has a label; give images.labels a table of path,label"]
    count = "1 image lies" if len(lost) == 1 else f"{len(lost)} images lie"
    whole = Counter(splits[k] for k in wanted if splits[k]) - Counter({splits[k]: len(labels) for k in lost})
    remedy = ""
    if whole and any(splits[k] for k in lost):
        remedy = f"; images.split: {whole.most_common(1)[0][0]}, or that folder as images.path, leaves them out"
    elif taken := [name for name in places if name and is_split(name)]:
        remedy = f"; if {taken[0]} is a class, give model.classes"
    return [f"{count} in no class folder ({some}): without label{remedy}"]
