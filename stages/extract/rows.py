"""What the forward passes over one part's images gave, turned into its tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.extract.predictions import best, predictions
from activation_atlas.stages.extract.responses import RESPONSES, responses
from activation_atlas.stages.specs import folder
from activation_atlas.stages.stage import State, UserError
from activation_atlas.stages.tasks import log_odds

REJECTS = "rejects/extract"
TOP_ATTRIBUTED = 20
"""Classes kept of an image with ``attribution: top``."""


def positions(
    seed: int, image_id: str, height: int, width: int, edge: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the sampled positions of an image, sorted.

    Depends on the run's seed, the image and the map's size alone; min(count,
    available) of those at least ``edge`` from the border, without replacement.
    """
    inner = (height - 2 * edge, width - 2 * edge)
    available = inner[0] * inner[1]
    rng = np.random.default_rng([seed, int(image_id, 16), height, width])
    drawn = np.sort(rng.choice(available, min(count, available), replace=False))
    return drawn // inner[1] + edge, drawn % inner[1] + edge


class Extracted:
    """What the passes over one part's images gave, until it becomes tables.

    Args:
        counted: layers of which each channel's responses are wanted, and how many channels they have.
    """

    def __init__(self, images: pa.Table, params: Any, state: State, counted: Mapping[str, int]) -> None:
        self.images, self.params, self.state, self.counted = images, params, state, counted
        self.ids = images["image_id"].to_pylist()
        self.rejects: dict[int, str] = {}
        self.kept: list[int] = []
        self.columns: dict[str, list[np.ndarray]] = defaultdict(list)
        self.moments: list[np.ndarray] = []

    def reject(self, row: int, reason: str) -> None:
        self.rejects[row] = reason

    def add(self, sampler: Any, rows: list[int], prepared: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """One forward pass of the images at ``rows`` of the part."""
        done = sampler.forward(np.stack([image for image, _ in prepared]))
        sound = np.ones(len(rows), bool)
        for name, finite in done.finite.items():
            where = name if name == "logits" else f"layer {name}"
            for k in np.flatnonzero(sound & ~finite):
                self.reject(rows[k], f"the model gives NaN or infinite values ({where})")
            sound &= finite
        samples = {layer: self._sample(sampler, done, layer, rows, sound) for layer in self.params.layers}
        for layer, (_, _, _, _, own) in samples.items():  # NaN that only the derivative shows
            for k in np.flatnonzero(sound & ~own):
                self.reject(rows[k], f"the attributions are NaN or infinite (layer {layer})")
            sound &= own
        for layer, (image, row, col, taken, _) in samples.items():
            here = sound[image]
            self._put(layer, image=np.array(rows)[image][here], row=row[here], col=col[here])
            self._put(layer, activation=taken.activation[here])
            if taken.attribution is not None:
                attribution = taken.attribution[here]
                if self.state["top"]:
                    attributed = best(done.logits, TOP_ATTRIBUTED).astype(np.int32)[image][here]
                    attribution = np.take_along_axis(attribution, attributed, 1)
                    self._put(layer, attributed_classes=attributed)
                self._put(layer, attribution=attribution)
        for layer, vectors in done.features.items():
            self._put(f"{layer} features", vector=self._narrow(vectors[sound], f"the features of layer {layer}"))
        for layer, maps in done.maps.items():
            self._put(f"{layer} responses", **responses(maps[sound]))
        self._put("predictions", logits=done.logits[sound], probabilities=done.probabilities[sound])
        self.kept.extend(row for k, row in enumerate(rows) if sound[k])
        self.moments += [m for k, (_, m) in enumerate(prepared) if sound[k]]

    def _put(self, table: str, **columns: np.ndarray) -> None:
        for name, values in columns.items():
            self.columns[f"{table}.{name}"].append(values)

    def _sample(self, sampler: Any, done: Any, layer: str, rows: list[int], sound: np.ndarray) -> tuple:
        about, params = self.state["layers"][layer], self.params
        size = (about["height"], about["width"], params.edge, params.positions_per_image)
        drawn = [(k, *positions(params.seed, self.ids[row], *size)) for k, row in enumerate(rows)]
        image = np.concatenate([np.full(len(down), k) for k, down, _ in drawn])
        row, col = (np.concatenate([each[axis] for each in drawn]) for axis in (1, 2))
        taken = sampler.samples(done, layer, image, row, col)
        # 1: not finite, 2: does not fit the dtype (see sampler); an image rejected already says neither.
        if (taken.state[sound[image]] == 2).any():
            self._too_large(f"layer {layer}")
        own = np.ones(len(rows), bool)
        own[image[taken.state == 1]] = False
        return image, row, col, taken, own

    def _narrow(self, values: np.ndarray, what: str) -> np.ndarray:
        with np.errstate(over="ignore"):
            narrow = values.astype(self.params.dtype)
        if not np.isfinite(narrow).all():
            self._too_large(what)
        return narrow

    def _too_large(self, what: str) -> None:
        raise UserError(f"{what}: a value does not fit {self.params.dtype}; set extract.dtype: float32")

    # -- tables ------------------------------------------------------------------

    def tables(self) -> dict[str, pa.Table]:
        made = {
            "predictions": self._predictions(),
            REJECTS: self._rejected(),
            "pixels": self._moments(),
        }
        for layer in self.params.layers:
            made[f"activations/{folder(layer)}"] = self._activations(layer)
        ids = pa.array([self.ids[row] for row in self.kept], pa.string())
        for layer in self.params.features:
            channels = self.state["layers"][layer]["channels"]
            vectors = self._joined(f"{layer} features.vector", (0, channels), self.params.dtype)
            schema = tables.features(channels, self.params.dtype)
            made[f"features/{folder(layer)}"] = pa.table([ids, tables.from_numpy(vectors)], schema=schema)
        for layer in self.counted:
            made[f"responses/{folder(layer)}"] = self._responses(layer, ids)
        return made

    def _moments(self) -> pa.Table:
        """Of each image; none where tables stand in a model's place: they hold no pixels."""
        moments = np.stack(self.moments) if self.moments else np.zeros((0, 13), np.int64)
        columns = [
            pa.array([self.ids[row] for row in self.kept[: len(moments)]], pa.string()),
            pa.array(moments[:, 0]),
            tables.from_numpy(moments[:, 1:4] / 255.0),
            tables.from_numpy(moments[:, 4:] / 255.0**2),
        ]
        return pa.table(columns, tables.pixels())

    def _responses(self, layer: str, ids: pa.Array) -> pa.Table:
        channels = self.counted[layer]
        columns = [self._joined(f"{layer} responses.{name}", (0, channels), kind) for name, kind in RESPONSES.items()]
        return pa.table([ids, *map(tables.from_numpy, columns)], schema=tables.responses(channels))

    def _joined(self, column: str, empty: tuple[int, ...], dtype: Any) -> np.ndarray:
        parts = self.columns.pop(column, [])
        return np.concatenate(parts) if parts else np.zeros(empty, dtype)

    def _predictions(self) -> pa.Table:
        classes = len(self.state["classes"])
        logits, probabilities = (
            self._joined(f"predictions.{name}", (0, classes), np.float32) for name in ("logits", "probabilities")
        )
        least = log_odds(self.state.get("thresholds", 0.5)).astype(np.float32)
        return predictions(self.images.take(pa.array(self.kept, pa.int64())), logits, probabilities, least)

    def _rejected(self) -> pa.Table:
        rows = sorted(self.rejects)
        images = self.images.take(pa.array(rows, pa.int64()))
        stage, reason = (pa.array(x, pa.string()) for x in (["extract"] * len(rows), [self.rejects[r] for r in rows]))
        return pa.table([images["image_id"], images["uri"], stage, reason], schema=tables.rejects())

    def _activations(self, layer: str) -> pa.Table:
        dtype, channels = self.params.dtype, self.state["layers"][layer]["channels"]
        top, attributed = self.state["top"], len(self.state["attributed"])
        attributed = min(TOP_ATTRIBUTED, attributed) if top else attributed
        image = self._joined(f"{layer}.image", (0,), np.int64)
        columns = [
            pa.array(self.ids, pa.string()).take(pa.array(image)),
            *(pa.array(self._joined(f"{layer}.{axis}", (0,), np.int16).astype(np.int16)) for axis in ("row", "col")),
            tables.from_numpy(self._joined(f"{layer}.activation", (0, channels), dtype)),
        ]
        schema = tables.activations(channels, attributed, dtype)
        if attributed:
            columns.append(tables.from_numpy(self._joined(f"{layer}.attribution", (0, attributed), dtype)))
        if top:
            classes = self._joined(f"{layer}.attributed_classes", (0, attributed), np.int32)
            columns.append(tables.from_numpy(classes))
            schema = schema.append(pa.field("attributed_classes", tables.vector(attributed, "int32")))
        return pa.table(columns, schema=schema)
