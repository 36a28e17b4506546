"""THE run folder: table parts, state, files, caches, and the lock.

A part file is the checkpoint. It is written under a temporary name, flushed to
the disk and renamed, so that existing means complete; what it was made from
stands in its Parquet footer. Nothing else in the project opens a run folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from activation_atlas.pipeline import archive, journal
from activation_atlas.pipeline.digest import bare, canonical, content_digest
from activation_atlas.pipeline.faults import DAMAGED, one_line, unreadable, unwritable
from activation_atlas.pipeline.lock import hold
from activation_atlas.pipeline.seal import MARK, seal
from activation_atlas.stages.stage import State, UserError
from activation_atlas.stages.transient import patiently

FINGERPRINT = b"atlas.fingerprint"
CONTENT = b"atlas.content"
MARKS = b"atlas.images"
TEMPORARY = ".tmp-"
LOG = "log.jsonl"


class Store:
    """A run folder at ``root``."""

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)
        self._contents: dict[Path, tuple[tuple[int, ...], str | None]] = {}

    # -- parts ---------------------------------------------------------------

    def part_path(self, table: str, index: int) -> Path:
        return self.root / table / f"part-{index:05d}.parquet"

    def parts(self, table: str) -> int:
        """Number of consecutive parts from 0."""
        count = 0
        while self.part_path(table, count).exists():
            count += 1
        return count

    def read(self, table: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        path = self.part_path(table, index)
        try:
            columns = None if columns is None else list(columns)
            return pq.read_table(path, columns=columns, partitioning=None, page_checksum_verification=True)
        except FileNotFoundError:
            raise UserError(f"{path} is missing: run the pipeline again to restore it") from None
        except DAMAGED as error:
            raise unreadable(error, path) from None

    def footer(self, table: str, index: int) -> tuple[dict[str, Any], str] | None:
        """(fingerprint, content digest) of a part; None where it is absent or unreadable."""
        said = self._said(table, index)
        try:
            return json.loads(said[FINGERPRINT]), said[CONTENT].decode()
        except (KeyError, ValueError):
            return None

    def marks(self, table: str, index: int) -> list[str]:
        """Marks of the images that a part is of, see :mod:`pipeline.reuse`; none where it has none."""
        return self._said(table, index).get(MARKS, b"").decode().split()

    def _said(self, table: str, index: int) -> dict[bytes, bytes]:
        try:
            return pq.read_metadata(self.part_path(table, index)).metadata or {}
        except DAMAGED:
            return {}

    def content(self, table: str, index: int) -> str | None:
        """Content digest of a part; None where it is absent or unreadable. A file that stays is opened once."""
        path = self.part_path(table, index)
        try:
            found = path.stat()
        except OSError:
            return None
        mark = found.st_ino, found.st_size, found.st_mtime_ns
        known = self._contents.get(path)
        if known is None or known[0] != mark:
            footer = self.footer(table, index)
            known = self._contents[path] = mark, footer[1] if footer else None
        return known[1]

    def rows(self, table: str) -> int:
        """Rows of all parts.

        Raises:
            UserError: a part is damaged.
        """
        return sum(self._metadata(self.part_path(table, k)).num_rows for k in range(self.parts(table)))

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns; raises UserError as :meth:`rows`."""
        return self._metadata(self.part_path(table, 0)).schema.to_arrow_schema().names

    def _metadata(self, path: Path) -> pq.FileMetaData:
        try:
            return pq.read_metadata(path)
        except DAMAGED as error:
            raise unreadable(error, path) from None

    def write(
        self, table: str, index: int, data: pa.Table, fingerprint: Mapping[str, Any], marks: Iterable[str] = ()
    ) -> int:
        """Writes one part; returns its bytes."""
        data = data.combine_chunks()
        data = pa.Table.from_arrays(data.columns, schema=pa.schema(map(bare, data.schema)))
        metadata = {FINGERPRINT: canonical(fingerprint), CONTENT: content_digest(data).encode(), MARK: b"sha256"}
        if marks := sorted(marks):
            metadata[MARKS] = " ".join(marks).encode()
        texts = [f.name for f in data.schema if pa.types.is_string(f.type)]

        def save(path: Path) -> None:
            # Dictionaries pay for text only; on vectors they cost time and are given up anyway.
            pq.write_table(
                data.replace_schema_metadata(metadata),
                path,
                compression="zstd",
                use_dictionary=texts or False,
                write_statistics=texts or False,
                store_schema=True,
                write_page_checksum=True,
            )
            seal(path)

        return self._replace(self.part_path(table, index), save)

    def trim(self, table: str, parts: int) -> None:
        """Removes parts from number ``parts`` on: a source has shrunk."""
        folder = self.root / table
        for path in sorted(folder.glob("part-*.parquet")):
            number = path.stem.removeprefix("part-")
            if number.isdecimal() and int(number) >= parts:
                path.unlink()

    def drop(self, table: str) -> None:
        """Removes a whole table's parts, and its folder where nothing else is in it."""
        self.trim(table, 0)
        folder = self.root / table
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def digest(self, table: str) -> str:
        """SHA-256 over the content digests of a table's parts, in order."""
        total = hashlib.sha256()
        for k in range(self.parts(table)):
            total.update((self.content(table, k) or "unreadable").encode())
        return total.hexdigest()

    def tables(self) -> list[str]:
        """Names of all tables present, e.g. ``activations/conv_pw_11_relu``."""
        found = {p.parent.relative_to(self.root).as_posix() for p in self.root.glob("*/part-00000.parquet")}
        found |= {p.parent.relative_to(self.root).as_posix() for p in self.root.glob("*/*/part-00000.parquet")}
        return sorted(found)

    def size(self, table: str) -> int:
        """Bytes on disk."""
        return sum(p.stat().st_size for p in (self.root / table).glob("part-*.parquet"))

    # -- state ---------------------------------------------------------------

    def state_path(self, stage: str, label: str) -> Path:
        return self.root / "state" / (f"{stage}/{label}.npz" if label else f"{stage}.npz")

    def write_state(self, stage: str, label: str, state: State, fingerprint: Mapping[str, Any]) -> int:
        return self._replace(self.state_path(stage, label), lambda path: archive.save(path, state, fingerprint))

    def state_footer(self, stage: str, label: str) -> tuple[dict[str, Any], str] | None:
        return archive.footer(self.state_path(stage, label))

    def read_state(self, stage: str, label: str) -> State:
        return archive.load(self.state_path(stage, label))

    # -- files (site, figures) and small records -------------------------------

    def write_files(self, stage: str, files: Mapping[str, bytes], fingerprint: Mapping[str, Any]) -> int:
        """Writes a stage's files, then the list of them: the list is the checkpoint."""
        total = 0
        before = self.file_list(stage)
        # Until all are written the list names both the old and the new, for no fingerprint: a page that was
        # half replaced is never taken for either, and what is left over of both is known.
        self._list_files(stage, {**dict.fromkeys(files, ""), **before}, None)
        for name, content in files.items():
            target = self.root / name
            if not target.resolve().is_relative_to(self.root.resolve()):
                raise ValueError(f"{name} lies outside the run folder")
            total += self._replace(target, lambda path, content=content: path.write_bytes(content))
        for name in set(before) - set(files):
            (self.root / name).unlink(missing_ok=True)
        self._list_files(stage, {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}, fingerprint)
        return total

    def _list_files(self, stage: str, files: Mapping[str, str], fingerprint: Mapping[str, Any] | None) -> None:
        self.write_json(f"state/{stage}.files.json", {"fingerprint": fingerprint, "files": files})

    def file_list(self, stage: str) -> dict[str, str]:
        return (self.read_json(f"state/{stage}.files.json") or {}).get("files", {})

    def forget_files(self, stage: str) -> None:
        """Makes a stage's files stale; the next ones take their place."""
        self._list_files(stage, self.file_list(stage), None)

    def files_footer(self, stage: str) -> dict[str, Any] | None:
        """Fingerprint of a stage's files, None unless every one of them is still there."""
        listing = self.read_json(f"state/{stage}.files.json")
        if not listing or not all((self.root / name).exists() for name in listing["files"]):
            return None
        return listing["fingerprint"]

    def write_json(self, name: str, value: Any) -> None:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        self._replace(self.root / name, lambda path: path.write_text(text, encoding="utf-8"))

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A record; None where it is absent, unreadable or no JSON object."""
        try:
            found = json.loads((self.root / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Adds a line to a file of :mod:`pipeline.journal`."""
        try:
            journal.append(self.root / name, record)
        except OSError as error:
            raise unwritable(error, self.root / name) from None

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of such a file; none where it is absent."""
        return journal.lines(self.root / name)

    def write_lines(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Puts these lines in the place of all."""
        self._replace(self.root / name, lambda path: path.write_text(journal.text(records), encoding="utf-8"))

    def remove(self, name: str) -> None:
        """Removes a small record, where it is there."""
        (self.root / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what a killed run left half written."""
        for path in self.root.rglob(f"{TEMPORARY}*"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(f"{path} cannot be removed ({one_line(error)}): remove it and run again") from None

    def _replace(self, path: Path, save) -> int:
        # Workers on several hosts may share a process number.
        temporary = path.with_name(f"{TEMPORARY}{uuid4().hex[:12]}-{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            patiently(save, temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            size = temporary.stat().st_size
            patiently(os.replace, temporary, path)
            return size
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise unwritable(error, path) from None

    def lock(self) -> AbstractContextManager[None]:
        """Holds the run folder for this process: see :func:`pipeline.lock.hold`."""
        return hold(self.root)
