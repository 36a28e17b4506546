"""A whole data set through the real command: seconds, and peak memory at growing numbers of images."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.maps import Table

PATCH, STRIDE = 8, 8
FLAT = 1.1
"""Memory at the most images may be so many times that at the fewest."""


def rows(data: Path, table: Table, counts: Sequence[int]) -> None:
    """CIFAR-10 images, Grad-CAM and occlusion for the predicted class, to Parquet; every number in a run of its own."""
    peaks, what = {}, f"CIFAR-10, Grad-CAM + occlusion {PATCH}/{STRIDE}"
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            found = explain(data, Path(folder), count)
        peaks[count] = found["peak_mib"]
        table.add(f"{what}, {count:,} images", "peak memory, MiB", None, found["peak_mib"], **found)
        table.add(f"{what}, {count:,} images", "seconds in the stage", None, found["seconds"])
    table.add(f"{what}: memory", f"{counts[0]:,} images, at most", FLAT, peaks[counts[-1]] / peaks[counts[0]])


def explain(data: Path, folder: Path, count: int) -> dict[str, Any]:
    """Extraction first, by itself; then maps in a process of their own, whose memory is sampled."""
    config = {
        "run": {"out": str(folder / "run")},
        "model": {
            "path": str(data / "models/cifar10_resnet_clean.keras"),
            "classes": str(data / "models/cifar10_classes.txt"),
        },
        "images": {"path": str(data / "data/cifar10/test.parquet"), "limit": count},
        "extract": {"attribution": "none"},
        "explain": {
            "images": "all",
            "methods": ["grad_cam", {"name": "occlusion", "patch": PATCH, "stride": STRIDE}],
            "targets": ["predicted"],
            "batch": 64,
        },
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    _run(path, "extract")
    began = time.perf_counter()
    peak = _run(path, "explain")
    whole = time.perf_counter() - began
    record = json.loads((folder / "run/run.json").read_text())
    spent = {name: s for name, s in record["seconds"].items() if name.startswith("explain")}
    sizes = {name: record["tables"][name] for name in record["tables"] if name.startswith("maps/")}
    if any(about["rows"] != count for about in sizes.values()) or len(sizes) != 2:
        raise RuntimeError(f"{count} images gave {sizes}")
    size = sum(about["bytes"] for about in sizes.values())
    return {"peak_mib": peak, "seconds": sum(spent.values()), "command_seconds": whole, "each": spent, "bytes": size}


def _run(config: Path, until: str) -> float:
    """Runs to a stage in a process of its own; the most memory it held, MiB, sampled."""
    words = [sys.executable, "-m", "activation_atlas", "run", str(config), "--until", until, "--quiet"]
    process = subprocess.Popen(words, cwd=Path(__file__).parent.parent.parent)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.Error:
            break  # it has just ended
        time.sleep(0.02)
    if process.wait():
        raise RuntimeError(f"{' '.join(words)}: exit status {process.returncode}")
    return peak / 2**20
