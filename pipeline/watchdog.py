"""Shards that hang: ended with the process they are in, tried once more, and named."""

from __future__ import annotations

import faulthandler
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from activation_atlas.pipeline.plan import Work
from activation_atlas.pipeline.worker import Done, work
from activation_atlas.stages.stage import UserError

HUNG = "cache/hung"
"""Where each thread of a worker was that was ended: a file for each try of a shard."""
DEATHS = 10
"""Workers that a task may cost where shards are watched: two of its own, and those of others that it waited for."""


def working(todo: list[Work], seconds: float | None) -> Callable[[Work], Done]:
    """What does pieces of work of one kind: shards in so many seconds each, a fit in what it takes."""
    if seconds is None or todo[0].shard is None:
        return work
    for task in todo:
        for report in _reports(task):
            report.unlink(missing_ok=True)
    return partial(watched, seconds)


def watched(seconds: float, task: Work, do: Callable[[Work], Any] = work) -> Any:
    """Does one piece of work, and ends its process where that takes longer.

    The timer is C and needs no interpreter: what hangs may hold its lock.

    Raises:
        UserError: it took longer twice.
    """
    first, second = _reports(task)
    if _hung(second):
        name = f"{task.stage}/{task.label}" if task.label else task.stage
        raise UserError(
            f"shard {task.shard.index if task.shard else 'fit'} of {name} took longer than run.shard_timeout, "
            f"{seconds:g} s, twice: {second} says where it was; give it longer, or mend that, and run the same command "
            "again; what is finished is kept"
        )
    report = second if _hung(first) else first
    report.parent.mkdir(parents=True, exist_ok=True)
    with open(report, "w", encoding="utf-8") as file:
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)
        try:
            return do(task)
        finally:
            faulthandler.cancel_dump_traceback_later()
            for path in (first, second):
                path.unlink(missing_ok=True)


def _hung(report: Path) -> bool:
    return report.exists() and report.stat().st_size > 0


def _reports(task: Work) -> tuple[Path, Path]:
    shard = task.shard.index if task.shard else "fit"
    stem = "-".join([task.stage, *([task.label.replace("/", "-")] if task.label else []), str(shard)])
    folder = Path(task.root) / HUNG
    return folder / f"{stem}.txt", folder / f"{stem}-again.txt"
