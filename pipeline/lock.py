"""The lock of a run folder: one process works in it at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from activation_atlas.pipeline.faults import one_line
from activation_atlas.stages.stage import UserError

LOCK = "run.lock"


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Holds the run folder for this process.

    The operating system drops the lock when its holder dies, however it dies,
    so a killed run can be resumed at once.

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
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{root} is in use by {holder}: wait for it to end, or choose another folder with --out"
            ) from None
        with suppress(OSError):  # a full disk: the lock holds without a name
            file.truncate(0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
