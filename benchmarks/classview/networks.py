"""The networks whose class views are judged, and their runs, made with the project's own command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from activation_atlas.pipeline.config import Config, load
from activation_atlas.pipeline.inputs import StoreInputs
from activation_atlas.pipeline.steps import steps
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.groups import groups_of
from activation_atlas.stages.specs import ModelSpec, ViewSpec
from activation_atlas.stages.stage import State

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Network:
    """A run with one atlas.

    Attributes:
        about: what it is called in the tables.
        side: of the grid that the table of statistics is of.
        few: cells along one side where positions are few.
        positions: of each photograph that other evidence is computed at.
        config: of the run; paths of data are below the folder of the real models and images.
    """

    about: str
    side: int
    few: int
    positions: int
    config: dict[str, Any]

    @property
    def model(self) -> ModelSpec:
        return ModelSpec(**self.config["model"])


def _config(model: dict[str, Any], images: dict[str, Any], atlas: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"run": {"seed": 0}, "model": model, "images": images, "atlases": [{**atlas, "render": None}], **more}


def known_networks(data: Path) -> dict[str, Network]:
    """By name; ``data`` holds ``models`` and ``data``."""
    names, sample = f"{data}/models/imagenet_classes.txt", f"{data}/data/imagenet_sample"
    photographs = {"path": f"{sample}/images", "labels": f"{sample}/labels.csv", "label_column": "label"}
    photographs |= {"resize": 224, "crop": "center"}
    groups = {"classes": {"groups": str(ROOT / "configs/groups/imagenet.yaml")}}
    many = {"extract": {"positions_per_image": 100}, **groups}
    return {
        "mobilenet": Network(
            "MobileNet on 1,000 photographs, conv_pw_11, 20 x 20", 20, 14, 10,
            _config(
                {"path": f"{data}/models/mobilenet_075_224_imagenet.keras", "classes": names, "range": [-1, 1]},
                photographs, {"name": "conv_pw_11", "layer": "conv_pw_11_relu", "grids": [10, 20, 40]}, **many,
            ),
        ),
        "efficientnet": Network(
            "EfficientNet-Lite0 on 1,000 photographs, block10_add, 14 x 14", 14, 14, 10,
            _config(
                {"path": f"{data}/models/efficientnet_lite0_imagenet.keras", "classes": names, "range": [0, 255]},
                photographs, {"name": "block10", "layer": "block10_add", "grids": [7, 14, 28]}, **many,
            ),
        ),
        "cifar10": Network(
            "CIFAR-10 residual network, re_lu_8, 10 x 10", 10, 10, 1,
            _config(
                {"path": f"{data}/models/cifar10_resnet_clean.keras", "classes": f"{data}/models/cifar10_classes.txt"},
                {"path": f"{data}/data/cifar10/test.parquet"},
                {"name": "last-block", "layer": "re_lu_8", "grids": [10, 20]},
                extract={"positions_per_image": 10},
            ),
        ),
        "demo": Network(
            "the demo, mixed, 8 x 8", 8, 8, 8,
            _config(
                {"path": "demo:scenes.keras", "classes": "demo:scenes_classes.txt"},
                {"path": "demo:scenes?images=1200"}, {"name": "mixed", "layer": "mixed", "grids": [8, 16]},
                extract={"positions_per_image": 25},
            ),
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """A run that is there.

    Attributes:
        inputs: its tables.
        groups: class indices of each group; each class by itself where the run has none.
        grouped: whether the groups are given.
    """

    network: Network
    config: Config
    inputs: StoreInputs
    view: ViewSpec
    extract: State
    groups: dict[str, list[int]]
    grouped: bool

    @property
    def evidence(self) -> str:
        """How its attributions were computed, e.g. ``removal 3 x 3``."""
        by, window, fill = (self.extract[name] for name in ("by", "window", "fill"))
        if by == "gradient":
            return by
        return f"{by} {window} x {window}" + (f", to the {fill}" if by == "removal" and fill != "zero" else "")


def made(name: str, network: Network, folder: Path, by: str | None = None) -> Kept:
    """The run ``name`` below ``folder``, as far as ``validity``; what is missing or stale of it is made.

    Its configuration stays beside it, and is not written again: who changes it (``extract: {by: removal}``, say) is
    told what holds of that. ``by``: the evidence to ask for; None for what the project takes.
    """
    path, out = folder / f"{name}.yaml", folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        asked = {} if by is None else {"extract": {**network.config["extract"], "by": by}}
        path.write_text(yaml.safe_dump({**network.config, **asked}, sort_keys=False), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "activation_atlas.pipeline.cli",
        "run",
        str(path),
        "--out",
        str(out),
        "--until",
        "validity",
    ]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    config = load(str(path))
    view = config.atlases[0].view
    inputs = StoreInputs(Store(out), "validity", view.name)
    extract = inputs.state("extract", "")
    asked = next(step.params.groups for step in steps(config) if step.stage.name == "validity")
    groups = groups_of(inputs, asked)
    alone = {name: [k] for k, name in enumerate(extract["classes"])}
    return Kept(network, config, inputs, view, extract, groups or alone, bool(groups))


def medians(kept: Kept, by_class: np.ndarray) -> dict[str, float]:
    """Of figures of every attributed class (A,) the median over each group's classes; or over all classes."""
    column = {int(index): k for k, index in enumerate(kept.extract["attributed"])}
    if not kept.grouped:
        return {"classes": float(np.nanmedian(by_class))}
    return {name: float(np.nanmedian(by_class[[column[k] for k in of]])) for name, of in kept.groups.items()}


def table(head: list[str], rows: list[list[str]], chosen: int | None = None) -> None:
    """Prints a table as Markdown, the chosen row in bold."""
    rows = [[f"**{cell}**" for cell in row] if k == chosen else row for k, row in enumerate(rows)]
    width = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    for row in [head, ["-" * w for w in width], *rows]:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)) + " |", flush=True)
