"""Whether an image is lost, or the place it lies in: a folder that was unmounted, a server that went away."""

from __future__ import annotations

import errno
import os
import posixpath
from typing import Any

from activation_atlas.stages.sources.places import one_line
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.transient import transient

LOST = {getattr(errno, n) for n in ("ENOENT", "ENOTDIR", "ESTALE", "EIO", "ENXIO", "ENODEV", "ENOTCONN", "ETIMEDOUT")}
"""What reading a file says that went together with its disk."""


def gone(place: str, why: str) -> UserError:
    """What to raise where images cannot be read because the place they were listed in is not there any more."""
    return UserError(
        f"images: {place} was listed and cannot be read any more ({why}): mount it again, or see that it can be "
        "reached, and run the same command again; what is finished is kept"
    )


def check_folder(path: str) -> None:
    """Raises UserError where a file went together with the folder it lay in: an unmounted one is empty."""
    try:
        with os.scandir(os.path.dirname(path)) as entries:
            if next(entries, None) is not None:
                return
        why = "it is empty now"
    except PermissionError:
        return
    except OSError as error:
        why = error.strerror or one_line(error)
    raise gone(os.path.dirname(path), why)


def check_server(fs: Any, paths: dict[str, str], errors: dict[str, Any]) -> None:
    """Raises UserError where all of several files failed because no server answers, or went with their folder."""
    if len(paths) < 2 or len(errors) < len(paths):
        return
    uri, error = next(iter(errors.items()))
    if all(map(transient, errors.values())):
        raise gone(uri, one_line(error))
    # A web server has no folders, and links to it die one by one.
    listable = not {"http", "https"} & set(fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))
    if listable and all(isinstance(error, FileNotFoundError) for error in errors.values()):
        if not any(map(fs.exists, {posixpath.dirname(path) for path in paths.values()})):
            raise gone(posixpath.dirname(uri), "it is not there")
