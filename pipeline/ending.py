"""What ends a command whose log is of JSON lines: one more of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from activation_atlas.pipeline import exits, interrupts
from activation_atlas.pipeline.progress import JsonLines, Progress
from activation_atlas.stages.stage import UserError


@contextmanager
def ending(told: Progress, stopped: Sequence[int] | None) -> Iterator[None]:
    """What ends the command within is an event too, where events are told; otherwise it is raised as it is.

    Args:
        stopped: signals that asked the process to stop, which what is under way may answer by an error of its own.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(told, JsonLines) or isinstance(error, BrokenPipeError):
            raise
        if isinstance(error, UserError):
            told.say(" ".join(str(error).splitlines()), "error")
            sys.exit(exits.REFUSED)
        if stopped:
            told.say(interrupts.GO_ON, "error")
            sys.exit(exits.INTERRUPTED)
        told.fault(error)
        sys.exit(exits.FAULT)
    except KeyboardInterrupt:
        if not isinstance(told, JsonLines):
            raise
        told.say(interrupts.GO_ON, "error")
        sys.exit(exits.INTERRUPTED)
