"""One piece of work, in whichever process an executor chose: a stage's fit, or one of its shards."""

from __future__ import annotations

import os
import platform
import resource
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field

from activation_atlas import stages
from activation_atlas.pipeline import reuse
from activation_atlas.pipeline.inputs import StoreInputs
from activation_atlas.pipeline.plan import Work, library_version
from activation_atlas.pipeline.progress import gathered
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import Stage, UserError


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
    notes: list[str] = field(default_factory=list)


def work(task: Work) -> Done:
    """Does one piece of work and writes its output. Runs in whichever process the executor chose."""
    started = time.perf_counter()
    store = Store(task.root)
    stage = stages.stage(task.stage)
    _check_versions(task, stage)
    inputs = StoreInputs(store, task.stage, task.label)
    rows, marks = 0, {}
    # A Dask worker at an address may have several threads.
    with nullcontext() if stage.threads else _ALONE, gathered(inputs.warn):
        if task.shard is not None and stage.seen is not None:
            output, marks = reuse.run(store, inputs, stage, task.params, task.shard, task.fingerprint)
        elif task.shard is not None:
            output = stage.run(inputs, task.params, task.shard)
        elif stage.fit is not None:
            output, fingerprint = reuse.fit(store, inputs, stage, task.label, task.params, task.fingerprint)
        else:
            raise RuntimeError(f"stage {task.stage} has no fit")
    if task.shard is None:
        size = store.write_state(task.stage, task.label, output, fingerprint)
    elif stage.files:
        size = store.write_files(task.stage, output, task.fingerprint)
    else:
        declared = set(stage.writes(task.params))
        if set(output) != declared:
            raise RuntimeError(f"stage {task.stage} wrote {sorted(output)}, declares {sorted(declared)}")
        size = sum(
            store.write(t, task.shard.index, output[t], task.fingerprint, marks.values()) for t in sorted(output)
        )
        rows = sum(table.num_rows for table in output.values())
    return Done(task, time.perf_counter() - started, rows, size, inputs.warnings, _process(), peak_mib(), inputs.notes)


_ALONE = threading.Lock()
"""Held by stages that set something of the whole process while they work."""


def _check_versions(task: Work, stage: Stage) -> None:
    """What stands in the fingerprint must be what works here: a worker's environment may be another."""
    here = {"version": stage.version, **{f"library {name}": library_version(name) for name in stage.libraries}}
    for key, value in here.items():
        if task.fingerprint.get(key) != value:
            raise UserError(
                f"worker {_process()}: {key} of stage {task.stage} is {value} there and {task.fingerprint.get(key)} "
                "here; give the workers this environment"
            )


def _process() -> str:
    return f"{platform.node()}:{os.getpid()}"


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
