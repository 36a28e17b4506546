"""Which shards of which stage are missing or stale, and why.

A part's fingerprint is a flat mapping from what it was made of to its value:
the stage's version and parameters, the shard's bounds, the digests of the
inputs, the model file, the versions of the libraries that matter. A part is
current when its footer holds exactly the fingerprint it would get today;
otherwise the first key that differs is the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from activation_atlas.pipeline.inputs import StoreInputs
from activation_atlas.pipeline.reuse import KEPT
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.caches import cached
from activation_atlas.stages.stage import Shard, Stage, UserError

HASHES = "cache/hashes.json"
STAMPS = "cache/stamps.jsonl"
"""A line for each shard that was read of the outside world; the last of a shard holds."""
OLD_STAMPS = "cache/stamps.json"
"""Where they stood before, all in one record."""


@dataclass(frozen=True)
class Step:
    """A stage applied to the run (label "") or to one atlas (label = its name)."""

    stage: Stage
    label: str
    params: Any

    @property
    def name(self) -> str:
        return f"{self.stage.name}/{self.label}" if self.label else self.stage.name


@dataclass(frozen=True)
class Work:
    """One thing to do: a fit (``shard`` None) or a shard, and the fingerprint its output will carry."""

    root: str
    stage: str
    label: str
    params: Any
    shard: Shard | None
    fingerprint: Mapping[str, Any]
    stamp: str | None = None


@dataclass
class StepPlan:
    """What a step has to do."""

    step: Step
    shards: int | None = None
    todo: list[Work] = field(default_factory=list)
    reason: str = ""
    surplus: bool = False
    items: int = 0  # in all its shards: of what lists the source, images

    @property
    def done(self) -> bool:
        return self.shards is not None and not self.todo and not self.surplus


class Planner:
    """Plans the steps of one run folder; hashes each model file once."""

    def __init__(self, store: Store):
        self.store = store
        self._hashes: dict[str, list] = store.read_json(HASHES) or {}
        self._new_hashes = False

    def fit(self, step: Step) -> Work | None:
        """The fit to run, or None where there is none or it is current."""
        if step.stage.fit is None:
            return None
        wanted = self._fit_fingerprint(step)
        footer = self.store.state_footer(step.stage.name, step.label)
        made = dict(footer[0]) if footer else None
        if made and step.stage.keeps(step.params):
            made.pop(KEPT, None)
        return None if made == wanted else self._work(step, None, wanted)

    def plan(self, step: Step) -> StepPlan:
        """The shards of a step whose fit is current and whose inputs are complete."""
        stage, store = step.stage, self.store
        shards = stage.shards(StoreInputs(store, stage.name, step.label), step.params)
        stamps = stage.stamps(step.params, shards) if stage.stamps else None
        known = stamped(store) if stamps is not None else {}
        result = StepPlan(step, len(shards), items=sum(shard.stop - shard.start for shard in shards))
        tables = stage.writes(step.params)
        base = self._shard_fingerprint(step)
        for shard in shards:
            wanted = {**base, **self._part_inputs(step, shard), **_bounds(shard)}
            stamp = stamps[shard.index] if stamps else None
            if stage.files:
                reason = differs(store.files_footer(stage.name), wanted)
            else:
                reason = next(
                    (r for t in tables if (r := differs((store.footer(t, shard.index) or (None,))[0], wanted))), None
                )
                if not reason and stamp is not None and known.get(f"{stage.name}/{shard.index}") != stamp:
                    reason = "the images have changed or were never read"
            if reason:
                result.todo.append(self._work(step, shard, wanted, stamp))
                result.reason = result.reason or reason
        if not stage.files and any(store.parts(t) > len(shards) for t in tables):
            result.surplus, result.reason = True, result.reason or "there is less than before"
        return result

    def preview(self, steps: Sequence[Step]) -> list[StepPlan]:
        """What a run would do, without doing it: a step behind an unfinished one waits for it."""
        plans: list[StepPlan] = []
        unfinished: dict[str, str] = {}
        for step in steps:
            stage, params = step.stage, step.params
            reads = [*stage.fit_reads(params), *stage.reads(params)]
            states = [f"{s}/{n}" if n else s for s, n in stage.state_of(params)]
            waits = next((unfinished[t] for t in [*reads, *states] if t in unfinished), None)
            if waits:
                plan = StepPlan(step, reason=f"after {waits}")
            elif (fit := self.fit(step)) is not None:
                footer = self.store.state_footer(stage.name, step.label)
                plan = StepPlan(step, None, [fit], differs(footer[0] if footer else None, fit.fingerprint) or "")
            else:
                plan = self.plan(step)
            if not plan.done:
                unfinished.update({t: step.name for t in [*stage.writes(params), step.name]})
            plans.append(plan)
        return plans

    def save(self) -> None:
        """Keeps the model hashes for the next run."""
        if self._new_hashes:
            self.store.write_json(HASHES, self._hashes)

    # -- fingerprints ----------------------------------------------------------

    def _work(self, step: Step, shard: Shard | None, fingerprint: Mapping, stamp: str | None = None) -> Work:
        # Absolute: workers at an address were started somewhere else.
        root = str(self.store.root.absolute())
        return Work(root, step.stage.name, step.label, step.params, shard, fingerprint, stamp)

    def _base(self, step: Step) -> dict[str, Any]:
        stage = step.stage
        base: dict[str, Any] = {"stage": stage.name, "version": stage.version}
        base.update(_flat("params", step.params.model_dump(mode="json", by_alias=True)))
        base.update({f"library {name}": library_version(name) for name in stage.libraries})
        if stage.model:
            base["model"] = self._model(step.params.model)
        return base

    def _fit_fingerprint(self, step: Step) -> dict[str, Any]:
        inputs = {f"input {t}": self.store.digest(t) for t in step.stage.fit_reads(step.params)}
        return {**self._base(step), **inputs, **self._other_states(step)}

    def _shard_fingerprint(self, step: Step) -> dict[str, Any]:
        base = {**self._base(step), **self._other_states(step)}
        if step.stage.fit is not None:
            footer = self.store.state_footer(step.stage.name, step.label)
            base["state"] = footer[1] if footer else None
        shared = [t for t, how in step.stage.reads(step.params).items() if how == "all"]
        return {**base, **{f"input {t}": self.store.digest(t) for t in shared}}

    def _part_inputs(self, step: Step, shard: Shard) -> dict[str, Any]:
        own = [t for t, how in step.stage.reads(step.params).items() if how == "part"]
        return {f"input {t}": self.store.content(t, shard.index) for t in own}

    def _other_states(self, step: Step) -> dict[str, Any]:
        states = {}
        for stage, label in step.stage.state_of(step.params):
            footer = self.store.state_footer(stage, label)
            states[f"state {stage}/{label}".rstrip("/")] = footer[1] if footer else None
        return states

    def _model(self, spec: Any) -> Any:
        if spec.path:
            return self.file_hash(spec.path, "model.path")
        if spec.tables:
            files = sorted(p for p in Path(spec.tables).rglob("*") if p.suffix in (".json", ".parquet"))
            told = [(p.relative_to(spec.tables).as_posix(), self.file_hash(str(p), "model.tables")) for p in files]
            return hashlib.sha256(json.dumps(told).encode()).hexdigest()
        if spec.weights and spec.weights.endswith((".h5", ".keras")):
            return [spec.application, self.file_hash(spec.weights, "model.weights")]
        return [spec.application or spec.preset, spec.weights]

    def file_hash(self, path: str, key: str) -> str:
        """SHA-256 of a file, remembered by its size and time."""
        try:
            status = Path(path).stat()
        except OSError:
            raise UserError(f"{key}: {path} does not exist; give the path of a .keras or .h5 file") from None
        mark = [status.st_size, status.st_mtime_ns]
        if self._hashes.get(path, [None])[:2] != mark:
            try:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{key}: {path} cannot be read ({error.strerror}); give a .keras or .h5 file") from None
            self._hashes[path] = [*mark, digest]
            self._new_hashes = True
        return self._hashes[path][2]


def _bounds(shard: Shard) -> dict[str, Any]:
    if shard.images is None:
        return {"shard": [shard.index, shard.start, shard.stop]}
    told = hashlib.sha256("\n".join(shard.images).encode()).hexdigest()[:32]
    return {"shard": shard.index, "images": f"{len(shard.images)}, {told}"}


def stamped(store: Store) -> dict[str, str]:
    """What the outside world was said to be when each shard was read, by ``STAGE/SHARD``."""
    lines = [store.read_json(OLD_STAMPS) or {}, *store.lines(STAMPS)]
    return {key: stamp for line in lines for key, stamp in line.items()}


def compact(store: Store) -> None:
    """One line in the place of all, and of the old record."""
    old = store.read_json(OLD_STAMPS) is not None
    if old or len(store.lines(STAMPS)) > 1:
        store.write_lines(STAMPS, [stamped(store)])
    if old:
        store.remove(OLD_STAMPS)


def differs(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str | None:
    """Why a fingerprint is not the wanted one: the first key that differs; None where it is."""
    if old is None:
        return "missing"
    for key in [*new, *old]:
        if old.get(key) != new.get(key):
            if key.startswith(("input", "state", "model")):
                return f"{key} has changed"
            return f"{key} was {_short(old.get(key))}, is {_short(new.get(key))}"
    return None


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, dict) and value:
        return {k: v for name, item in value.items() for k, v in _flat(f"{prefix}.{name}", item).items()}
    return {prefix: value}


@cached(64)
def library_version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
