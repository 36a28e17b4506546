"""A local path or an fsspec URL, with what listing a source needs of it."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import quote
from zipfile import BadZipFile

from activation_atlas.stages.caches import Cache
from activation_atlas.stages.specs import near_file
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import EXTENSIONS

# Filesystems within or before another one: `zip://inner::outer`.
_CHAINED = {"zip", "tar", "libarchive", "simplecache", "filecache", "blockcache", "dir"}
_DATED = ("mtime", "LastModified", "last_modified", "updated", "ETag", "etag", "modified", "created", "mode", "CRC")
_LITTER = ("__MACOSX", "@eaDir")  # what archives of macOS and network drives leave beside the images

ARCHIVES: Cache[tuple, Any] = Cache(8)
"""fsspec would open an archive, and read its index, again for every image. One that has made room is still open to who
is reading from it; Python closes it after the last of them."""


class Unreachable(UserError):
    """The protocol is known; what it leads to, an archive or a server, cannot be opened."""


@dataclass(frozen=True)
class Entry:
    """A file found by :meth:`Place.walk`: path relative to the place, and its stamp."""

    path: str
    stamp: str


@dataclass(frozen=True)
class Place:
    """Where images lie. ``fs`` is None on local disks, which are read without fsspec.

    Attributes:
        root: absolute path, or path within ``fs``; no slash at the end.
        fs: an fsspec filesystem.
        url: how the place was named.
        watched: folders on local disks that :meth:`walk` saw.
    """

    root: str
    fs: Any
    url: str
    options: dict[str, Any] = field(default_factory=dict)
    watched: set[str] = field(default_factory=set)
    _walked: list[Entry] = field(default_factory=list)

    @staticmethod
    def at(url: str, options: dict[str, Any] | None = None) -> Place:
        """The place a path or URL names; it need not exist.

        Raises:
            UserError: fsspec does not know the protocol, or lacks a package for it.
        """
        options = options or {}
        local = local_path(url)
        if local is not None:
            return Place(os.path.abspath(local), None, url, options)
        if url.startswith("demo:"):
            return Place(url, None, url, options)
        fs, path = filesystem(url, options)
        return Place(path.rstrip("/"), fs, url, options)

    @property
    def shown(self) -> str:
        """For messages: one line, whatever the name."""
        return " ".join((self.root if self.fs is None else self.url).splitlines())

    @property
    def extension(self) -> str:
        return posixpath.splitext(self.root)[1].lower()

    @property
    def name(self) -> str:
        return posixpath.basename(self.root)

    @property
    def parent(self) -> Place:
        """The folder of a file."""
        if self.fs is None:
            return Place(os.path.dirname(self.root), None, os.path.dirname(self.root), self.options)
        return Place(posixpath.dirname(self.root), self.fs, posixpath.dirname(self.url), self.options)

    def isfile(self) -> bool:
        return os.path.isfile(self.root) if self.fs is None else self._ask("isfile")

    def isdir(self) -> bool:
        return os.path.isdir(self.root) if self.fs is None else self._ask("isdir")

    def lacks(self) -> str:
        """Why no kind of source knows this place, and what to do."""
        kinds = "a folder of images, a CSV or Parquet of paths, or a Parquet of {bytes, path} images"
        if self.isdir():
            return f"holds no images: give {kinds}"
        if not self.isfile():
            near = self._nearby()
            return "does not exist" + (f"; beside it there is {near}" if near else "")
        if self.extension == ".zip":
            return f"is an archive: unpack it, or give zip://::{self.root}"
        return f"is not {kinds}"

    def uri(self, relative: str) -> str:
        """What :func:`~stages.sources.reading.read_images` opens for a path below the root ("" for the root itself)."""
        if self.fs is None:
            return os.path.join(self.root, relative) if relative else self.root
        protocol = self.url.split("://")[0]
        if protocol in _CHAINED:
            inner = posixpath.join(self.root, relative).lstrip("/") if relative else self.root
            return f"{protocol}://{inner}::{self.url.split('::', 1)[1]}"
        if protocol in ("http", "https"):  # a name's # and ? are not the URL's
            return f"{self.root}/{quote(relative)}" if relative else self.root
        return self.fs.unstrip_protocol(posixpath.join(self.root, relative) if relative else self.root)

    def stat(self, relative: str = "") -> tuple[str, str | None]:
        """(stamp, None), or ("", why the file cannot be used)."""
        try:
            if self.fs is None:
                found = os.stat(os.path.join(self.root, relative) if relative else self.root)
                if not stat.S_ISREG(found.st_mode):
                    return "", "is a folder" if stat.S_ISDIR(found.st_mode) else "is not a regular file"
                return f"{found.st_size}-{found.st_mtime_ns}", None
            return _stamp(self.fs.info(posixpath.join(self.root, relative) if relative else self.root)), None
        except (FileNotFoundError, NotADirectoryError):
            return "", "no such file"
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            return "", f"cannot be read: {getattr(error, 'strerror', None) or error}"

    def open(self, relative: str = "") -> BinaryIO:
        if self.fs is None:
            return open(os.path.join(self.root, relative) if relative else self.root, "rb")
        return self.fs.open(posixpath.join(self.root, relative) if relative else self.root, "rb")

    def openable(self, relative: str = "") -> str | BinaryIO:
        """What pyarrow opens: a path where it can, since it reads those itself."""
        if self.fs is None:
            return os.path.join(self.root, relative) if relative else self.root
        return self.open(relative)

    def walk(self) -> list[Entry]:
        """Every file below, hidden ones left out, sorted by relative path; links to folders are followed.

        Raises:
            UserError: a folder cannot be listed.
        """
        if not self._walked:
            found = self._walk_local("", frozenset()) if self.fs is None else self._walk_remote()
            self._walked.extend(sorted(found, key=lambda entry: entry.path))
        return self._walked

    def _walk_remote(self) -> Iterator[Entry]:
        for path, info in self._ask("find", detail=True).items():
            relative = path.removeprefix(self.root).lstrip("/")
            if info.get("type", "file") == "file" and not any(map(_hidden, relative.split("/"))):
                yield Entry(relative, _stamp(info))

    def _walk_local(self, relative: str, above: frozenset[str]) -> Iterator[Entry]:
        folder = os.path.join(self.root, relative)
        real = os.path.realpath(folder)
        if real in above:  # a link back to a folder we are in
            return
        self.watched.add(folder.rstrip("/") or "/")
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise UserError(f"{folder} cannot be listed: {error.strerror}; allow it, or move it elsewhere") from None
        for entry in entries:
            path = f"{relative}{entry.name}"
            if _hidden(entry.name):
                continue
            try:
                if entry.is_dir():
                    yield from self._walk_local(f"{path}/", above | {real})
                elif entry.is_file():
                    found = entry.stat()
                    yield Entry(path, f"{found.st_size}-{found.st_mtime_ns}")
                elif entry.is_symlink():
                    yield Entry(path, "broken link")
            except OSError:  # links that go in circles
                yield Entry(path, "broken link")

    def _ask(self, what: str, **options: Any) -> Any:
        try:
            return getattr(self.fs, what)(self.root, **options)
        except Exception as error:  # every filesystem fails in its own way
            raise UserError(f"{self.url} cannot be read: {one_line(error)}") from None

    def _nearby(self) -> str:
        if self.fs is not None or not os.path.isdir(os.path.dirname(self.root)):
            return ""
        return near_file(self.name, os.listdir(os.path.dirname(self.root)))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _LITTER


def is_image(path: str) -> bool:
    """Whether a file's name ends as an image's does."""
    name = path.rsplit("/", 1)[-1].lower()
    return "." in name and f".{name.rsplit('.', 1)[-1]}" in EXTENSIONS


def local_path(url: str) -> str | None:
    """The path on this machine's disks that ``url`` is, or None."""
    if url.startswith("file://"):
        return url.removeprefix("file://")
    return None if "://" in url or url.startswith("demo:") else os.path.expanduser(url)


def filesystem(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    """(fsspec filesystem, path in it) of a URL.

    Raises:
        UserError: fsspec does not know the protocol, or lacks a package for it.
    """
    import fsspec

    protocol, _, path = url.partition("://")
    try:
        if protocol not in _CHAINED:
            # Not `url_to_fs`: a name may contain "::".
            fs = fsspec.filesystem(protocol, **options)
            return fs, fs._strip_protocol(url)
        inner, _, outer = path.partition("::")
        local = local_path(outer)
        found = os.stat(local) if local is not None else None
        key = (protocol, outer, repr(options), found and (found.st_size, found.st_mtime_ns))
        return ARCHIVES.get(key, lambda: fsspec.core.url_to_fs(f"{protocol}://::{outer}", **options)[0]), inner
    except (OSError, BadZipFile) as error:
        raise Unreachable(f"{url} cannot be opened: {one_line(error)}") from None
    except (ImportError, ValueError) as error:
        raise UserError(f"{url} cannot be opened: {one_line(error)}") from None


def storable(name: str) -> str:
    """A name as tables can hold it: one that is not UTF-8 has its odd bytes written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unstorable(name: str) -> str | None:
    """Why an image of this name is rejected, or None."""
    return None if storable(name) == name else "the file's name is not UTF-8: rename it"


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _stamp(info: dict[str, Any]) -> str:
    return "-".join(str(info[k]) for k in ("size", *_DATED) if info.get(k) is not None)
