"""Images as somebody names them, without a data set: files, folders and globs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import EXTENSIONS


def files(images: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Files, folders (all images below, by name) and globs as a list without repetitions.

    Raises:
        UserError: a folder without images, a glob that matches none, what is no path.
    """
    uris: list[str] = []
    for image in images:
        if not isinstance(image, (str, os.PathLike)):
            raise UserError(f"an image of type {type(image).__name__}; give files, folders or globs")
        given = os.fspath(image)
        if not given.strip():
            raise UserError("an image without a name; give files, folders or globs")
        path = Path(given)
        if path.is_dir():
            own = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.name[0] != ".")
            if not own:
                raise UserError(f"{given}: no image in this folder")
        elif has_magic(given) and "://" not in given and not path.exists():
            own = sorted(p for p in glob(given, recursive=True) if Path(p).is_file())
            if not own:
                raise UserError(f"{given}: no file is called like this")
        else:
            own = [given]
        uris += own
    first: dict[str, str] = {}
    for uri in uris:
        first.setdefault(spelled(uri), uri)
    return list(first.values())


def spelled(uri: str) -> str:
    """One spelling of a path, so that ``dog.jpg`` and ``./dog.jpg`` draw the same."""
    return uri if ":" in uri else Path(os.path.normpath(uri)).as_posix()
