"""``history.jsonl``: a line for each run of a folder, however it ended. What is told of a run goes out from here."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from activation_atlas import __version__
from activation_atlas.pipeline import exits
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.digest import canonical
from activation_atlas.pipeline.findings import findings, measured, worse
from activation_atlas.pipeline.lock import one_line
from activation_atlas.pipeline.plan import Step
from activation_atlas.pipeline.record import about, now
from activation_atlas.pipeline.store import LOG, Store
from activation_atlas.stages.stage import UserError

if TYPE_CHECKING:
    from activation_atlas.pipeline.runner import Outcome

NAME = "history.jsonl"
RUNNING = "running.json"
"""What is known of a run while it runs. Where it is found by the next one, the run was killed."""
Line = dict[str, Any]


class Entry:
    """The line of one run. Made when the run begins, under the folder's lock."""

    def __init__(self, store: Store, config: Config, asked: Mapping[str, Any]):
        """``asked``: what else was asked of the run; it stands in the line."""
        self._store, self._config = store, config
        self._began = time.monotonic()
        killed = store.read_json(RUNNING)
        if killed is not None and not _entered(store, killed):
            began = str(killed.get("started", ""))
            times = (str(event["time"]) for event in reversed(store.lines(LOG)) if "time" in event)
            last = next((time for time in times if time >= began), None)  # null of one that had logged nothing yet
            store.append(NAME, {**killed, "ended": last, "outcome": "killed", "status": None})
        self._head: Line = {
            "name": config.run.name,
            "started": now(),
            "version": __version__,
            "config": hashlib.sha256(canonical(about(config)["config"])).hexdigest()[:16],
            **{key: value for key, value in asked.items() if value},
        }
        store.write_json(RUNNING, self._head)

    def finished(self, done: Outcome, steps: Sequence[Step], strict: bool, fail_on: str | None) -> Line:
        """A run that came to its end."""
        tables = {table for step in steps for table in step.stage.writes(step.params)}
        found = findings(self._store, tables)
        verified = fail_on is not None and any(one["key"].startswith("cues of ") for one in found)
        status = exits.ending(
            rejects=done.rejected > self._config.extract.max_rejects * done.images,
            found=verified,
            doubted=strict and bool(done.doubts),
        )
        measures = measured(self._store, tables)
        line = {
            **self._line(done, "finished", status),
            "images": done.images,
            "rejected": done.rejected,
            "measures": measures,
            "findings": found,
        }
        before = last_finished(history(self._store))
        line["worse"] = [] if before is None else worse(before, line)
        return self._end(line)

    def stopped(self, error: BaseException, done: Outcome) -> Line:
        """A run that did not: by an error, or because it was asked to stop."""
        outcome, status = "failed", exits.FAULT
        if isinstance(error, UserError):
            outcome, status = "refused", exits.REFUSED
        elif isinstance(error, KeyboardInterrupt):
            outcome, status = "stopped", exits.INTERRUPTED
        kind = "" if outcome == "refused" else f"{type(error).__name__}: "
        return self._end({**self._line(done, outcome, status), "error": f"{kind}{one_line(error)}".rstrip(": ")})

    def _line(self, done: Outcome, outcome: str, status: int) -> Line:
        return {
            **self._head,
            "ended": now(),
            "seconds": round(time.monotonic() - self._began, 3),
            "outcome": outcome,
            "status": status,
            "work": done.ran,
            "stages": done.stages,
            "warnings": done.warnings,
            "peak_mib": round(done.peak_mib),
        }

    def _end(self, line: Line) -> Line:
        self._store.append(NAME, line)
        self._store.remove(RUNNING)
        return line


def _entered(store: Store, killed: Line) -> bool:
    """Whether the run wrote its line and was killed after that."""
    *_, last = history(store) or [{}]
    return all(last.get(key) == value for key, value in killed.items())


def history(store: Store) -> list[Line]:
    """The lines, oldest first."""
    return store.lines(NAME)


def last_finished(lines: Sequence[Line]) -> Line | None:
    """The last run that came to its end; one ``until`` a stage has not seen all that a whole one finds."""
    return next((line for line in reversed(lines) if line.get("outcome") == "finished" and "until" not in line), None)
