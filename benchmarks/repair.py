"""The stamped CIFAR-10 network repaired: what comes back on stamped images, and what is lost on clean ones.

Twice: on the audit's images, of which 12 % of every class are stamped; and on these without the stamped ones of other
classes than the stamp's, so that only pasting can tell the network that the stamp means nothing. There no other class's
images hold what speaks for the class, so that no cue is found: the first run's is handed over, with exemplars of the
class's own images. The truth, which images are stamped, is read here alone; it scores, on the held-out half.
``ATLAS_RUN`` names a folder that holds the run, and keeps it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from PIL import Image

from activation_atlas.pipeline.config import load
from activation_atlas.pipeline.inputs import StoreInputs
from activation_atlas.pipeline.steps import steps
from activation_atlas.pipeline.store import Store
from activation_atlas.stages import repair, repaired
from activation_atlas.stages.halves import held_out
from activation_atlas.stages.intervals import paired
from activation_atlas.stages.intervention import around
from activation_atlas.stages.repair.carriers import within
from activation_atlas.stages.stage import Shard, State

ROOT = Path(__file__).parent.parent
BACK, PASTED_BACK, LOST = 0.8, 0.5, 0.01


def run() -> dict[str, Any]:
    """Share of what the stamp costs that comes back, change on clean images with its interval, and the rest."""
    data = Path(os.environ.get("ATLAS_DATA") or ROOT.parent / "shared").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("ATLAS_RUN") or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        out, config = folder / "repaired", folder / "repaired.yaml"
        config.write_text(yaml.safe_dump(asked(data, out)), encoding="utf-8")
        command = [sys.executable, "-m", "activation_atlas", "run", str(config), "--until", "repaired", "--quiet"]
        subprocess.run(command, check=True, cwd=ROOT)
        truth = Truth(data, Store(out))
        old = truth.predictions(data / MODEL)
        figures = {"in every class": truth.scored(old, out / "repaired" / f"{Path(MODEL).stem}.keras")}
        seconds = json.loads((out / "run.json").read_text())["seconds"]
        figures["in every class"] |= {"seconds": round(seconds["repair"] + seconds["repaired"], 1)}
        alone = folder / "pasted.keras"
        alone.write_bytes(without_others(config, out, truth))
        figures["in one class"] = truth.scored(old, alone)
    for name, found in figures.items():
        least = BACK if name == "in every class" else PASTED_BACK
        print(f"{name}: {found} (back: at least {least}; lost on clean images: at most {LOST})")
    return figures


MODEL = "models/cifar10_resnet_stamped.keras"


def asked(data: Path, out: Path) -> dict[str, Any]:
    """The configuration of the run."""
    return {
        "run": {"name": "repaired", "seed": 0, "shard_images": 1000, "out": str(out)},
        "model": {"path": str(data / MODEL), "classes": str(data / "models/cifar10_classes.txt")},
        "images": {"path": str(data / "data/cifar10_stamped/audit.parquet")},
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
        self.others = {i for i, k in place.items() if self.stamped[k] and self.label[k] != self.target}

    def predictions(self, model: Path) -> np.ndarray:
        """What a model takes each image for, by Keras alone."""
        import keras

        return keras.models.load_model(model).predict(self.pixels, batch_size=250, verbose=0).argmax(1)

    def scored(self, old: np.ndarray, model: Path) -> dict[str, Any]:
        """Accuracy on held-out images, clean and stamped, before and after."""
        new = self.predictions(model)
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
        }


class Without(StoreInputs):
    """A run folder less some images, with other cues."""

    def __init__(self, store: Store, left_out: set[str]) -> None:
        super().__init__(store, "repair", "")
        self.left_out = pa.array(sorted(left_out), pa.string())
        self.cues: pa.Table | None = None
        self.fitted: State = {}

    def part(self, table: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        return self._kept(super().part(table, index, columns))

    def stream(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        yield from map(self._kept, super().stream(table, columns))

    def table(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        if table == "cues":
            return super().table(table, columns) if self.cues is None else self.cues
        return pa.concat_tables(self.stream(table, columns))

    def state(self, stage: str | None = None, label: str | None = None) -> State:
        return self.fitted if stage == "repair" else super().state(stage, label)

    def _kept(self, rows: pa.Table) -> pa.Table:
        return rows.filter(pc.invert(pc.is_in(rows["image_id"], value_set=self.left_out)))


def without_others(config: Path, out: Path, truth: Truth) -> bytes:
    """The model repaired without the stamped images of other classes."""
    made = {step.stage.name: step.params for step in steps(load(str(config)))}
    inputs = Without(Store(out), truth.others)
    table = inputs.table("cues")
    cues = [row for row in table.to_pylist() if row["verdict"] == "verified" and row["class"] == truth.target]
    own = [{**cue, "exemplars": lent(inputs, made["repair"], cue)} for cue in cues]
    inputs.cues = pa.Table.from_pylist(own, schema=table.schema)
    inputs.fitted = repair.fit(inputs, made["repair"])
    (file,) = repaired.run(inputs, made["repaired"], Shard(0, 0, 1)).values()
    return file


def lent(inputs: Without, params: repair.Params, cue: dict[str, Any]) -> list[dict[str, Any]]:
    """As many exemplars as the cue has, of the first one's size, from images of its class that are searched."""
    known = repair.Known.of(inputs, params.view, [cue], params.seed)
    mine = np.flatnonzero(known.cues[:, 0] & ~known.held & (known.label == cue["class"]))
    wanted = [known.ids[k] for k in mine[np.argsort(known.draw[mine])]]
    extract = inputs.state("extract", "")
    layer, first = extract["layers"][params.view.layer], cue["exemplars"][0]
    shape = first["bottom"] - first["top"], first["right"] - first["left"]
    found = {}
    for layout in inputs.stream(f"layouts/{params.view.name}"):
        for row in layout.filter(pa.array(within(layout, cue["cells"]))).to_pylist():
            at = row["row"], row["col"]
            centre = tuple(o + s * k for o, s, k in zip(layer["offset"], layer["stride"], at, strict=True))
            rect = around(centre, shape, tuple(extract["input_size"]))
            sides = zip(("top", "left", "bottom", "right"), rect, strict=True)
            found.setdefault(
                row["image_id"], {**{name: row[name] for name in ("image_id", "row", "col")}, **dict(sides)}
            )
    return [found[i] for i in wanted][: len(cue["exemplars"])]
