"""What a process does that is asked to stop: what is under way may answer that by an error of its own."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from activation_atlas.pipeline import exits

GO_ON = "interrupted: run the same command again to go on"


def heed() -> list[int]:
    """From now on SIGINT and SIGTERM raise KeyboardInterrupt, and are noted in what is returned."""
    noted: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return noted


def interrupted() -> NoReturn:
    """Ends the command; nothing that was finished is lost."""
    print(GO_ON, file=sys.stderr)
    sys.exit(exits.INTERRUPTED)
