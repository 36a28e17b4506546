"""The audits: each by the project's own command, which reads the images, their labels and the network, and no truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.planted.data import cifar, whole, write_audited
from benchmarks.planted.networks import ARCHITECTURES, train
from benchmarks.planted.sizes import Case, Size

ROOT = Path(__file__).parent.parent.parent
UNTIL = "cues"
"""The last stage that the scores read."""


def config(network: Path, classes: Path, photographs: Path, layer: str) -> dict[str, Any]:
    """Of one audit. The layer's maps have 8 x 8 positions: all are looked at, so that none of the artefact is missed by
    chance; the layout is learned from a part of them. Maps of attribution are there for the finder that clusters them.
    """
    return {
        "run": {"seed": 0, "shard_images": 500},
        "model": {"path": str(network), "classes": str(classes), "range": [0, 255]},
        "images": {"path": str(photographs)},
        "extract": {"positions_per_image": 64},
        "atlases": [
            {"name": "main", "layer": layer, "grids": [10, 20], "render": None, "reduce": {"fit_rows": 20_000}}
        ],
        "explain": {"images": "all", "methods": ["grad_cam"], "targets": ["predicted"]},
        "audit": {},
    }


@dataclass(frozen=True)
class Audit:
    """Where things lie: the run, the network and images that it is of, and the truth, which it does not know."""

    run: Path
    network: Path
    photographs: Path
    truth: Path


def audited(case: Case, size: Size, data: Path, folder: Path) -> Audit:
    """Trains the case's network, writes its images and audits them; what is there already is not made again."""
    network = folder / "networks" / f"{case.network}{'' if size.learned is None else f'-{size.learned}'}.keras"
    if not network.exists():
        pixels, labels = (part[: size.learned] for part in cifar(data, folder, "train"))
        planted = None if case.rho is None else (case.artefact, case.target, case.rho)
        train(network, case.architecture, pixels, labels, case.seed, planted, size.epochs)
    where = folder / "images" / f"{case.artefact}-{case.seed}-{size.audited}"
    photographs, truth = write_audited(where, *cifar(data, folder, "test"), case.artefact, size.audited, case.seed)
    classes = folder / "classes.txt"
    if not classes.exists():
        names = json.loads((data / "data/cifar10/classes.json").read_text(encoding="utf-8"))
        whole(classes, lambda to: to.write_text("\n".join(names) + "\n", encoding="utf-8"))
    name = size.named(case)
    out, asked = folder / "runs" / name, folder / "runs" / f"{name}.yaml"
    told = yaml.safe_dump(
        config(network, classes, photographs, ARCHITECTURES[case.architecture].layer), sort_keys=False
    )
    whole(asked, lambda to: to.write_text(told, encoding="utf-8"))
    command = ["-m", "activation_atlas", "run", asked, "--out", out, "--until", UNTIL, "--quiet"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, *map(str, command)], check=True, cwd=ROOT, env=environment)
    return Audit(out, network, photographs, truth)
