"""A folder of class folders, or one flat folder."""

from __future__ import annotations

import posixpath
import re

from activation_atlas.stages.sources.places import Place, is_image, unstorable
from activation_atlas.stages.sources.rows import Rows
from activation_atlas.stages.sources.trees import is_split
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError

TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".pq")


def list_folder(place: Place, spec: ImagesSpec) -> Rows | None:
    """Every file with an image's extension, hidden ones left out; what their folders tell is settled later."""
    if not place.isdir() or spec.labels is not None:
        return None
    found = [e for e in place.walk() if is_image(e.path)]
    if not found:
        return None
    for option in ("image_column", "label_column", "label_columns"):
        asked = getattr(spec, option)
        if asked is not None and not (option == "label_column" and asked.lower() == "none"):
            raise UserError(f"images.{option} names a column, and {place.shown} is a folder: leave it out")
    rows = Rows(
        keys=[entry.path for entry in found],
        uris=[place.uri(entry.path) for entry in found],
        stamps=[entry.stamp for entry in found],
        rejects=[unstorable(entry.path) for entry in found],
        folders=[tuple(entry.path.split("/")[:-1]) for entry in found],
    )
    beside = [e.path for e in place.walk() if "/" not in e.path and not e.path.startswith("metadata.")]
    tables = [path for path in beside if posixpath.splitext(path)[1].lower() in TABLES]
    if tables and spec.label_column is None and not any(rows.folders or ()):
        rows.warnings.append(
            f"no image has a label, and {', '.join(tables[:3])} beside the images is not read: if it holds the labels, "
            f"give images.labels: {place.uri(tables[0])}"
        )
    return rows


def split_of(name: str) -> str | None:
    """``train`` for ``data/train-00000-of-00002.parquet`` or ``train/0000.parquet``."""
    for part in reversed(name.split("/")):
        word = re.split(r"[-_.]", part)[0]
        if word and is_split(word):
            return word
    return None
