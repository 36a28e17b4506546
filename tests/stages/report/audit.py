"""A small run for the page of mistakes: drawn photographs, hostile names, maps with every kind of flaw."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.report import Params
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.place import Place
from tests.memory import MemoryInputs
from tests.stages.report.scene import EVIL, png

CLASSES = ["cat", EVIL, "$horse & co"]
SIZE = (24, 24)
METHODS = [GradCam(), Occlusion(patch=8, stride=4), Saliency()]

ROWS = [  # id, label, pred, prob; of one part each
    [("a", 0, 1, 0.7), ("b", 1, 1, 0.99), ("c", 0, 2, 0.95)],
    [("d", 2, 0, 0.8), ("e", None, 0, 0.6), ("f", 1, 1, 0.5), ("g", 0, 1, 0.8)],
]


def predictions(rows: list[tuple], classes: int = len(CLASSES)) -> pa.Table:
    """The columns the page reads, second class and probabilities made up to fit."""
    found = []
    for image_id, label, pred, prob in rows:
        second = next(c for c in range(classes) if c != pred)
        left = (1 - prob) / (classes - 1)
        found.append(
            {
                "image_id": image_id,
                "label": label,
                "pred": pred,
                "prob": prob,
                "correct": None if label is None else label == pred,
                "top_classes": [pred, second],
                "top_probs": [prob, left],
                "label_prob": None if label is None else prob if label == pred else left,
                "logits": [0.0] * classes,
            }
        )
    return pa.Table.from_pylist(found, tables.predictions(classes))


def maps(rows: list[tuple], shape: tuple[int, int], layer: str | None, signed: bool) -> pa.Table:
    """A map for the prediction and for the label of each row; of ``a`` zero, of ``d`` not finite."""
    found = []
    for image_id, label, pred, _ in rows:
        asked = {pred: ["predicted"]}
        if label is not None:
            asked.setdefault(label, []).append("label")
        for target, kinds in asked.items():
            values = np.zeros(shape, np.float32)
            values[1, 2] = 2 if "predicted" in kinds else 1
            values[0, 0] = -1 if signed else 0
            if image_id == "a":
                values[:] = 0
            if image_id == "d":
                values[0, 1] = np.nan
            found.append(
                {
                    "image_id": image_id,
                    "target": target,
                    "target_kinds": kinds,
                    "layer": layer,
                    "height": shape[0],
                    "width": shape[1],
                    **Place.even(shape, SIZE).row(),
                    "map": values.ravel().tolist(),
                    "score": 1.5,
                    "gap": None,
                    "flag": {"a": "zero", "d": "not finite"}.get(image_id),
                }
            )
    return pa.Table.from_pylist(sorted(found, key=lambda r: (r["image_id"], r["target"])), tables.maps())


def audit(folder: Path, rows=ROWS, methods=METHODS, lost=(), **report) -> tuple[MemoryInputs, Params]:
    """Inputs and params; the photographs ``lost`` are gone since they were indexed."""
    images = []
    for part in rows:
        for k, (image_id, *_) in enumerate(part):
            if image_id not in lost:
                (folder / f"{image_id}.png").write_bytes(png((200, 60 * k % 255, 30)))
        images.append(
            pa.table(
                {
                    "image_id": [r[0] for r in part],
                    "uri": [str(folder / f"{r[0]}.png") for r in part],
                    "label": pa.array([r[1] for r in part], pa.int32()),
                    "split": pa.nulls(len(part), pa.string()),
                    "sha256": [""] * len(part),
                    "width": pa.array([24] * len(part), pa.int32()),
                    "height": pa.array([24] * len(part), pa.int32()),
                },
                tables.images(),
            )
        )
    found = {"images": images, "predictions": [predictions(part) for part in rows]}
    kinds = {
        "grad_cam": ((3, 4), "last", False),
        "occlusion": ((5, 5), None, True),
        "saliency": ((72, 72), None, False),
    }
    other = ((6, 4), None, True)
    for method in methods:
        found[f"maps/{method.variant}"] = [maps(part, *kinds.get(method.name, other)) for part in rows]
    states = {("extract", ""): {"classes": CLASSES, "attributed": [], "input_size": list(SIZE), "layers": {}}}
    params = Params(
        title=f"A run {EVIL}",
        views=[],
        images={"path": str(folder)},
        report={"poster": 480, **report},
        explain={"select": "all", "methods": methods, "targets": ["predicted", "label"]},
    )
    return MemoryInputs(found, states), params
