"""The whole `imagenet_sample` run: time, memory and the fidelity of its icons; and how soon the commands answer."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs/imagenet_sample.yaml"
MINUTES, MEMORY_GIB, ANSWER_SECONDS = 25, 6.0, 0.7
FIDELITY = {"whitened right": 0.95, "raw right": 0.5, "median cosine": 0.7, "median contrast": 0.15}


def run() -> dict[str, Any]:
    """One run from nothing in a fresh folder (``ATLAS_RUN`` names another, which is then kept), and the commands."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(os.environ.get("ATLAS_RUN") or Path(scratch) / "run")
        before = time.perf_counter()
        subprocess.run([*_command("run", CONFIG, "--out", out)], check=True, cwd=ROOT)
        minutes = (time.perf_counter() - before) / 60
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        record = json.loads((out / "run.json").read_text())
        figures: dict[str, Any] = {
            "minutes": minutes,
            "peak_gib": peak,
            "seconds": record["seconds"],
            "fidelity": {atlas.name: _fidelity(out, atlas.name) for atlas in sorted((out / "icons").iterdir())},
            "reduce": {name: value for name, value in record["metrics"].items() if name.startswith("reduce")},
            "answers": {
                "--help": _answer("--help"),
                "plan": _answer("plan", CONFIG, "--out", out),
                "status": _answer("status", out),
            },
        }
    print(f"whole run {minutes:.1f} min (under {MINUTES}), peak resident memory {peak:.2f} GiB (under {MEMORY_GIB})")
    for name, seconds in figures["seconds"].items():
        print(f"  {name:<16} {seconds:8.1f} s")
    for atlas, found in figures["fidelity"].items():
        said = ", ".join(
            f"{name} {value:.3f} (at least {FIDELITY[name]})" for name, value in found.items() if name in FIDELITY
        )
        print(f"icons of {atlas}: {found['icons']}, {said}")
    for name, value in figures["reduce"].items():
        print(f"{name}: {value}")
    for name, seconds in figures["answers"].items():
        print(f"{name}: {seconds:.2f} s (under {ANSWER_SECONDS} on an idle machine)")
    return figures


def _command(*words: Any) -> list[str]:
    return [sys.executable, "-m", "activation_atlas", *map(str, words)]


def _answer(*words: Any) -> float:
    """Seconds until a command has answered: the median of five."""
    taken = []
    for _ in range(5):
        before = time.perf_counter()
        subprocess.run(_command(*words), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - before)
    return float(np.median(taken))


def _fidelity(out: Path, atlas: str) -> dict[str, float]:
    from activation_atlas.pipeline.store import Store

    icons = Store(out)
    columns = ["retrieval_rank", "retrieval_rank_raw", "cosine", "contrast"]
    parts = [icons.read(f"icons/{atlas}", k, columns) for k in range(icons.parts(f"icons/{atlas}"))]
    table = {name: np.concatenate([part[name].to_numpy() for part in parts]) for name in columns}
    return {
        "icons": len(table["cosine"]),
        "whitened right": float(np.mean(table["retrieval_rank"] == 0)),
        "raw right": float(np.mean(table["retrieval_rank_raw"] == 0)),
        "median cosine": float(np.median(table["cosine"])),
        "median contrast": float(np.median(table["contrast"])),
    }
