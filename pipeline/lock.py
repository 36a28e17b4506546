"""The lock of a run folder: one process works in it at a time."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from activation_atlas.pipeline.faults import one_line
from activation_atlas.stages.stage import UserError

LOCK = "run.lock"
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
log = logging.getLogger(__name__)


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Holds the run folder for this process.

    The operating system drops the lock when its holder dies, however it dies,
    so a killed run can be resumed at once. Where the file system keeps no
    locks, as some network drives, that is said and the run goes on.

    Raises:
        UserError: another process holds it, or the folder is somebody else's.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {root} ({one_line(error)}): choose another folder with --out") from None
    path = root / LOCK
    if not path.exists() and not (root / "run.json").exists() and any(root.iterdir()):
        raise UserError(f"{root} is not empty and not a run folder: choose another with --out")
    try:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - held until the end of the run
    except OSError as error:
        raise UserError(f"cannot write {path} ({one_line(error)}): choose another folder with --out") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD:
                log.warning(
                    "%s: its file system keeps no locks (%s); see that no other run works in it", root, one_line(error)
                )
            else:
                file.seek(0)
                raise UserError(f"{root} is in use by {_holder(file.read().strip())}") from None
        with suppress(OSError):  # a full disk: the lock holds without a name
            file.truncate(0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def _holder(said: str) -> str:
    """Who holds a lock, of what its file says, and what to do."""
    found = re.fullmatch(r"process (\d+) on (.*)", said)
    if found and found[2] == socket.gethostname() and not _alive(int(found[1])):
        return (
            f"{said}, which has ended: what it began still runs, or the lock is on a network drive, which forgets it "
            "in a minute or two; end that, or wait"
        )
    return f"{said or 'another process'}: wait for it to end, or choose another folder with --out"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
