"""Does the heat of a class lie where its photographs do? Every statistic of cells, other evidence, and the intervals.

``ATLAS_RUN`` names a folder that keeps the runs (``NAME.yaml``, ``NAME``), and in which they are found again; without
it they are made in a temporary one. ``ATLAS_NETWORKS`` names those to judge: mobilenet, efficientnet, cifar10, demo.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.classview import coverage, evidence, statistics
from benchmarks.classview.networks import ROOT, made, networks


def run() -> dict[str, Any]:
    """Prints the tables, the choice in bold; half an hour and more where the runs are to be made."""
    data = Path(os.environ.get("ATLAS_DATA") or ROOT.parent / "shared")
    known = networks(data.resolve())
    chosen = os.environ.get("ATLAS_NETWORKS", "").replace(",", " ").split() or list(known)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("ATLAS_RUN") or scratch).resolve()
        runs = {name: made(name, known[name], folder) for name in chosen}
        figures["statistics"] = {name: statistics.judge(kept) for name, kept in runs.items()}
        figures["evidence"] = {name: evidence.judge(kept) for name, kept in runs.items()}
    print()
    figures["intervals"] = coverage.run()
    return figures
