"""Hugging Face's ``metadata.csv``, ``.jsonl`` or ``.parquet`` in the folder of the images, or in that of each split."""

from __future__ import annotations

import posixpath

from activation_atlas.stages.sources.columns import NoPaths
from activation_atlas.stages.sources.folder import list_folder
from activation_atlas.stages.sources.paths import add_unnamed, rows_of
from activation_atlas.stages.sources.places import Place, is_image
from activation_atlas.stages.sources.rows import Rows, joined
from activation_atlas.stages.sources.trees import is_split
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError

NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")


def list_metadata(place: Place, spec: ImagesSpec) -> Rows | None:
    """The rows of every such table, and the images that none of them names.

    Paths (``file_name``) are relative to the table's own folder. Labels come from a
    label column; where there is none, from the images' folders.
    """
    if not place.isdir() or spec.labels is not None:
        return None
    files = place.walk()
    tables = [entry.path for entry in files if posixpath.basename(entry.path) in NAMES]
    if not tables or not any(is_image(entry.path) for entry in files):
        return None
    parts, told = [], []
    for path in tables:
        try:
            parts.append(rows_of(Place.at(place.uri(path), place.options), place, spec, files, own=True))
        except UserError as error:
            # In a tree of class folders it may be about something else.
            classes = any(not is_split(name) for e in files if is_image(e.path) for name in e.path.split("/")[:-1])
            if not (isinstance(error, NoPaths) or (classes and spec.label_column is None)):
                raise
            told.append(f"{path} is not read: {error}")
    rows = (joined(parts) if len(parts) > 1 else parts[0]) if parts else list_folder(place, spec)
    if rows is None:
        return None
    if parts:
        add_unnamed(rows, place, files, " or ".join(tables) if len(tables) < 4 else "a metadata file")
    rows.warnings += told
    return rows
