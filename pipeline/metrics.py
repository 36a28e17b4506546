"""``run.metrics``: what the last run of a folder came to, in Prometheus' text format, for node_exporter."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from activation_atlas.pipeline.findings import Finding

Line = Mapping[str, Any]
Sample = tuple[Mapping[str, str], float]
PREFIX = "activation_atlas_"
ABOUT = {
    "runs_total": "runs of the folder by how they ended",
    "last_run_timestamp_seconds": "when the last run ended",
    "last_run_status": "its exit status",
    "last_run_seconds": "how long it took",
    "last_run_work": "shards and fits that it did, 0 where nothing was to do",
    "last_run_warnings": "warnings that it told",
    "last_run_peak_bytes": "resident memory of its largest process at most",
    "last_run_stage_seconds": "seconds of each stage that had anything to do",
    "last_finished_timestamp_seconds": "when the last run that finished ended; what follows is of that one",
    "images": "images of the source",
    "rejected_images": "of them those that could not be used",
    "measure": "what was measured over all images",
    "measure_low": "lower end of its 95 % interval",
    "measure_high": "upper end of it",
    "findings": "what somebody should look at, by kind",
    "worse_findings": "findings and measures that are new or worse than in the finished run before",
}
"""Each metric in words; all are gauges but the first."""


def exposition(lines: Sequence[Line]) -> str:
    """The text of a history of one line or more."""
    last = lines[-1]
    finished = next((line for line in reversed(lines) if line.get("outcome") == "finished"), None)
    outcomes = [str(line.get("outcome")) for line in lines]
    samples: dict[str, list[Sample]] = {
        "runs_total": [({"outcome": outcome}, outcomes.count(outcome)) for outcome in sorted({*outcomes})]
    }
    for name in ("status", "seconds", "work", "warnings"):
        samples[f"last_run_{name}"] = [({}, last[name])]
    samples["last_run_timestamp_seconds"] = [({}, _seconds(last["ended"]))]
    samples["last_run_peak_bytes"] = [({}, last["peak_mib"] * 2**20)]
    samples["last_run_stage_seconds"] = [({"stage": name}, did["seconds"]) for name, did in last["stages"].items()]
    if finished is not None:
        samples["last_finished_timestamp_seconds"] = [({}, _seconds(finished["ended"]))]
        samples["images"], samples["rejected_images"] = [({}, finished["images"])], [({}, finished["rejected"])]
        for place, name in enumerate(("measure", "measure_low", "measure_high")):
            told = {measure: values[place] for measure, values in finished["measures"].items()}
            samples[name] = [({"measure": measure}, value) for measure, value in told.items() if value is not None]
        counts = {kind: sum(f["count"] for f in finished["findings"] if _kind(f) == kind) for kind in _KINDS.values()}
        samples["findings"] = [({"kind": kind}, count) for kind, count in counts.items()]
        samples["worse_findings"] = [({}, len(finished["worse"]))]
    return "".join(_family(name, samples.get(name, []), str(last.get("name", ""))) for name in ABOUT)


def write(file: str | os.PathLike[str], lines: Sequence[Line]) -> None:
    """Puts the text in the place of the file, whole: who reads it sees the old one or the new one.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(file).expanduser()
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}.tmp")  # node_exporter reads *.prom
    try:
        temporary.write_text(exposition(lines), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


_KINDS = {"doubt:": "doubts", "cues": "verified_cues", "group": "groups", "slices": "slices"}


def _kind(finding: Finding) -> str:
    return _KINDS[finding["key"].split(" ")[0]]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _family(name: str, samples: Sequence[Sample], run: str) -> str:
    return "\n".join([*_lines(name, samples, run), ""]) if samples else ""


def _lines(name: str, samples: Sequence[Sample], run: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {ABOUT[name]}"
    yield f"# TYPE {PREFIX}{name} {'counter' if name.endswith('_total') else 'gauge'}"
    for labels, value in samples:
        written = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"run": run, **labels}.items())
        yield f"{PREFIX}{name}{{{written}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
