"""Runs the command again and again, in children of one warm process, each killed at one of its writes.

What a kill leaves on the disk hangs on no clock: it falls before a file is renamed or a line added, into it, or after.

    python -m tests.killed KILLS MOST WORD...   # words of the command; says how many fell, then runs to the end
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

from activation_atlas.pipeline import cli, journal

BEFORE, INTO, AFTER = range(3)


def arm(at: int, when: int) -> None:
    """Kills this process at its write number ``at``, counted from 1."""
    replace, append, left = os.replace, journal.append, at

    def reached() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def replacing(source: Path, target: Path) -> None:
        here = reached()
        if here and when != AFTER:
            if when == INTO:
                os.truncate(source, os.path.getsize(source) // 2)
            die()
        replace(source, target)
        if here:
            die()

    def appending(path: Path, record: dict) -> None:
        here = reached()
        if here and when == BEFORE:
            die()
        append(path, record)
        if here:
            if when == INTO:
                os.truncate(path, os.path.getsize(path) - 9)
            die()

    os.replace, journal.append = replacing, appending


def child(words: list[str], at: int = 0, when: int = AFTER) -> int:
    """Exit status of the command, negative where it was killed."""
    process = os.fork()
    if not process:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        arm(at, when)
        sys.argv = ["activation-atlas", *words]
        try:
            cli.main()
        except SystemExit as left:
            os._exit(left.code or 0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main() -> None:
    import tensorflow  # noqa: F401 - the children find it there; nothing of it runs here

    kills, most, *words = sys.argv[1:]
    chance = random.Random(0)
    fell = 0
    while fell < int(kills) and child(words, chance.randint(1, int(most)), chance.choice((BEFORE, INTO, AFTER))) < 0:
        fell += 1
    print(fell, flush=True)
    sys.exit(child(words))


if __name__ == "__main__":
    main()
