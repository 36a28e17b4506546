"""What a run tells while it runs: bars on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any


class Progress(AbstractContextManager):
    """Says nothing: the base, and ``--quiet``."""

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None: ...

    def advance(self, step: str) -> None: ...

    def end(self, step: str, seconds: float, rows: int) -> None: ...

    def say(self, message: str, level: str = "info") -> None:
        if level == "warning":
            print(f"warning: {message}", file=sys.stderr)

    def over(self, line: Mapping[str, Any]) -> None:
        """The run has ended, as its line of the history says."""

    def __exit__(self, *_: Any) -> None: ...


EVERY = 20.0
"""Seconds after which something is said again of a step that goes on."""


def spelled(seconds: float) -> str:
    """A time as one says it: 45 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Pace:
    """How far a step is; ``left`` follows from the shards that are done, from the first one on."""

    def __init__(self, todo: int) -> None:
        self.todo, self.done = todo, 0
        self._started = time.monotonic()

    @property
    def gone(self) -> float:
        return time.monotonic() - self._started

    @property
    def left(self) -> float | None:
        """Seconds; None before the first shard is done."""
        return self.gone / self.done * (self.todo - self.done) if self.done else None


class Paced(Progress):
    """Says how far a step is whenever nothing was said of it for :data:`EVERY` seconds, shard done or not."""

    def __init__(self) -> None:
        self._step, self._pace = "", Pace(0)
        self._last = 0.0
        self._talk = threading.RLock()
        self._over = threading.Event()

    def far(self, step: str, pace: Pace) -> None:
        """Says how far ``step`` is."""

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None:
        self._over.clear()
        with self._talk:
            self._step, self._pace, self._last = step, Pace(todo), time.monotonic()
        threading.Thread(target=self._remind, args=(self._over,), daemon=True).start()

    def advance(self, step: str) -> None:
        with self._talk:
            self._pace.done += 1
            self._tell()

    def end(self, step: str, seconds: float, rows: int) -> None:
        self.__exit__()

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._over = threading.Event()

    def _remind(self, over: threading.Event) -> None:
        while not over.wait(EVERY / 10):
            with self._talk:
                if not over.is_set():
                    self._tell()

    def _tell(self) -> None:
        if time.monotonic() - self._last >= EVERY and self._pace.done < self._pace.todo:
            self._last = time.monotonic()
            self.far(self._step, self._pace)


class Plain(Paced):
    """A line where a step begins and ends, and one now and then, on standard error."""

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None:
        self.say(f"{step}: {todo} of {shards} to do ({reason})")
        super().begin(step, todo, shards, reason)

    def far(self, step: str, pace: Pace) -> None:
        left = "" if pace.left is None else f", about {spelled(pace.left)} left"
        self.say(f"{step}: {pace.done} of {pace.todo} done in {spelled(pace.gone)}{left}")

    def end(self, step: str, seconds: float, rows: int) -> None:
        super().end(step, seconds, rows)
        self.say(f"{step}: done in {seconds:.1f} s" + (f", {rows:,} rows" if rows else ""))

    def say(self, message: str, level: str = "info") -> None:
        print(message if level == "info" else f"{level}: {message}", file=sys.stderr, flush=True)


class JsonLines(Paced):
    """One JSON object per event, on standard error; of a quiet one only warnings and errors."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__()
        self._quiet = quiet

    def _event(self, **event: Any) -> None:
        if self._quiet and event.get("level", "info") == "info":
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        # One write: what another thread says must not come between the line and its end.
        print(json.dumps({"time": time, **event}, ensure_ascii=False) + "\n", end="", file=sys.stderr, flush=True)

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None:
        self._event(event="begin", step=step, todo=todo, shards=shards, reason=reason)
        super().begin(step, todo, shards, reason)

    def advance(self, step: str) -> None:
        with self._talk:
            self._pace.done += 1
            self._last = time.monotonic()
            self._far("shard", step, self._pace)

    def far(self, step: str, pace: Pace) -> None:
        self._far("progress", step, pace)

    def _far(self, event: str, step: str, pace: Pace) -> None:
        left = None if pace.left is None else round(pace.left, 1)
        self._event(event=event, step=step, done=pace.done, todo=pace.todo, seconds=round(pace.gone, 1), left=left)

    def end(self, step: str, seconds: float, rows: int) -> None:
        super().end(step, seconds, rows)
        self._event(event="end", step=step, seconds=round(seconds, 3), rows=rows)

    def say(self, message: str, level: str = "info") -> None:
        self._event(event="message", level=level, message=message)

    def over(self, line: Mapping[str, Any]) -> None:
        self._event(event="run", **line)

    def fault(self, error: BaseException) -> None:
        """What is told of a fault of ours."""
        text = "".join(traceback.format_exception(error))
        message = f"this is a fault of ours: {' '.join(f'{type(error).__name__}: {error}'.split())}"
        self._event(event="message", level="error", message=message, traceback=text)


class Bars(Progress):
    """A bar per step, on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        paces: dict[str, Pace] = {}
        self._paces = paces

        class Left(ProgressColumn):
            """Rich's own column needs two shards, and forgets those that are older than 30 s."""

            def render(self, task: Task) -> Text:
                pace = paces.get(task.description)
                left = None if pace is None or task.finished else pace.left
                return Text("" if left is None else f"{spelled(left)} left")

        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            Left(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bars.stop()

    def begin(self, step: str, todo: int, shards: int, reason: str) -> None:
        self._paces[step] = Pace(todo)
        self._tasks[step] = self._bars.add_task(step, total=todo)

    def advance(self, step: str) -> None:
        self._paces[step].done += 1
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
        if not _AT_WORK:  # what a piece of work says is told in its name, once it is done
            self._told.say(" ".join(record.getMessage().split()), "warning")


class _Gathered(logging.Handler):
    def __init__(self, tell: Callable[[str], object]):
        super().__init__(logging.WARNING)
        self._tell, self.thread = tell, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        # A thread that works for this piece of work is not known by its number; one that has its own piece is.
        if record.thread == self.thread or record.thread not in [other.thread for other in list(_AT_WORK)]:
            self._tell(" ".join(record.getMessage().split()))


_AT_WORK: list[_Gathered] = []


@contextmanager
def gathered(tell: Callable[[str], object]) -> Iterator[None]:
    """What the stages log within is told to ``tell``, line by line, and so reaches ``run.json`` from any process."""
    logger, handler = logging.getLogger("activation_atlas.stages"), _Gathered(tell)
    logger.addHandler(handler)
    logger.propagate = False
    _AT_WORK.append(handler)
    try:
        yield
    finally:
        _AT_WORK.remove(handler)
        logger.removeHandler(handler)


@contextmanager
def logged(told: Progress) -> Iterator[None]:
    """Tells what the stages log in this process in the same way as everything else."""
    logger, handler = logging.getLogger("activation_atlas.stages"), _Logged(told)
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
    if log_format == "json":
        return JsonLines(quiet)
    if quiet:
        return Progress()
    return Bars() if sys.stderr.isatty() else Plain()
