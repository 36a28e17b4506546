"""Files that grow by a line of JSON: what is there already is not written again, and a kill costs the last line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Adds one line, in a single write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        # A line that a killed run left half written stays alone: it must not take this one with it.
        torn = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
        line = json.dumps(record, ensure_ascii=False, default=str) + "\n"
        file.write((("\n" if torn else "") + line).encode())


def lines(path: Path) -> list[dict[str, Any]]:
    """The records, in order, but for lines that are damaged; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    records = []
    for line in text.split("\n"):
        with suppress(ValueError):
            records.append(json.loads(line))
    return [record for record in records if isinstance(record, dict)]


def text(records: Sequence[Mapping[str, Any]]) -> str:
    """The file of these records."""
    return "".join(json.dumps(record, ensure_ascii=False, default=str) + "\n" for record in records)
