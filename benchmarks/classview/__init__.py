"""Does the heat of a class lie where its photographs do? Every statistic of cells, other evidence, and the intervals.

``ATLAS_RUN`` names a folder that keeps the runs (``NAME.yaml``, ``NAME``), and in which they are found again; without
it they are made in a temporary one, which takes half an hour more. ``ATLAS_NETWORKS`` names those to judge:
mobilenet, efficientnet, cifar10, demo.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.classview import coverage, evidence, named, statistics
from benchmarks.classview.networks import ROOT, Kept, known_networks, made

SECOND = {"mobilenet": "efficientnet", "efficientnet": "mobilenet"}
"""By which network of the same classes the names of a network's cells are judged."""


def run() -> dict[str, Any]:
    """Prints the tables, the choice in bold: each network by the gradient and by what the project takes."""
    data = Path(os.environ.get("ATLAS_DATA") or ROOT.parent / "shared")
    known = known_networks(data.resolve())
    chosen = os.environ.get("ATLAS_NETWORKS", "").replace(",", " ").split() or list(known)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("ATLAS_RUN") or scratch).resolve()
        runs: dict[str, list[Kept]] = {}
        for name in chosen:
            plain = made(f"{name}-gradient", known[name], folder, "gradient")
            runs[name] = [plain, made(name, known[name], folder)]
        figures["statistics"] = {name: [statistics.judge(kept) for kept in both] for name, both in runs.items()}
        figures["names"] = {
            name: [named.judge(kept, known[other].model) for kept in runs[name]]
            for name, other in SECOND.items()
            if name in runs
        }
        figures["evidence"] = {name: evidence.judge(both) for name, both in runs.items()}
    print()
    figures["intervals"] = coverage.run()
    return figures
