"""The seal of a Parquet file: the SHA-256 of its bytes, before its footer, where readers look for nothing.

Readers come from the end of a file to its footer, and from there to the pages by their offsets; what lies between the
last page and the footer is never read. So a sealed file is a Parquet file as any other, and every one of its bytes is
covered: those of the footer, too, which the checksums of its pages leave out.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

MARK = b"atlas.sealed"
"""Before the digest; and as a key in the footer, so that a file whose mark is damaged is not taken for one without."""
_LENGTH = len(MARK) + hashlib.sha256().digest_size
_END = 8  # the footer's length, 4 bytes little-endian, and PAR1
_PIECE = 1 << 20


def seal(path: Path) -> None:
    """Seals a Parquet file that was just written."""
    with open(path, "rb+") as file:
        footer = _footer(file)
        digest = _digest(file, footer, footer)
        file.seek(footer)
        rest = file.read()
        file.seek(footer)
        file.write(MARK + digest + rest)


def whole(path: Path) -> bool | None:
    """Whether a file's bytes are those that were sealed; None where no seal is seen.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        footer = _footer(file)
        at = footer - _LENGTH
        if at < 0:
            return None
        file.seek(at)
        if file.read(len(MARK)) != MARK:
            return None
        return file.read(_LENGTH - len(MARK)) == _digest(file, at, footer)


def _footer(file: BinaryIO) -> int:
    """Where the footer begins; negative where that cannot be."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END))
    return size - _END - int.from_bytes(file.read(4), "little")


def _digest(file: BinaryIO, stop: int, again: int) -> bytes:
    """Of what lies before ``stop``, and from ``again`` on."""
    total = hashlib.sha256()
    file.seek(0)
    while stop > 0 and (piece := file.read(min(_PIECE, stop))):
        total.update(piece)
        stop -= len(piece)
    file.seek(again)
    while piece := file.read(_PIECE):
        total.update(piece)
    return total.digest()
