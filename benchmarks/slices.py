"""Slices of the stamped CIFAR-10 test images: is the worst slice the stamp, without the audit's being told of it?

The truth is read here alone. ``ATLAS_RUN`` names a folder that holds the runs, and keeps them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from activation_atlas.pipeline.store import Store
from activation_atlas.stages.halves import held_out

ROOT = Path(__file__).parent.parent
MINUTES, PRECISION = 2.0, 0.95
FIRST = (10, 25)


def run() -> dict[str, Any]:
    """Runs of the stamped network and of its clean twin to the slices: seconds of that stage, and of each finder's best
    slice how many of its first images are stamped, with the average precision over the held-out half.
    """
    data = Path(os.environ.get("ATLAS_DATA") or ROOT.parent / "shared").resolve()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("ATLAS_RUN") or scratch)
        for twin in ("stamped", "clean"):
            out = folder / twin
            config = folder / f"{twin}.yaml"
            folder.mkdir(parents=True, exist_ok=True)
            config.write_text(yaml.safe_dump(asked(data, twin, out)), encoding="utf-8")
            command = [sys.executable, "-m", "activation_atlas", "run", str(config), "--until", "slices", "--quiet"]
            subprocess.run(command, check=True, cwd=ROOT)
            figures[twin] = {"seconds": seconds(out), "slices": scored(out, data)}
    for twin, found in figures.items():
        print(f"{twin}: {found['seconds']:.0f} s for the stage slices of 10,000 images (under {60 * MINUTES:.0f})")
        for row in found["slices"]:
            print("  " + "  ".join(f"{name} {value}" for name, value in row.items()))
    best = figures["stamped"]["slices"][0]
    print(f"the surest slice: precision at 25 {best['p@25']} (at least {PRECISION})")
    return figures


def asked(data: Path, twin: str, out: Path) -> dict[str, Any]:
    """The configuration of one run."""
    return {
        "run": {"name": twin, "seed": 0, "shard_images": 1000, "out": str(out)},
        "model": {
            "path": str(data / f"models/cifar10_resnet_{twin}.keras"),
            "classes": str(data / "models/cifar10_classes.txt"),
        },
        "images": {"path": str(data / "data/cifar10_stamped/audit.parquet")},
        "extract": {"positions_per_image": 16},
        "atlases": [{"name": "main", "layer": "re_lu_8", "grids": [10, 20], "render": None}],
        "explain": {"methods": ["grad_cam"], "images": "all"},
        "audit": {},
    }


def seconds(out: Path) -> float:
    """Of the stage `slices`, as the run has recorded it."""
    return float(json.loads((out / "run.json").read_text())["seconds"]["slices"])


def scored(out: Path, data: Path) -> list[dict[str, Any]]:
    """The surest slice, then the surest of each finder: its figures, and how many of its first images are stamped."""
    store = Store(out)
    images = [store.read("images", k, ["image_id", "sha256", "meta.path"]) for k in range(store.parts("images"))]
    rows = [row for part in images for row in part.to_pylist()]
    truth = pq.read_table(data / "data/cifar10_stamped/truth.parquet", columns=["path", "marked"])
    stamped = dict(zip(truth["path"].to_pylist(), truth["marked"].to_pylist(), strict=True))
    held = held_out([row["sha256"] for row in rows], 0)
    marked = {row["image_id"]: stamped[row["meta.path"]] for row, mine in zip(rows, held, strict=True) if mine}
    slices = store.read("slices", 0).to_pylist()
    chosen = slices[:1] + [
        next(s for s in slices if s["finder"] == f) for f in dict.fromkeys(s["finder"] for s in slices)
    ]
    told = []
    for row in chosen:
        hits = np.array([marked[own] for own in row["members"]])
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        numbers: dict[str, Any] = {
            "finder": row["finder"],
            "images": row["images"],
            "wrong": round(row["error_rate"], 3),
        }
        numbers |= {"q": row["q_value"], "stamped": round(float(hits.mean()), 3)}
        numbers |= {f"p@{k}": round(float(hits[:k].mean()), 3) for k in FIRST}
        numbers["AP"] = round(float((precision * hits).sum() / sum(marked.values())), 3)
        told.append(numbers)
    return told
