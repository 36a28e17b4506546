"""What a run tells while it runs: bars on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


class Progress(AbstractContextManager):
    """Says nothing: the base, and ``--quiet``."""

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None: ...

    def advance(self, step: str) -> None: ...

    def end(self, step: str, seconds: float, rows: int) -> None: ...

    def say(self, message: str, level: str = "info") -> None:
        if level == "warning":
            print(f"warning: {message}", file=sys.stderr)

    def __exit__(self, *_: Any) -> None: ...


class Plain(Progress):
    """One line per step, on standard error."""

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None:
        self.say(f"{step}: {todo} of {shards} to do ({reason})")

    def end(self, step: str, seconds: float, rows: int) -> None:
        self.say(f"{step}: done in {seconds:.1f} s" + (f", {rows:,} rows" if rows else ""))

    def say(self, message: str, level: str = "info") -> None:
        print(message if level == "info" else f"{level}: {message}", file=sys.stderr, flush=True)


class JsonLines(Progress):
    """One JSON object per event, on standard error."""

    def _event(self, **event: Any) -> None:
        print(json.dumps(event, ensure_ascii=False), file=sys.stderr, flush=True)

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None:
        self._event(event="begin", step=step, todo=todo, shards=shards, reason=reason)

    def advance(self, step: str) -> None:
        self._event(event="shard", step=step)

    def end(self, step: str, seconds: float, rows: int) -> None:
        self._event(event="end", step=step, seconds=round(seconds, 3), rows=rows)

    def say(self, message: str, level: str = "info") -> None:
        self._event(event="message", level=level, message=message)


class Bars(Progress):
    """A bar per step, on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bars.stop()

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None:
        self._tasks[step] = self._bars.add_task(step, total=todo)

    def advance(self, step: str) -> None:
        self._bars.advance(self._tasks[step])

    def say(self, message: str, level: str = "info") -> None:
        from rich.text import Text

        # Not markup: names of files may hold brackets.
        said = Text(message) if level == "info" else Text.assemble((f"{level}:", "yellow"), " ", message)
        self._bars.console.print(said, highlight=False)


class _Logged(logging.Handler):
    def __init__(self, told: Progress):
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.say(" ".join(record.getMessage().split()), "warning")


@contextmanager
def logged(told: Progress) -> Iterator[None]:
    """Tells what the stages log in this process in the same way as everything else."""
    logger, handler = logging.getLogger("stages"), _Logged(told)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


def progress(log_format: str, quiet: bool) -> Progress:
    """The way of telling that fits."""
    if quiet:
        return Progress()
    kinds: dict[str, Callable[[], Progress]] = {"json": JsonLines, "text": Bars if sys.stderr.isatty() else Plain}
    return kinds[log_format]()
