"""``run.json``: how a run folder was made, what it took, what it holds and what it warned of."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.plan import Step, StepPlan, Work
from activation_atlas.pipeline.store import Store

NAME = "run.json"
SINCE = "run.jsonl"
"""What was done since :data:`NAME` was written, a line for each piece of work; gone where nothing was."""
LIBRARIES = ("tensorflow", "keras", "numpy", "pyarrow", "pillow", "umap-learn", "openTSNE", "scikit-learn", "dask")


class Record:
    """The record of one run folder, kept up to date while it runs: a killed run loses none of it."""

    def __init__(self, store: Store):
        self._store = store
        self._values = read(store)
        self._resumed = False

    def begin(self, config: Config) -> None:
        """A run that was stopped goes on: its seconds add up. What a finished one warned of still holds."""
        values, made = self._values, about(config)
        self._resumed = "finished" not in values and values.get("config") == made["config"]
        for stale in ("finished", "tables", "metrics", "images", "rejected"):
            values.pop(stale, None)
        if not self._resumed:
            values["started"] = now()
        values.setdefault("warnings", {})
        values.update(made)
        self.save()

    def spent(self, name: str) -> float:
        """Seconds a stage took before the run was stopped."""
        return self._values.get("seconds", {}).get(name, 0.0) if self._resumed else 0.0

    def add(self, task: Work, name: str, seconds: float, peak_mib: float, warnings: list[str]) -> None:
        """A piece of work was done: what its stage took in all, and what it warned of in place of the last time."""
        step = f"{task.stage}/{task.label}" if task.label else task.stage
        key = f"{step} {task.shard.index if task.shard else 'fit'}"
        line = {"stage": name, "seconds": round(seconds, 2), "peak_mib": round(peak_mib), "work": key}
        line["warnings"] = warnings
        self._store.append(SINCE, line)
        _take(self._values, line)

    def end(self, step: str, warnings: list[str]) -> bool:
        """What all parts of a step together warn of; whether that is new."""
        values, key = self._values["warnings"], f"{step} end"
        before = values.pop(key, [])
        if warnings:
            values[key] = warnings
        if warnings != before:
            self.save()
        return warnings != before

    def trim(self, plan: StepPlan) -> None:
        """Forgets what was said of shards that are no more."""
        kept = {f"{plan.step.name} {what}" for what in ("fit", "end", *range(plan.shards or 0))}
        said = self._values["warnings"]
        for key in [k for k in said if k.rpartition(" ")[0] == plan.step.name and k not in kept]:
            del said[key]

    def finish(self, steps: Sequence[Step], peak_mib: float) -> None:
        """What the folder holds now."""
        store, values, metrics = self._store, self._values, {}
        for step in steps:
            if step.stage.fit is not None and store.state_footer(step.stage.name, step.label):
                state = store.read_state(step.stage.name, step.label)
                if said := {**state.get("metrics", {}), **({"kept": state["told"]} if "told" in state else {})}:
                    metrics[step.name] = said
        images, lost = counts(store, steps)
        known = {step.name for step in steps}
        values.update(
            finished=now(),
            peak_mib=round(max(peak_mib, values.get("peak_mib", 0))),
            tables={
                t: {"rows": store.rows(t), "bytes": store.size(t), "digest": store.digest(t)} for t in store.tables()
            },
            metrics=metrics,
            warnings={k: said for k, said in values["warnings"].items() if k.rpartition(" ")[0] in known},
            images=images,
            rejected=lost,
        )
        self.save()

    def fold(self) -> None:
        """What was done since it was written enters it: once for a stage, not for each of its shards."""
        if self._store.lines(SINCE):
            self.save()

    def save(self) -> None:
        self._store.write_json(NAME, self._values)
        self._store.remove(SINCE)


def read(store: Store) -> dict[str, Any]:
    """What :data:`NAME` says, and what was done since; empty where nothing was."""
    values = store.read_json(NAME) or {}
    if not isinstance(values.get("warnings", {}), dict):
        del values["warnings"]
    for line in store.lines(SINCE):
        _take(values, line)
    return values


def _take(values: dict[str, Any], line: Mapping[str, Any]) -> None:
    values.setdefault("seconds", {})[line["stage"]] = line["seconds"]
    values["peak_mib"] = max(values.get("peak_mib", 0), line["peak_mib"])
    warnings = values.setdefault("warnings", {})
    warnings.pop(line["work"], None)
    if line["warnings"]:
        warnings[line["work"]] = line["warnings"]


def counts(store: Store, steps: Sequence[Step]) -> tuple[int, int]:
    """Images of the source, and how many of them are in some step's table of rejects."""
    lost = [(step.stage, step.stage.rejects(step.params)) for step in steps]
    listed = ["images", *(t for stage, tables in lost if stage.stamps is not None for t in tables)]
    return sum(store.rows(t) for t in listed), rejected(store, [t for _, tables in lost for t in tables])


def rejected(store: Store, tables: Sequence[str]) -> int:
    """Images in any of some tables of rejects: one that no method can explain counts once."""
    parts = (store.read(t, k, ["image_id"]) for t in tables for k in range(store.parts(t)))
    return len({image_id for part in parts for image_id in part["image_id"].to_pylist()})


def doubts(store: Store, steps: Sequence[Step]) -> list[dict[str, str]]:
    """What says that a run cannot be right: message and remedy of each doubt."""
    tables = [step.stage.doubts for step in steps if step.stage.doubts]
    parts = (store.read(t, k, ["message", "remedy"]) for t in tables for k in range(store.parts(t)))
    return [row for part in parts for row in part.to_pylist()]


def about(config: Config) -> dict[str, Any]:
    """How a run was made, without anything that changes from run to run: configuration and versions."""
    told = {"out", "metrics", "webhook"}  # where it goes changes nothing of it
    plain = config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"run": told})
    plain["images"].pop("storage_options", None)
    return {
        "config": plain,
        "versions": {"python": platform.python_version(), **{n: v for n in LIBRARIES if (v := _installed(n))}},
    }


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
