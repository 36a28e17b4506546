"""Where a command writes its files, and what these are called."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from activation_atlas.stages.stage import UserError


def check_folder(out: Path) -> None:
    """Refuses what is no folder and cannot become one, before anything is computed."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder")
    above = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not above.is_dir():
        raise UserError(f"--out {out}: {above} is a file; give a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"--out {out}: {above} cannot be written to; give another folder")


def file_stems(names: Sequence[str]) -> list[str]:
    """A file name for each image: its own without the ending, numbered where several are called alike."""
    stems: list[str] = []
    for own in names:
        stem = as_file_name(own.rsplit(".", 1)[0])
        number, name = 1, stem
        while name.lower() in {f.lower() for f in stems}:
            number += 1
            name = f"{stem}-{number}"
        stems.append(name)
    return stems


def as_file_name(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._")[:80] or "image"
