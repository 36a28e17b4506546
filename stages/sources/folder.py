"""A folder of class folders, or one flat folder."""

from __future__ import annotations

import re

from stages.sources.places import Place, storable, unstorable
from stages.sources.rows import Rows
from stages.specs import ImagesSpec
from stages.stage import UserError
from stages.vision.images import EXTENSIONS

SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


def list_folder(place: Place, spec: ImagesSpec) -> Rows | None:
    """Every file with an image's extension, hidden ones left out.

    The first folder below the root is the class; below ``train``, ``val``,
    ``test`` and the like, where there is nothing else, the second. Images that
    lie in the root itself have no label.
    """
    if not place.isdir() or spec.labels is not None:
        return None
    found = [e for e in place.walk() if is_image(e.path)]
    if not found:
        return None
    unlabelled = (spec.label_column or "").lower() == "none"
    for option in ("image_column", "label_column"):
        if getattr(spec, option) is not None and not (option == "label_column" and unlabelled):
            raise UserError(f"images.{option} names a column, and {place.shown} is a folder: leave it out")
    parts = [entry.path.split("/")[:-1] for entry in found]
    splits = None
    if all(len(p) > 1 and p[0].lower() in SPLITS for p in parts):
        splits = [p[0] for p in parts]
        parts = [p[1:] for p in parts]
    labels = [storable(p[0]) if p else None for p in parts]
    return Rows(
        keys=[entry.path for entry in found],
        uris=[place.uri(entry.path) for entry in found],
        stamps=[entry.stamp for entry in found],
        rejects=[unstorable(entry.path) for entry in found],
        labels=labels if any(labels) and not unlabelled else None,
        labelled_by="folder names",
        splits=splits,
    )


def is_image(path: str) -> bool:
    """Whether a file's name ends as an image's does."""
    name = path.rsplit("/", 1)[-1].lower()
    return "." in name and f".{name.rsplit('.', 1)[-1]}" in EXTENSIONS


def split_of(name: str) -> str | None:
    """``train`` for ``data/train-00000-of-00002.parquet`` or ``train/0000.parquet``."""
    for part in reversed(name.split("/")):
        word = re.split(r"[-_.]", part)[0]
        if word.lower() in SPLITS:
            return word
    return None
