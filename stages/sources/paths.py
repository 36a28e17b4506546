"""A CSV, JSON lines or Parquet of paths with labels and metadata: by itself, or beside the folder it describes."""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict

import pyarrow as pa

from activation_atlas.stages.sources.columns import CSV, JSON_LINES, PARQUET, metadata, read_table, texts, told
from activation_atlas.stages.sources.places import Entry, Place, is_image, local_path, unstorable
from activation_atlas.stages.sources.roles import labelled_by, labels_of
from activation_atlas.stages.sources.rows import Rows
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError


def list_paths(place: Place, spec: ImagesSpec) -> Rows | None:
    """Rows of the table, in its order.

    By itself, a table's paths are relative to its own folder. Beside a folder
    (``labels``) they are relative to that folder, or to the table's, whichever
    finds more images; a path without extension is found by its stem, and one that lies
    deeper by its end, where that is unique; images the table does not name follow, unlabelled.
    Paths must not lead out of the folder; URLs are read as they stand. A file that does not
    exist is a rejected row.
    """
    if spec.labels is not None:
        if not place.isdir():
            raise UserError(f"images.labels is for a folder of images, and images.path: {place.shown} is none")
        table = Place.at(spec.labels, spec.storage_options)
        if not table.isfile():
            raise UserError(f"images.labels: {table.shown} {table.lacks()}")
        rows = rows_of(table, place, spec, place.walk())
        add_unnamed(rows, place, place.walk(), table.name)
        return rows
    if place.extension in (*CSV, *PARQUET, *JSON_LINES) and place.isfile():
        return rows_of(place, place.parent, spec, None)
    return None


def rows_of(table_at: Place, root: Place, spec: ImagesSpec, files: list[Entry] | None, own: bool = False) -> Rows:
    """The rows of one table.

    Args:
        files: all below ``root``, where they are known.
        own: paths are relative to the table's own folder, which lies in ``root``, and not to ``root``; folders may
            tell labels and splits that the table does not.

    Raises:
        UserError: the table cannot be understood, names nothing that is there, or what lies outside ``root``.
    """
    table, image, labels, split, left = read_table(table_at, spec)
    kept = [name for name in table.column_names if name not in ("", image, split, *labels)]
    given = [None if p is None else str(p) for p in table[image].to_pylist()]
    if not given:
        raise UserError(f"{table_at.shown} has no rows: it names no images")
    finder = _Finder(table_at, root, files)
    finder.choose_base(given, own)
    rows = Rows([], [], [], [], watched={table_at.root} if table_at.fs is None else set())
    for number, path in enumerate(given, 1):
        key, uri, stamp, reject = finder.find(path, number)
        rows.keys.append(key)
        rows.uris.append(uri)
        rows.stamps.append(stamp)
        rows.rejects.append(reject)
    if all(r == "no such file" for r in rows.rejects):
        raise UserError(
            f"{table_at.shown}: none of its {len(given)} files is there, e.g. {rows.uris[0]}; paths are "
            "relative to the table's folder, or to images.path where the table is images.labels (which finds them in "
            "folders below it, too)"
        )
    rows.labels, rows.labelled_by = labels_of(table, labels), labelled_by(labels)
    rows.label_columns = labels if len(labels) > 1 else None
    rows.splits = texts(table[split]) if split else None
    rows.meta = metadata(table, kept)
    # A table that is the source itself, or stands in a folder without others, has the labels or nothing has.
    only = not any("/" in key for key in rows.keys) if own else files is None and any(map(_tells, table.select(kept)))
    rows.warnings += told(table_at.name, kept, left, labels, spec, only)
    if root.fs is None:
        rows.watched |= {os.path.dirname(uri) for uri in rows.uris if os.path.isabs(uri)}
    if own:
        rows.folders = [() if "://" in key else tuple(key.split("/")[:-1]) for key in rows.keys]
    return rows


def add_unnamed(rows: Rows, root: Place, files: list[Entry], table: str) -> None:
    """Adds the folder's images that the table does not name."""
    named = set(rows.keys)
    more = [e for e in files if is_image(e.path) and e.path not in named]
    if not more:
        return
    rows.keys += [e.path for e in more]
    rows.uris += [root.uri(e.path) for e in more]
    rows.stamps += [e.stamp for e in more]
    rows.rejects += [unstorable(e.path) for e in more]
    rows.labels = None if rows.labels is None else [*rows.labels, *[None] * len(more)]
    rows.splits = None if rows.splits is None else [*rows.splits, *[None] * len(more)]
    rows.folders = None if rows.folders is None else [*rows.folders, *(tuple(e.path.split("/")[:-1]) for e in more)]
    rows.meta = {k: pa.concat_arrays([v, pa.nulls(len(more), v.type)]) for k, v in rows.meta.items()}
    lacking = "kept" if rows.labels is None else "kept, without label"
    rows.warnings.append(
        f"{len(more)} images of {root.shown} are not named in {table}, e.g. {more[0].path!r}: {lacking}"
    )


def _tells(column: pa.ChunkedArray) -> bool:
    """Whether values could be labels: texts, whole numbers, yes or no."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return any(
        is_a(kind) for is_a in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
    )


class _Finder:
    """Finds what a table's paths name, below one root."""

    def __init__(self, table: Place, root: Place, files: list[Entry] | None):
        self.table, self.root = table, root
        self.stamps = None if files is None else {e.path: e.stamp for e in files}
        self.table_stamp = table.stat()[0]
        self.base = _absolute(root.root)
        self.roots = {self.base, os.path.realpath(root.root) if root.fs is None else self.base}
        self.stems: dict[str, list[str]] = defaultdict(list)
        self.ends: dict[str, list[str]] = defaultdict(list)
        for entry in files or []:
            if is_image(entry.path):
                stem = posixpath.splitext(entry.path)[0]
                self.stems[stem].append(entry.path)
                for form in (entry.path, stem):
                    self.ends[posixpath.basename(form).casefold()].append(entry.path)

    def choose_base(self, given: list[str | None], own: bool) -> None:
        """Chooses what relative paths start from: the root, or the table's own folder where that finds more images.

        Args:
            own: the table's own folder finds them all as it is.
        """
        beside, stamps = _absolute(self.table.parent.root), self.stamps
        if own:
            self.base = beside
            return
        if stamps is None or beside == self.base or (self.root.fs is not self.table.fs):
            return

        def hits(base: str) -> int:
            keys = (self._below(posixpath.join(base, path)) for path in given if path is not None)
            return sum(key in stamps or key in self.stems for key in keys)

        if hits(beside) > hits(self.base):
            self.base = beside

    def find(self, path: str | None, number: int) -> tuple[str, str, str, str | None]:
        """(key, uri, stamp, reject) of the table's row ``number``, counted from 1."""
        if path is None or not path.strip():
            key = f"{self.table.name}#{number}"
            return key, self.table.uri(""), self.table_stamp, f"row {number} names no image"
        if "://" in path and local_path(path) is None:
            return path, path, self.table_stamp, None
        tried: list[tuple[str, str, str, str]] = []
        stamps = self.stamps or {}
        # As written; then as Windows or a careless hand would have written it.
        for form in dict.fromkeys((path, path.strip(), path.strip().replace("\\", "/"))):
            key = self._relative(form, number)
            stamp, reject = self._look(key)
            if reject is None:
                return key, self.root.uri(key), stamp, None
            same = self.stems.get(key, [])
            if len(same) > 1:
                reject = f"several files have this name: {', '.join(map(repr, same))}"
            elif same:
                return same[0], self.root.uri(same[0]), stamps[same[0]], None
            tried.append((key, self.root.uri(key), stamp, reject))
        first = tried[0]
        same = self._ending(path.strip().replace("\\", "/")) if first[3] == "no such file" else []
        if len(same) > 1:
            some = f"{', '.join(map(repr, same[:3]))}{', ...' if len(same) > 3 else ''}"
            return *first[:3], f"several files have this name: {some}"
        return (same[0], self.root.uri(same[0]), stamps[same[0]], None) if same else first

    def _ending(self, path: str) -> list[str]:
        """Images below the base whose path ends in this one, whatever the case; without extension, if it has none."""
        wanted = "/" + posixpath.normpath(path).casefold()
        base = posixpath.relpath(self.base, _absolute(self.root.root))
        start = "" if base == "." else f"{base}/"
        forms = {p: "/" + (p if is_image(path) else posixpath.splitext(p)[0]).casefold()
                 for p in self.ends.get(posixpath.basename(wanted), ())}  # fmt: skip
        return [p for p, form in forms.items() if p.startswith(start) and form.endswith(wanted)]

    def _look(self, key: str) -> tuple[str, str | None]:
        if self.stamps is not None and key in self.stamps:
            return self.stamps[key], None
        if self.root.fs is not None and self.stamps is None:
            return self.table_stamp, None  # one request a row would take too long; the reader will tell
        return self.root.stat(key)

    def _relative(self, path: str, number: int) -> str:
        local = (local_path(path) if path.startswith("file://") else None) or path
        found = self._below(posixpath.join(self.base, local))
        if found is None:
            raise UserError(
                f"{self.table.shown}: row {number}: {path!r} points outside {self.root.shown}; give the folder that "
                "holds all images as images.path, and this table as images.labels"
            )
        return found

    def _below(self, path: str) -> str | None:
        """An absolute path as one relative to the root, or None where it leads out of it."""
        path = posixpath.normpath(path)
        for root in self.roots:
            if path.startswith(root.rstrip("/") + "/"):
                return posixpath.relpath(path, root)
        return None


def _absolute(root: str) -> str:
    """A place's root as a path that others are joined to and compared with; those of stores do not begin with /."""
    return posixpath.normpath("/" + root.lstrip("/"))
