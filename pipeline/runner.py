"""Runs the steps of a configuration in a run folder: what is missing or stale, in order, and nothing else."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import stages
from pipeline.config import Config
from pipeline.executors import Map, executor
from pipeline.plan import STAMPS, Planner, Step, View, Work
from pipeline.progress import Progress
from pipeline.steps import steps
from pipeline.store import Store
from stages.stage import UserError

LIBRARIES = ("tensorflow", "keras", "numpy", "pyarrow", "pillow", "umap-learn", "openTSNE", "scikit-learn", "dask")


@dataclass(frozen=True)
class Done:
    """What a worker says of finished work; the data itself is already on disk."""

    work: Work
    seconds: float
    rows: int
    bytes: int
    warnings: list[str]
    process: str
    peak_mib: float


@dataclass
class Outcome:
    """What a run did."""

    ran: int = 0
    rejected: int = 0
    images: int = 0
    page: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def work(task: Work) -> Done:
    """Does one piece of work and writes its output. Runs in whichever process the executor chose."""
    started = time.perf_counter()
    store = Store(task.root)
    stage = stages.stage(task.stage)
    inputs = View(store, task.stage, task.label)
    rows = 0
    if task.shard is None:
        size = store.write_state(task.stage, task.label, stage.fit(inputs, task.params), task.fingerprint)
    else:
        output = stage.run(inputs, task.params, task.shard)
        if stage.files:
            size = store.write_files(task.stage, output, task.fingerprint)
        else:
            declared = set(stage.writes(task.params))
            if set(output) != declared:
                raise RuntimeError(f"stage {task.stage} wrote {sorted(output)}, declares {sorted(declared)}")
            size = sum(store.write(t, task.shard.index, output[t], task.fingerprint) for t in sorted(output))
            rows = sum(table.num_rows for table in output.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    process = f"{platform.node()}:{os.getpid()}"
    return Done(task, time.perf_counter() - started, rows, size, inputs.warnings, process, peak)


class Run:
    """One run of a configuration in a folder. Use :func:`run`."""

    def __init__(self, config: Config, store: Store, told: Progress, scheduler: str, workers: int | None):
        self.config, self.store, self.told = config, store, told
        self.scheduler, self.workers = scheduler, workers
        self.planner = Planner(store)
        self.record: dict[str, Any] = store.read_json("run.json") or {}
        self.outcome = Outcome()
        self.peaks: dict[str, float] = {}

    def execute(self, until: str | None, redo: Sequence[str]) -> Outcome:
        chosen = steps(self.config, about(self.config))
        for name in [*redo, *([until] if until else [])]:
            if name not in stages.ORDER:
                raise UserError(f"--until/--redo {name}: no such stage; there are {', '.join(stages.ORDER)}")
        for step in chosen:
            if step.stage.name in redo:
                self._forget(step)
        self._begin()
        order = stages.ORDER[: stages.ORDER.index(until) + 1] if until else stages.ORDER
        with executor(self.scheduler, self.workers) as pooled, executor("sync") as alone:
            for name in order:
                group = [s for s in chosen if s.stage.name == name]
                if group:
                    safe = self.scheduler != "threads" or group[0].stage.threads
                    self._stage(group, pooled if safe else alone)
                if name == "extract":
                    self._check_rejects()
        self._finish(chosen)
        return self.outcome

    def _stage(self, group: list[Step], run: Map) -> None:
        fits = [(step, work) for step in group if (work := self.planner.fit(step)) is not None]
        if fits:
            label = f"{group[0].stage.name} (fit)"
            self._map(run, label, [w for _, w in fits], len(group), "missing or stale")
        plans = [self.planner.plan(step) for step in group]
        todo = [w for plan in plans for w in plan.todo]
        total = sum(plan.shards or 0 for plan in plans)
        if todo:
            reason = next(p.reason for p in plans if p.reason)
            self._map(run, group[0].stage.name, todo, total, reason)
        for plan in plans:
            if not plan.step.stage.files:
                for table in plan.step.stage.writes(plan.step.params):
                    self.store.trim(table, plan.shards or 0)

    def _map(self, run: Map, name: str, todo: list[Work], shards: int, reason: str) -> None:
        self.told.begin(name, len(todo), shards, reason)
        started, rows = time.perf_counter(), 0
        stamps = self.store.read_json(STAMPS) or {}
        busy: dict[str, float] = defaultdict(float)
        for done in run(work, todo):
            rows += done.rows
            busy[done.work.stage] += done.seconds
            self.outcome.ran += 1
            self.peaks[done.process] = max(self.peaks.get(done.process, 0.0), done.peak_mib)
            if done.work.stamp is not None and done.work.shard is not None:
                stamps[f"{done.work.stage}/{done.work.shard.index}"] = done.work.stamp
                self.store.write_json(STAMPS, stamps)
            self._log(done)
            self.told.advance(name)
        seconds = time.perf_counter() - started
        self.outcome.seconds[name] = self.outcome.seconds.get(name, 0.0) + seconds
        self.told.end(name, seconds, rows)

    def _log(self, done: Done) -> None:
        task = done.work
        event = {
            "time": _now(),
            "stage": task.stage,
            "label": task.label,
            "shard": task.shard.index if task.shard else "fit",
            "seconds": round(done.seconds, 3),
            "rows": done.rows,
            "bytes": done.bytes,
            "process": done.process,
            "peak_mib": round(done.peak_mib),
        }
        self.store.append_log(event)
        for message in done.warnings:
            seen = self.record.setdefault("warnings", [])
            if message not in seen:
                seen.append(message)
                self.store.append_log({"time": _now(), "warning": message})
                self.told.say(message, "warning")

    def _forget(self, step: Step) -> None:
        stage = step.stage
        if stage.files:
            (self.store.root / f"state/{stage.name}.files.json").unlink(missing_ok=True)
        else:
            for table in stage.writes(step.params):
                self.store.drop(table)
        self.store.state_path(stage.name, step.label).unlink(missing_ok=True)

    def _check_rejects(self) -> None:
        store = self.store
        self.outcome.rejected = store.rows("rejects/index") + store.rows("rejects/extract")
        self.outcome.images = store.rows("images") + store.rows("rejects/index")
        if self.outcome.images == self.outcome.rejected:
            table = "rejects/index" if store.rows("rejects/index") else "rejects/extract"
            first = store.read(table, 0).slice(0, 1).to_pylist()
            why = f"; the first: {first[0]['uri']}: {first[0]['reason']}" if first else ""
            raise UserError(f"none of the {self.outcome.images} images could be used{why}")

    def _begin(self) -> None:
        self.store.sweep()
        self.record["warnings"] = []
        self.record["started"] = _now()
        self.store.append_log({"time": _now(), "event": "start", "scheduler": self.scheduler})

    def _finish(self, chosen: list[Step]) -> None:
        store, record = self.store, self.record
        spent = record.get("seconds", {})
        spent.update({k: round(v, 2) for k, v in self.outcome.seconds.items()})
        metrics = {}
        for step in chosen:
            if step.stage.fit is not None and store.state_footer(step.stage.name, step.label):
                found = store.read_state(step.stage.name, step.label).get("metrics")
                if found:
                    metrics[step.name] = found
        tables = store.tables()
        record.update(
            about(self.config),
            finished=_now(),
            seconds=spent,
            peak_mib=round(max([*self.peaks.values(), record.get("peak_mib", 0)])),
            tables={t: {"rows": store.rows(t), "bytes": store.size(t), "digest": store.digest(t)} for t in tables},
            metrics=metrics,
            rejected=self.outcome.rejected,
            images=self.outcome.images,
        )
        store.write_json("run.json", record)
        self.planner.save()
        store.append_log({"time": _now(), "event": "finish", "ran": self.outcome.ran})
        page = store.root / "site" / "index.html"
        self.outcome.page = str(page) if page.exists() else None


def about(config: Config) -> dict[str, Any]:
    """How a run was made, without anything that changes from run to run: configuration and versions."""
    plain = config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"run": {"out"}})
    plain["images"].pop("storage_options", None)
    return {
        "config": plain,
        "versions": {"python": platform.python_version(), **{n: v for n in LIBRARIES if (v := _installed(n))}},
    }


def run(
    config: Config,
    root: str,
    told: Progress,
    until: str | None = None,
    redo: Sequence[str] = (),
    scheduler: str = "sync",
    workers: int | None = None,
) -> Outcome:
    """Runs what is missing or stale of ``config`` in the folder ``root``.

    Raises:
        UserError: something the user can mend; everything finished so far is kept.
    """
    store = Store(root)
    with store.lock():
        try:
            return Run(config, store, told, scheduler, workers).execute(until, redo)
        except BaseException as error:
            store.append_log({"time": _now(), "event": "stop", "error": f"{type(error).__name__}: {error}"})
            raise


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
