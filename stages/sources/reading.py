"""The bytes of images, in the order asked for."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from activation_atlas.stages.caches import Cache
from activation_atlas.stages.sources.demo import PREFIX, draw
from activation_atlas.stages.sources.lost import LOST, check_folder, check_server, gone
from activation_atlas.stages.sources.parquet import image_column
from activation_atlas.stages.sources.places import Place, Unreachable, filesystem, local_path, one_line
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.transient import patiently, transient, tries
from activation_atlas.stages.vision.images import ImageError

_ROW = re.compile(r"(.*\.(?:parquet|pq))#(\d+)(?:@(.*))?", re.DOTALL | re.IGNORECASE)
_TOGETHER = 32  # requests to a remote store at a time
_WHOLE = 64 << 20  # row groups up to this many bytes are kept whole


def read_images(uris: Iterable[str], storage_options: dict[str, Any] | None = None) -> Iterator[bytes | ImageError]:
    """The bytes of each image, or the ImageError that says why there are none, one after another.

    Rows of a Parquet file are gathered a row group at a time, so that any order
    of ``uris`` reads each group once; remote files are fetched 32 at a time.
    Several threads may each run their own.

    Args:
        uris: as in a source's listing.
        storage_options: for fsspec.

    Raises:
        UserError: not an image is lost but the place it lies in: its folder, its Parquet file or archive, or the
            server. What was listed a moment ago would become rejects by the thousand.
    """
    uris, options = list(uris), storage_options or {}
    rows = _Rows(uris, options)
    for start in range(0, len(uris), _TOGETHER):
        batch = uris[start : start + _TOGETHER]
        fetched = _fetch(
            [u for u in batch if local_path(u) is None and not u.startswith(PREFIX) and u not in rows], options
        )
        for uri in batch:
            try:
                if uri in rows:
                    yield rows.take(uri)
                elif uri in fetched:
                    yield fetched[uri]
                elif uri.startswith(PREFIX):
                    yield draw(uri)
                elif (path := local_path(uri)) is not None:
                    yield _local(path)
            except ImageError as error:
                yield error


def read_image(uri: str, storage_options: dict[str, Any] | None = None) -> bytes:
    """The bytes of one image.

    Raises:
        ImageError: it cannot be read.
    """
    found = next(read_images([uri], storage_options))
    if isinstance(found, ImageError):
        raise found
    return found


def _local(path: str) -> bytes:
    try:
        return patiently(Path(path).read_bytes)
    except (OSError, ValueError, MemoryError) as error:
        if getattr(error, "errno", None) in LOST:
            check_folder(path)
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise ImageError("no such file") from None
        raise ImageError(f"cannot be read: {getattr(error, 'strerror', None) or one_line(error)}") from None


def _fetch(uris: list[str], options: dict[str, Any]) -> dict[str, bytes | ImageError]:
    """Remote files, together; what fails by something that may pass is tried again."""
    found: dict[str, bytes | ImageError] = {}
    groups: dict[int, tuple[Any, dict[str, str]]] = {}
    for uri in uris:
        try:
            fs, path = filesystem(uri, options)
            groups.setdefault(id(fs), (fs, {}))[1][uri] = path
        except Unreachable as error:
            raise gone(uri, str(error)) from None
        except UserError as error:
            found[uri] = ImageError(str(error))
    for fs, paths in groups.values():
        todo, errors = dict(paths), dict[str, Any]()
        for last in tries():
            for uri, value in zip(list(todo), _cat(fs, list(todo.values())), strict=True):
                if last or isinstance(value, bytes) or not transient(value):
                    found[uri] = value if isinstance(value, bytes) else _remote(value)
                    errors |= {} if isinstance(value, bytes) else {uri: value}
                    del todo[uri]
            if not todo:
                break
        check_server(fs, paths, errors)
    return found


def _cat(fs: Any, paths: list[str]) -> list[bytes | Exception]:
    # Not `fs.cat`: it takes [ and * in a name for a pattern.
    if fs.async_impl:
        return fs.cat_ranges(paths, None, None, on_error="return")
    found: list[bytes | Exception] = []
    for path in paths:
        try:
            found.append(fs.cat_file(path))
        except Exception as error:  # every filesystem fails in its own way
            found.append(error)
    return found


def _remote(error: Any) -> ImageError:
    missing = isinstance(error, FileNotFoundError)
    return ImageError("no such file" if missing else f"cannot be read: {one_line(error)}")


class _Rows:
    """The rows of Parquet files among ``uris``, taken a row group at a time."""

    def __init__(self, uris: list[str], options: dict[str, Any]):
        self.options = options
        self.where: dict[str, tuple[tuple[str, str | None], int]] = {}
        self.wanted: dict[tuple[str, str | None], set[int]] = defaultdict(set)
        for uri in uris:
            found = _ROW.fullmatch(uri)
            if found:
                name, row, column = found.groups()
                self.where[uri] = (name, column), int(row)
                self.wanted[name, column].add(int(row))
        self.files: dict[tuple[str, str | None], _File | ImageError] = {}
        self.taken: dict[tuple, bytes | ImageError] = {}

    def __contains__(self, uri: str) -> bool:
        return uri in self.where

    def take(self, uri: str) -> bytes:
        name, row = self.where[uri]
        if name not in self.files:
            try:
                self.files[name] = patiently(_File, *name, self.options)
            except (pa.ArrowException, OSError) as error:
                raise gone(name[0], one_line(error)) from None
            except UserError as error:
                self.files[name] = ImageError(f"{name[0]} cannot be read: {one_line(error)}")
        file = self.files[name]
        if isinstance(file, ImageError):
            raise file
        if (name, row) not in self.taken:
            self.taken.update({(name, r): found for r, found in file.rows(row, self.wanted[name]).items()})
        found = self.taken[name, row]
        if isinstance(found, ImageError):
            raise found
        return found


_ROW_GROUPS: Cache[tuple, pa.Array] = Cache(256 << 20, weigh=lambda array: array.nbytes)
"""For the next call; in bytes."""


class _File:
    """One Parquet file of images."""

    def __init__(self, name: str, column: str | None, options: dict[str, Any]):
        self.options = options
        self.place = Place.at(name, options)
        self.stamp = self.place.stat()[0]
        self.parquet = pq.ParquetFile(self.place.openable())
        self.column = image_column(self.parquet.schema_arrow, column)
        if self.column is None:
            raise UserError("no column of image bytes")
        metadata = self.parquet.metadata
        self.starts = [0]
        for group in range(metadata.num_row_groups):
            self.starts.append(self.starts[-1] + metadata.row_group(group).num_rows)

    def rows(self, row: int, wanted: set[int]) -> dict[int, bytes | ImageError]:
        """All wanted rows of the row group that ``row`` lies in."""
        if row >= self.starts[-1]:
            return {row: ImageError(f"no row {row}: the file has {self.starts[-1]}")}
        group = max(g for g, start in enumerate(self.starts[:-1]) if start <= row)
        start, stop = self.starts[group], self.starts[group + 1]
        inside = sorted(r - start for r in wanted if start <= r < stop)
        try:
            return {start + r: self._bytes(value) for r, value in self._values(group, inside)}
        except (pa.ArrowException, OSError) as error:
            if self.place.fs is None and not os.path.isfile(self.place.root):
                raise gone(self.place.root, one_line(error)) from None
            return {start + r: ImageError(f"the row group cannot be read: {one_line(error)}") for r in inside}

    def _values(self, group: int, inside: list[int]) -> Iterator[tuple[int, pa.Scalar]]:
        size = self.parquet.metadata.row_group(group).total_byte_size
        if size <= _WHOLE:
            array = self._whole(group)
            yield from ((r, array[r]) for r in inside)
            return
        done, wanted = 0, set(inside)
        for batch in self.parquet.iter_batches(64, row_groups=[group], columns=[self.column]):
            yield from ((r, batch.column(0)[r - done]) for r in range(done, done + len(batch)) if r in wanted)
            done += len(batch)
            if done > inside[-1]:
                return

    def _whole(self, group: int) -> pa.Array:
        key = (self.place.url, self.column, self.stamp, group)
        return _ROW_GROUPS.get(
            key, lambda: self.parquet.read_row_group(group, columns=[self.column]).column(0).combine_chunks()
        )

    def _bytes(self, value: pa.Scalar) -> bytes | ImageError:
        if not isinstance(value, pa.StructScalar):
            found, path = value.as_py(), None
        elif not value.is_valid:
            found, path = None, None
        else:
            found, path = value["bytes"].as_py(), value["path"].as_py() if "path" in value else None
        if found is not None:
            return found
        if not path:
            return ImageError("the row holds no image")
        relative = os.path.normpath(path)
        if os.path.isabs(relative) or relative.startswith(".."):
            return ImageError(f"the row holds no bytes, and its path leads out of the folder: {path!r}")
        try:
            return read_image(self.place.parent.uri(relative), self.options)
        except (ImageError, UserError) as error:  # whether it is there was never looked at
            why = error.reason if isinstance(error, ImageError) else "no such file"
            return ImageError(f"the row holds no bytes, and its path {path!r}: {why}")
