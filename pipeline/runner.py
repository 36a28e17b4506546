"""Runs the steps of a configuration in a run folder: what is missing or stale, in order, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from activation_atlas import stages
from activation_atlas.pipeline import executors, watchdog
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.cost import line
from activation_atlas.pipeline.executors import Map, executor
from activation_atlas.pipeline.foresight import foresee
from activation_atlas.pipeline.history import Entry
from activation_atlas.pipeline.inputs import StoreInputs, Unread
from activation_atlas.pipeline.outlets import tell
from activation_atlas.pipeline.plan import STAMPS, Planner, Step, StepPlan, Work, compact
from activation_atlas.pipeline.progress import Progress
from activation_atlas.pipeline.record import Record, about, counts, doubts, now
from activation_atlas.pipeline.steps import left_out, steps
from activation_atlas.pipeline.store import LOG, Store
from activation_atlas.pipeline.verifying import drop, verify
from activation_atlas.pipeline.worker import Done, peak_mib
from activation_atlas.stages.stage import UserError


@dataclass
class Outcome:
    """What a run did, and what is to be said at its end.

    Attributes:
        ran: pieces of work.
        rejected, images: of the source's images, those that are in a table of rejects.
        doubts: message and remedy of each that says that the run cannot be right.
        page: the file to open.
        stages: pieces of work that were done of each, and seconds.
        warnings: told, each once.
        peak_mib: of any of its processes.
    """

    ran: int = 0
    rejected: int = 0
    images: int = 0
    doubts: list[dict[str, str]] = field(default_factory=list)
    page: str | None = None
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    warnings: int = 0
    peak_mib: float = 0.0


class Run:
    """One run of a configuration in a folder. Use :func:`run`."""

    def __init__(self, config: Config, store: Store, told: Progress, scheduler: str, workers: int | None):
        self.config, self.store, self.told = config, store, told
        self.scheduler, self.workers = scheduler, workers
        self.planner = Planner(store)
        self.record = Record(store)
        self.outcome = Outcome()
        self.said: set[str] = set()
        self.spent: dict[str, float] = {}
        self.listed: dict[str, StepPlan] = {}

    def execute(self, until: str | None, redo: Sequence[str], repair: bool = False) -> Outcome:
        chosen = self.chosen = steps(self.config, about(self.config))
        for name in [*redo, *([until] if until else [])]:
            if name not in stages.ORDER:
                raise UserError(f"--until/--redo {name}: no such stage; there are {', '.join(stages.ORDER)}")
        order = stages.ORDER[: stages.ORDER.index(until) + 1] if until else stages.ORDER
        if late := [name for name in redo if name not in order]:
            raise UserError(f"--redo {late[0]}: comes after --until {until}; leave one of them out")
        foresee(self.config, chosen)
        if (seconds := self.config.run.shard_timeout) is not None and self.scheduler in ("sync", "threads"):
            raise UserError(
                "run.shard_timeout: what hangs is ended with its process; add --scheduler processes, or leave it out"
            )
        deaths = executors.DEATHS if seconds is None else watchdog.DEATHS
        with executor(self.scheduler, self.workers, deaths) as pooled, executor("sync") as alone:
            if repair:
                self._repair()
            if redo:
                self.planner.preview(chosen)  # what cannot run is said before anything is deleted
            for step in chosen:
                if step.stage.name in redo:
                    self._forget(step)
            groups = together([step for step in chosen if step.stage.name in order])
            self._begin(order)
            for group in groups:
                if all(_reads_nothing(step) for step in group):
                    self._look(group, pooled)
            for group in groups:
                safe = self.scheduler != "threads" or group[0].stage.threads
                self._stage(group, pooled if safe else alone)
        self._finish([step for group in groups for step in group])
        return self.outcome

    def _repair(self) -> None:
        found = verify(self.store)
        said = [("warning", f"{damage}; it is made again") for damage in found.damages]
        self._say(said or [("info", f"files verified: {found.files}, none is damaged")])
        drop(self.store, found.damages)

    def _look(self, group: list[Step], run: Map) -> None:
        """What reads nothing comes first: a layer or a class that the model does not have is said before any image."""
        if self._fit(group, run):
            self._check(group, Unread)

    def _fit(self, group: list[Step], run: Map) -> bool:
        fits = [work for step in group if (work := self.planner.fit(step)) is not None]
        if fits:
            self._map(run, f"{group[0].stage.name} (fit)", fits, len(group), "missing or stale")
        return bool(fits)

    def _check(self, group: list[Step], inputs: type[StoreInputs] = StoreInputs) -> None:
        for step in self.chosen:
            if step.stage.check and step.stage.check[0] == group[0].stage.name:
                step.stage.check[1](inputs(self.store, step.stage.name, step.label), step.params)

    def _stage(self, group: list[Step], run: Map) -> None:
        self._fit(group, run)
        self._check(group)
        plans = [self.listed.pop(step.name) if step.name in self.listed else self.planner.plan(step) for step in group]
        todo = [w for plan in plans for w in plan.todo]
        total = sum(plan.shards or 0 for plan in plans)
        if todo:
            reason = next(p.reason for p in plans if p.reason)
            self._map(run, group[0].stage.name, todo, total, reason)
        for plan in plans:
            if not plan.step.stage.files:
                for table in plan.step.stage.writes(plan.step.params):
                    self.store.trim(table, plan.shards or 0)
            self.record.trim(plan)
        for step in group:
            if step.stage.end is not None:
                inputs = StoreInputs(self.store, step.stage.name, step.label)
                step.stage.end(inputs, step.params)
                if self.record.end(step.name, inputs.warnings):
                    self._say([("warning", message) for message in inputs.warnings])
        self.record.fold()

    def _map(self, run: Map, name: str, todo: list[Work], shards: int, reason: str) -> None:
        self.told.begin(name, len(todo), shards, reason)
        if asked := {_key(w): None for w in todo if w.stamp is not None}:
            self.store.append(STAMPS, asked)  # what is half read when a run is killed is of no known time
        started, rows = time.perf_counter(), 0
        before = self.spent.get(name, self.record.spent(name))
        did = self.outcome.stages.setdefault(name, {"work": 0, "seconds": 0.0})
        did_before = did["seconds"]
        for done in run(watchdog.working(todo, self.config.run.shard_timeout), todo):
            rows += done.rows
            self.outcome.ran += 1
            self.outcome.peak_mib = max(self.outcome.peak_mib, done.peak_mib)
            did["work"] += 1
            did["seconds"] = round(did_before + time.perf_counter() - started, 3)
            if done.work.stamp is not None:
                self.store.append(STAMPS, {_key(done.work): done.work.stamp})
            self._log(done)
            seconds = before + time.perf_counter() - started
            self.record.add(done.work, name, seconds, done.peak_mib, done.warnings)
            self.told.advance(name)
        self.spent[name] = before + time.perf_counter() - started
        self.told.end(name, time.perf_counter() - started, rows)

    def _log(self, done: Done) -> None:
        task = done.work
        event = {
            "time": now(),
            "stage": task.stage,
            "label": task.label,
            "shard": task.shard.index if task.shard else "fit",
            "seconds": round(done.seconds, 3),
            "rows": done.rows,
            "bytes": done.bytes,
            "process": done.process,
            "peak_mib": round(done.peak_mib),
        }
        self.store.append(LOG, event)
        self._say([("warning", message) for message in done.warnings] + [("info", message) for message in done.notes])

    def _say(self, said: list[tuple[str, str]]) -> None:
        for level, message in said:
            if message not in self.said:
                self.said.add(message)
                self.outcome.warnings += level == "warning"
                self.store.append(LOG, {"time": now(), level: message})
                self.told.say(message, level)

    def _forget(self, step: Step) -> None:
        stage = step.stage
        if stage.files:
            self.store.forget_files(stage.name)
        else:
            for table in stage.writes(step.params):
                self.store.drop(table)
        self.store.state_path(stage.name, step.label).unlink(missing_ok=True)

    def _begin(self, order: Sequence[str]) -> None:
        self.store.sweep()
        plans = self.planner.preview(self.chosen)
        # The source is listed once: of a million images in a bucket that takes minutes.
        self.listed = {plan.step.name: plan for plan in plans if plan.step.stage.stamps is not None}
        said = line(self.config, [p for p in plans if p.step.stage.name in order])
        for told in filter(None, (left_out(self.config), said)):
            self.told.say(told)
        compact(self.store)
        self.record.begin(self.config)
        self.store.append(LOG, {"time": now(), "event": "start", "scheduler": self.scheduler})

    def _finish(self, done: list[Step]) -> None:
        outcome = self.outcome
        outcome.peak_mib = max(outcome.peak_mib, peak_mib())
        self.record.finish(self.chosen, outcome.peak_mib)
        self.planner.save()
        self.store.append(LOG, {"time": now(), "event": "finish", "ran": outcome.ran})
        outcome.images, outcome.rejected = counts(self.store, done)
        outcome.doubts = doubts(self.store, done)
        pages = (self.store.root / step.stage.page for step in self.chosen if step.stage.page)
        outcome.page = next((str(page) for page in pages if page.exists()), None)


def together(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps of one stage, as long as none reads what another of them writes: their work may be done in any order."""
    groups: list[list[Step]] = []
    written: set[str] = set()
    for step in steps:
        stage, params = step.stage, step.params
        reads = {*stage.fit_reads(params), *stage.reads(params)}
        if not groups or groups[-1][0].stage is not stage or reads & written:
            groups.append([])
            written = set()
        groups[-1].append(step)
        written |= set(stage.writes(params))
    return groups


def _key(work: Work) -> str:
    return f"{work.stage}/{work.shard.index if work.shard else 'fit'}"


def _reads_nothing(step: Step) -> bool:
    stage, params = step.stage, step.params
    return stage.fit is not None and not stage.fit_reads(params) and not stage.state_of(params)


def run(
    config: Config,
    root: str,
    told: Progress,
    until: str | None = None,
    redo: Sequence[str] = (),
    scheduler: str = "sync",
    workers: int | None = None,
    repair: bool = False,
    strict: bool = False,
    fail_on: str | None = None,
) -> Outcome:
    """Runs what is missing or stale of ``config`` in the folder ``root``, and enters that in its history.

    Args:
        strict, fail_on: as of the command, whose exit status the history has.

    Raises:
        UserError: something the user can mend; everything finished so far is kept.
    """
    store = Store(root)
    with store.lock():
        made = Run(config, store, told, scheduler, workers)
        entry = Entry(store, config, {"until": until, "redo": list(redo), "scheduler": scheduler})
        try:
            done = made.execute(until, redo, repair)
            ended = entry.finished(done, made.chosen, strict, fail_on)
        except BaseException as error:
            with suppress(UserError, OSError):  # a full disk must not hide what happened
                made.record.fold()
                store.append(LOG, {"time": now(), "event": "stop", "error": f"{type(error).__name__}: {error}"})
            with suppress(UserError, OSError):
                tell(store, config, entry.stopped(error, made.outcome), told)
            raise
        tell(store, config, ended, told)
        return done
