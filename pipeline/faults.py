"""What the disk says when it fails, as a line for the user who can mend it."""

from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa

from activation_atlas.stages.stage import UserError

DAMAGED = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What reading a damaged Parquet file raises."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def one_line(error: BaseException) -> str:
    """What an error says, for a message of one line."""
    return " ".join(str(error).split())[:200]


def unwritable(error: OSError, path: Path) -> Exception:
    """What to raise for an error of writing: a line for the user where it can be mended, else the error itself."""
    if error.errno in FULL or "No space left" in str(error):
        return UserError(
            f"no space left writing {path}: free some and run the same command again; what is finished is kept"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return UserError(f"cannot write {path} ({one_line(error)}): choose another folder with --out")
    return error


def unreadable(error: BaseException, path: Path) -> UserError:
    """What to raise where something of a run folder is there and damaged."""
    return UserError(f"{path} cannot be read ({one_line(error)}): run the same command again with --repair")
