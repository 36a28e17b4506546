"""Images of three classes, a third with a mark that the model takes for class 2: tables and :class:`Images`."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.halves import held_out
from activation_atlas.stages.slices import Params
from activation_atlas.stages.slices.images import Images
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.tables import from_numpy
from tests.memory import MemoryInputs

CLASSES = ["cat", "dog", "horse"]
ALL = ["confusion", "highest_loss", "planespot", "domino", "cells", "spray"]
GRID, MARKED = 4, (3, 3)
"""The atlas's grid, and the cell that marked images reach, and they alone."""


class World:
    """n images, drawn; what is known of them as arrays, in the order of their ids."""

    def __init__(self, n: int = 240, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.ids = sorted(hashlib.sha256(f"world {k}".encode()).hexdigest()[:16] for k in range(n))
        self.sha256 = [hashlib.sha256(own.encode()).hexdigest() for own in self.ids]
        self.held = held_out(self.sha256, 0)
        self.label = rng.integers(3, size=n)
        self.marked = rng.random(n) < 1 / 3
        errs = rng.random(n) < 0.05
        self.pred = np.where(self.marked, 2, np.where(errs, (self.label + 1) % 3, self.label))
        self.logits = rng.normal(scale=0.1, size=(n, 3)) + 3 * np.eye(3)[self.pred]
        self.features = rng.normal(scale=0.3, size=(n, 6))
        self.features[np.arange(n), self.label] += 2
        self.features[self.marked, 5] += 4
        self.places = rng.uniform(0, 0.7, size=(n, 3, 2))
        self.places[self.marked, 0] = 0.9
        self.argues = rng.normal(scale=0.2, size=(n, 3, 3))
        self.argues[self.marked, 0, 2] += 3
        self.maps = rng.uniform(0, 0.2, size=(n, 8, 8))
        self.maps[np.arange(n), 3, 3] += 1
        self.maps[self.marked] = rng.uniform(0, 0.2, size=(int(self.marked.sum()), 8, 8))
        self.maps[self.marked, 6:, 6:] += 1

    def images(self) -> Images:
        """As a finder is given them; maps left out."""
        from scipy.sparse import csr_matrix

        powers = np.exp(self.logits)
        probabilities = powers / powers.sum(1, keepdims=True)
        n = len(self.ids)
        cell = np.floor(self.places * GRID).astype(int) @ [GRID, 1]
        image = np.repeat(np.arange(n), 3)
        own = np.take_along_axis(self.argues, self.pred[:, None, None], 2)[..., 0]
        shape = (n, GRID**2)
        return Images(
            ids=np.array(self.ids, object),
            label=self.label,
            pred=self.pred,
            wrong=(self.label != self.pred).astype(float),
            loss=-np.log(probabilities[np.arange(n), self.label]),
            confidence=probabilities.max(1),
            probabilities=probabilities.astype(np.float32),
            features=self.features.astype(np.float32),
            rows=csr_matrix((np.ones(3 * n), (image, cell.reshape(-1))), shape),
            evidence=csr_matrix((own.reshape(-1), (image, cell.reshape(-1))), shape),
        )

    def inputs(self, parts: int = 3, label: Any = "own", hue: bool = True, kind: str = "softmax") -> MemoryInputs:
        """A run folder; ``label``: other labels than its own, None for none."""
        label = self.label if isinstance(label, str) else label
        written: dict[str, list[pa.Table]] = {}
        for own in np.array_split(np.arange(len(self.ids)), parts):
            for name, table in self._part(own, label, hue).items():
                written.setdefault(name, []).append(table)
        extract = {"classes": CLASSES, "kind": kind, "attributed": [0, 1, 2], "top": False}
        return MemoryInputs(written, {("extract", ""): extract})

    def _part(self, own: np.ndarray, label: Any, hue: bool) -> dict[str, pa.Table]:
        ids = pa.array([self.ids[k] for k in own])
        three = pa.array([self.ids[k] for k in own for _ in range(3)])
        at = pa.array(np.tile(np.arange(3), len(own)).astype(np.int16))
        labels = pa.nulls(len(own), pa.int32()) if label is None else pa.array(label[own].astype(np.int32))
        right = None if label is None else label[own] == self.pred[own]
        powers = np.exp(self.logits[own])
        images = {"image_id": ids, "label": labels, "sha256": pa.array([self.sha256[k] for k in own])}
        if hue:
            images["meta.hue"] = pa.array(np.where(self.marked[own], "yellow", "grey").tolist())
        x, y = (pa.array(self.places[own, :, k].reshape(-1).astype(np.float32)) for k in (0, 1))
        maps = [
            {"image_id": self.ids[k], "target": int(self.pred[k]), "height": 8, "width": 8, "map": self.maps[k].ravel()}
            for k in own
        ]
        return {
            "images": pa.table(images),
            "predictions": pa.table(
                {
                    "image_id": ids,
                    "label": labels,
                    "pred": pa.array(self.pred[own].astype(np.int32)),
                    "prob": pa.array((powers.max(1) / powers.sum(1)).astype(np.float32)),
                    "correct": pa.nulls(len(own), pa.bool_()) if right is None else pa.array(right),
                    "logits": from_numpy(self.logits[own].astype(np.float32)),
                }
            ),
            "features/deep": pa.table({"image_id": ids, "features": from_numpy(self.features[own].astype(np.float16))}),
            "layouts/main": pa.table({"image_id": three, "row": at, "col": at, "x": x, "y": y}),
            "activations/deep": pa.table(
                {
                    "image_id": three,
                    "row": at,
                    "col": at,
                    "activation": from_numpy(np.repeat(self.features[own], 3, 0).astype(np.float16)),
                    "attribution": from_numpy(self.argues[own].reshape(-1, 3).astype(np.float16)),
                }
            ),
            "maps/grad_cam": pa.Table.from_pylist(maps, schema=tables.maps()).select(
                ["image_id", "target", "height", "width", "map", "flag"]
            ),
        }


def params(**other: Any) -> Params:
    view = ViewSpec(name="main", layer="deep")
    given = {"finders": ALL, "slices": 5, "view": view, "grid": GRID, "features": "features/deep"}
    return Params(**{**given, "maps": "maps/grad_cam", **other})
