"""The stamped CIFAR-10 network repaired: what comes back on stamped images, and what is lost on clean ones.

Twice: on the audit's images, of which 12 % of every class are stamped; and on these without the stamped ones of other
classes than the stamp's, so that only pasting can tell the network that the stamp means nothing. The truth, which
images are stamped, is read here alone: it scores, on the held-out half of the first, and leaves images out of the
second.
``ATLAS_RUN`` names a folder that holds the runs, and keeps them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from activation_atlas.pipeline.store import Store
from activation_atlas.stages.halves import held_out
from activation_atlas.stages.intervals import paired

ROOT = Path(__file__).parent.parent
BACK, PASTED_BACK, LOST = 0.8, 0.5, 0.01


def run() -> dict[str, Any]:
    """Share of what the stamp costs that comes back, change on clean images with its interval, and the rest."""
    data = Path(os.environ.get("ATLAS_DATA") or ROOT.parent / "shared").resolve()
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("ATLAS_RUN") or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        photographs = data / "data/cifar10_stamped/audit.parquet"
        out = audited(data, photographs, folder / "repaired")
        truth = Truth(data, Store(out))
        old = truth.predictions(data / MODEL)
        figures["in every class"] = truth.scored(old, out)
        alone = folder / "alone.parquet"
        table = pq.read_table(photographs)
        pq.write_table(table.filter(pa.array(~truth.stamped | (truth.label == truth.target))), alone)
        figures["in one class"] = truth.scored(old, audited(data, alone, folder / "alone"))
    for name, found in figures.items():
        least = BACK if name == "in every class" else PASTED_BACK
        print(f"{name}: {found} (back: at least {least}; lost on clean images: at most {LOST})")
    return figures


def audited(data: Path, photographs: Path, out: Path) -> Path:
    """Runs an audit with a repair; its run folder."""
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(asked(data, photographs, out)), encoding="utf-8")
    command = [sys.executable, "-m", "activation_atlas", "run", str(config), "--until", "repaired", "--quiet"]
    subprocess.run(command, check=True, cwd=ROOT)
    return out


MODEL = "models/cifar10_resnet_stamped.keras"


def asked(data: Path, photographs: Path, out: Path) -> dict[str, Any]:
    """The configuration of the run."""
    return {
        "run": {"name": "repaired", "seed": 0, "shard_images": 1000, "out": str(out)},
        "model": {"path": str(data / MODEL), "classes": str(data / "models/cifar10_classes.txt")},
        "images": {"path": str(photographs)},
        "extract": {"positions_per_image": 16},
        "atlases": [{"name": "main", "layer": "re_lu_8", "grids": [10, 20], "render": None}],
        "audit": {"repair": True, "finders": ["confusion"]},
    }


class Truth:
    """Pixels, labels, halves and stamps of the audit's images, in the order of the file."""

    def __init__(self, data: Path, store: Store) -> None:
        folder = data / "data/cifar10_stamped"
        table = pq.read_table(folder / "audit.parquet")
        files = table["image"].to_pylist()
        self.label = table["label"].to_numpy()
        self.pixels = np.stack([np.array(Image.open(BytesIO(f["bytes"])).convert("RGB"), np.float32) for f in files])
        truth = {row["path"]: row["marked"] for row in pq.read_table(folder / "truth.parquet").to_pylist()}
        self.stamped = np.array([truth[f["path"]] for f in files])
        columns = ["image_id", "uri", "sha256"]
        about = [row for k in range(store.parts("images")) for row in store.read("images", k, columns).to_pylist()]
        place = {row["image_id"]: int(row["uri"].rpartition("#")[2]) for row in about}
        self.held = np.zeros(len(files), bool)
        self.held[list(place.values())] = held_out([row["sha256"] for row in about], 0)
        told = json.loads((folder / "truth.json").read_text())
        self.target = told["classes"].index(told["class"])

    def predictions(self, model: Path) -> np.ndarray:
        """What a model takes each image for, by Keras alone."""
        import keras

        return keras.models.load_model(model).predict(self.pixels, batch_size=250, verbose=0).argmax(1)

    def scored(self, old: np.ndarray, run: Path) -> dict[str, Any]:
        """Accuracy on held-out images, clean and stamped, before and after."""
        new = self.predictions(run / "repaired" / Path(MODEL).name)
        seconds = json.loads((run / "run.json").read_text())["seconds"]
        clean, stamped = self.held & ~self.stamped, self.held & self.stamped
        shares = {}
        for name, chosen in (("clean", clean), ("stamped", stamped)):
            shares[name] = [float((p[chosen] == self.label[chosen]).mean()) for p in (old, new)]
        right = [p[clean] == self.label[clean] for p in (old, new)]
        gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
        others = stamped & (self.label != self.target)
        return {
            "back": round(
                (shares["stamped"][1] - shares["stamped"][0]) / (shares["clean"][0] - shares["stamped"][0]), 3
            ),
            **{name: [round(share, 3) for share in both] for name, both in shares.items()},
            "clean changes within": [round(end, 4) for end in paired(gained, lost, int(clean.sum()))],
            "taken for the stamp's class": [round(float((p[others] == self.target).mean()), 3) for p in (old, new)],
            "seconds": round(seconds["repair"] + seconds["repaired"], 1),
        }
