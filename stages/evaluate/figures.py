"""The figures of one part's maps, gathered image by image; forward passes are made a full batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.evaluate.pointing import energy, pointing
from activation_atlas.stages.evaluate.spread import complexity, sparseness
from activation_atlas.stages.vision.attribution.boxes import Box, largest, overlap, thresholded
from activation_atlas.stages.vision.attribution.pixels import at_input, draw, order, random_map
from activation_atlas.stages.vision.place import Place

SMOOTH = "random"
"""The random map of 8 x 8 cells; the other is of single pixels."""


def steps_of(asked: int, size: tuple[int, int]) -> int:
    """Steps of deletion and insertion: of an input of fewer pixels, one for each."""
    return min(asked, size[0] * size[1])


MEASURES = ("deletion", "insertion", "pointing", "energy", "area", "iou")


class Figures:
    """Rows of ``faithfulness``, one for each row of ``maps``.

    Args:
        boxes: of the table ``boxes``, where boxes are measured.

    Attributes:
        rows: image id to the numbers of its rows.
        channels: of the pixels that :meth:`add` takes.
    """

    def __init__(self, params: Any, size: tuple[int, int], maps: pa.Table, boxes: pa.Table | None = None) -> None:
        keys = [] if boxes is None else zip(boxes["image_id"].to_pylist(), boxes["target"].to_pylist(), strict=True)
        self.boxes = dict(zip(keys, boxes["input"].to_pylist(), strict=True)) if boxes is not None else {}
        self.params, self.size, self.maps = params, size, maps
        self.method = params.method and params.method.at(size)
        self.targets = maps["target"].to_pylist()
        # What a method's map is flagged for is no flaw of the random one.
        self.flags = maps["flag"].to_pylist() if self.method else [None] * len(maps)
        self.rows: dict[str, list[int]] = {}
        for row, image_id in enumerate(maps["image_id"].to_pylist()):
            self.rows.setdefault(image_id, []).append(row)
        self.found: dict[str, list[Any]] = {name: [None] * len(maps) for name in MEASURES}
        self.waiting: list[tuple[np.ndarray, np.ndarray, list[int]]] = []
        self.curves, self.road, self.channels = None, None, 3
        self.removed: dict[int, list[dict[str, Any]]] = {}
        self.spread: dict[int, dict[str, Any]] = {}
        if len(maps) and (params.deletion or params.insertion):
            from activation_atlas.stages.vision.attribution.deletion import pixel_curves

            steps = steps_of(params.steps, size)
            self.curves = pixel_curves(params.model, params.batch, steps, params.deletion, params.insertion)
            self.channels = self.curves.model.channels
        if len(maps) and params.road:
            from activation_atlas.stages.vision.attribution.road import road

            self.road = road(params.model, params.batch)
            self.channels = self.road.model.channels

    def flag(self, image_id: str, reason: str) -> None:
        """Says of an image's rows why something is missing; what the map itself is flagged for stays."""
        for row in self.rows[image_id]:
            self.flags[row] = self.flags[row] or reason

    def add(self, image_id: str, pixels: np.ndarray, inside: np.ndarray | None, things: Sequence[Box] = ()) -> None:
        """An image: uint8 (h, w, c) at the model's size, where the thing is, (h, w) bool, and the boxes around it."""
        random = draw(image_id, self.params.seed, self.size)
        same: dict[bytes, tuple[np.ndarray, list[int]]] = {}
        for row in self.rows[image_id]:
            if inside is not None:
                self.found["area"][row] = float(inside.mean())
            values = self._values(row, image_id)
            if values is None:
                continue
            if self.params.complexity:
                told = {"complexity": complexity(values), "sparseness": sparseness(values)}
                self.spread[row] = self._about(row, image_id) | told
            if inside is not None:
                self.found["pointing"][row] = pointing(values, inside, self.params.tolerance)
                self.found["energy"][row] = energy(values, inside)
                self.found["iou"][row] = self._iou(image_id, row, values, things)
            # Targets whose maps are one share their forward passes.
            same.setdefault(values.tobytes(), (values, []))[1].append(row)
        for values, rows in same.values() if self.road or self.curves else ():
            ranks = order(values, random)
            if self.road is not None:
                left = self.road(pixels, ranks, (image_id, self.params.seed))
                self.removed |= {row: self._removed(row, image_id, left) for row in rows}
            if self.curves is not None:
                self.waiting.append((pixels, ranks, rows))
                if len(self.waiting) == self.params.batch:
                    self._walk()

    def _removed(self, row: int, image_id: str, left: np.ndarray) -> list[dict[str, Any]]:
        """What ROAD left of a map's class at each percentage, of (2, percentages, K)."""
        from activation_atlas.stages.vision.attribution.road import PERCENT

        target, about, made = self.targets[row], self._about(row, image_id), []
        for k, percent in enumerate(PERCENT):
            found: dict[str, Any] = {"percent": percent}
            for name, values in zip(("morf", "lerf"), left[:, k], strict=True):
                sound = bool(np.isfinite(values).all())
                found[name] = float(values[target]) if sound else None
                found[f"{name}_first"] = bool(values.argmax() == target) if sound else None
            made.append(about | found)
        return made

    def _about(self, row: int, image_id: str) -> dict[str, Any]:
        kinds = self.maps["target_kinds"][row].as_py()
        return {"image_id": image_id, "target": self.targets[row], "target_kinds": kinds}

    def _iou(self, image_id: str, row: int, values: np.ndarray, things: Sequence[Box]) -> float | None:
        """How far the box of a map meets the nearest of the boxes around the thing; None where none was looked for."""
        if self.params.share is None or not things:
            return None
        box: Any = self.boxes.get((image_id, self.targets[row]))
        if self.method is None:
            piece = largest(thresholded(values, self.params.share))
            box = piece and piece[0]
        elif (image_id, self.targets[row]) not in self.boxes:
            return None
        return max((overlap(box, thing) for thing in things), default=0.0) if box is not None else 0.0

    def _values(self, row: int, image_id: str) -> np.ndarray | None:
        """The map on the pixels of the model's input; None for one that orders nothing."""
        if self.method is None:
            return random_map(image_id, self.params.seed, self.size, self.params.random == SMOOTH)
        if self.maps["flag"][row].as_py() is not None:
            return None
        shape = (self.maps["height"][row].as_py(), self.maps["width"][row].as_py())
        values = self.maps["map"][row].values.to_numpy(zero_copy_only=False).reshape(shape)
        return at_input(values, self.method, self.size, Place.at(self.maps, row))

    def _walk(self) -> None:
        from activation_atlas.stages.vision.attribution.deletion import area

        if self.curves is None or not self.waiting:
            return
        curves = self.curves(np.stack([w[0] for w in self.waiting]), np.stack([w[1] for w in self.waiting]))
        for name in ("deletion", "insertion"):
            curve = getattr(curves, name)
            for k, (_, _, rows) in enumerate(self.waiting) if curve is not None else ():
                for row in rows:
                    score = float(area(curve[k, :, self.targets[row]]))
                    self.found[name][row] = score if np.isfinite(score) else None
        self.waiting.clear()

    def removals(self) -> pa.Table:
        """Rows of ``road``, of the maps that order anything."""
        rows = [row for _, of_map in sorted(self.removed.items()) for row in of_map]
        return pa.Table.from_pylist(rows, schema=tables.road())

    def spreads(self) -> pa.Table:
        """Rows of ``complexity``, of the maps that say anything."""
        return pa.Table.from_pylist([self.spread[row] for row in sorted(self.spread)], schema=tables.complexity())

    def table(self) -> pa.Table:
        self._walk()
        columns = {name: self.maps[name] for name in ("image_id", "target", "target_kinds")}
        columns |= {**self.found, "flag": self.flags}
        schema = tables.faithfulness()
        made = [c if isinstance(c := columns[f.name], pa.ChunkedArray) else pa.array(c, f.type) for f in schema]
        return pa.table(made, schema=schema)
