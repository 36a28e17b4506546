"""THE way in for images: whatever they lie in, a listing, and the bytes of each.

    source = open_source(spec, classes)      # source.listing: one row an image
    for found in read_images(source.listing["uri"].to_pylist(), spec.storage_options):
        ...                                  # bytes, or the ImageError that stands in their place

A kind of source is a function ``(place, spec) -> Rows``, or None where the
place is not of its kind, and one line in :data:`SOURCES`.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from activation_atlas.stages.caches import Cache
from activation_atlas.stages.sources.answers import answers
from activation_atlas.stages.sources.beside import list_metadata
from activation_atlas.stages.sources.demo import list_demo
from activation_atlas.stages.sources.folder import list_folder
from activation_atlas.stages.sources.labels import Names
from activation_atlas.stages.sources.parquet import list_parquet
from activation_atlas.stages.sources.paths import list_paths
from activation_atlas.stages.sources.places import Place, storable
from activation_atlas.stages.sources.reading import read_image, read_images
from activation_atlas.stages.sources.rows import Rows, integers, strings
from activation_atlas.stages.sources.trees import label_by_folders
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError

__all__ = ["SOURCES", "Rows", "Source", "image_id", "open_source", "read_image", "read_images"]

SOURCES: dict[str, Callable[[Place, ImagesSpec], Rows | None]] = {
    "demo": list_demo,  # demo:scenes?images=1600
    "parquet": list_parquet,  # Parquet of {bytes, path} images, one file or a folder of them
    "paths": list_paths,  # CSV, JSON lines or Parquet of paths, alone or beside a folder (`labels`)
    "metadata": list_metadata,  # a folder with a metadata.csv, .jsonl or .parquet, as Hugging Face has them
    "folder": list_folder,  # class folders, or one flat folder
}
"""Kinds by name, asked in this order; the first that knows the place lists it."""


@dataclass(frozen=True)
class Source:
    """A source that was opened.

    Attributes:
        listing: one row an image, in source order: image_id, uri, label (of the type of its kind of
            answer, see :mod:`stages.tasks`; null where unlabelled), split, ``meta.*`` as given, stamp
            (changes when the file does), reject (why the row cannot be used; null where it can).
        classes: class names in index order, where given or known to the source.
        kind: a key of :data:`SOURCES`.
        labelled_by: what the labels are, for messages.
        warnings: one line each, for the user.
        watched: (local path, mtime in ns) of what a change of the listing would touch.
    """

    listing: pa.Table
    classes: list[str] | None
    kind: str
    labelled_by: str
    warnings: tuple[str, ...]
    watched: tuple[tuple[str, int], ...]

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of the listing by image id."""
        return {own: row for row, own in enumerate(self.listing["image_id"].to_pylist())}


_SOURCES: Cache[str, Source] = Cache(4)


def open_source(
    spec: ImagesSpec,
    classes: list[str] | None = None,
    refresh: bool = False,
    also: list[str] | None = None,
    task: str = "auto",
) -> Source:
    """Lists the images ``spec`` names; reads none of them.

    Listings are kept within the process and made anew when a folder or table
    they came from has changed, or with ``refresh``. Equal places give equal
    listings, in any process.

    Args:
        classes: class names in index order, to match label names with; None where unknown.
        also: other names of the same classes.
        task: what labels are to be, as ``model.task`` says it.

    Raises:
        UserError: nothing there, no images, a table that cannot be understood or
            that points outside its folder, or labels none of which is a class.
    """

    def listed() -> Source:
        try:
            return _list(spec, classes, also, task)
        except UserError as error:  # names may hold newlines
            raise UserError(" ".join(str(error).splitlines())) from None

    def unchanged(source: Source) -> bool:
        return not refresh and all(_mtime(path) == seen for path, seen in source.watched)

    return _SOURCES.get(repr((spec, classes, also, task)), listed, unchanged)


def image_id(key: str) -> str:
    """First 16 hex digits of SHA-256 of a path relative to its source, or of a row key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _list(spec: ImagesSpec, classes: list[str] | None, also: list[str] | None, task: str) -> Source:
    place = Place.at(spec.path, spec.storage_options)
    known = ((kind, rows) for kind, function in SOURCES.items() if (rows := function(place, spec)) is not None)
    kind, rows = next(known, ("", None))
    if rows is None:
        raise UserError(f"images.path: {place.shown} {place.lacks()}")
    if not rows.keys:
        raise UserError(f"images.path: {place.shown} names no images")
    if spec.labels is not None and kind != "paths":
        raise UserError(f"images.labels is for a folder of images; {place.shown} brings its own labels: leave it out")
    if rows.folders is not None:
        unlabelled = (spec.label_column or "").lower() == "none"
        by_name = Names(classes, also) if classes and spec.labels_are != "indices" else None
        label_by_folders(rows, by_name, unlabelled, spec.split)
    told = answers(rows, spec, task, classes, also)
    columns = {
        "image_id": strings(_ids(rows)),
        "uri": strings([storable(u) for u in rows.uris]),
        "label": told.label,
        "split": strings(rows.splits or [None] * len(rows.keys)),
        **{f"meta.{name}": column for name, column in rows.meta.items()},
        "stamp": strings(rows.stamps),
        "reject": strings(rows.rejects),
    }
    listing = _limited(_of_split(pa.table(columns), spec), spec.limit)
    watched = tuple((path, _mtime(path)) for path in sorted(rows.watched | place.watched))
    return Source(listing, told.names, kind, rows.labelled_by, (*rows.warnings, *told.warnings), watched)


def _ids(rows: Rows) -> list[str]:
    """Ids, distinct over all rows; a row that repeats an earlier image is rejected, and named after how often it was
    there before: what is listed beside it changes no name."""
    first: dict[str, int] = {}
    times: Counter[str] = Counter()
    ids = []
    for row, key in enumerate(rows.keys):
        found = image_id(key)
        earlier = first.setdefault(found, row)
        if earlier != row:
            before, now = (None if rows.labels is None else rows.labels[k] for k in (earlier, row))
            also = f", where the label is {before!r}, here {now!r}" if before != now else ""
            rows.rejects[row] = rows.rejects[row] or f"duplicate of row {earlier + 1}{also}"
            times[found] += 1
            found = image_id(f"{key}#again {times[found]}")
        ids.append(found)
    return ids


def _of_split(listing: pa.Table, spec: ImagesSpec) -> pa.Table:
    if spec.split is None:
        return listing
    kept = [row for row, value in enumerate(listing["split"].to_pylist()) if value == spec.split]
    if not kept:
        known = sorted(Counter(v for v in listing["split"].to_pylist() if v is not None))
        have = f"there are {', '.join(known)}" if known else "the source has none"
        raise UserError(f"images.split: no image of {spec.path} is of split {spec.split!r}; {have}")
    return listing.take(integers(kept, "int64"))


def _limited(listing: pa.Table, limit: int | None) -> pa.Table:
    """The ``limit`` usable rows of smallest id, in source order, and the rejected ones among them."""
    if limit is None:
        return listing
    ids, rejects = listing["image_id"].to_pylist(), listing["reject"].to_pylist()
    usable = sorted(name for name, reject in zip(ids, rejects, strict=True) if reject is None)
    if len(usable) <= limit:
        return listing
    return listing.take(integers([row for row, name in enumerate(ids) if name <= usable[limit - 1]], "int64"))


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1
