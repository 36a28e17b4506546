"""Tables from elsewhere: what a network of another framework makes of images, written as a run can read it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from activation_atlas.stages import tables
from activation_atlas.stages.classes import class_index
from activation_atlas.stages.extract.network import NAME, Layer, Network
from activation_atlas.stages.extract.rows import positions
from activation_atlas.stages.sources import image_id
from activation_atlas.stages.specs import folder
from activation_atlas.stages.stage import UserError

NARROW = {"float16": np.float16, "float32": np.float32}


class TableWriter:
    """Writes ``predictions``, ``activations/LAYER`` and ``features/LAYER`` for a run with ``model: {tables: FOLDER}``.

        with aa.TableWriter("exported", classes, ["layer3"], input_size=(224, 224)) as writer:
            writer.add("cats/1.jpg", logits, {"layer3": activation}, {"layer3": attribution})

    The folder is whole once the writer is closed; one that was left by an error has no ``network.json``, and no run
    takes it.

    Args:
        root: a folder that does not exist yet, or is empty; captions call the network as it.
        classes: names, in the order of the logits.
        layers: names; or a mapping of each to ``stride``, ``offset`` and ``receptive_field`` in pixels of the input
            (see ``network.json``). Where they are not given, positions are taken to lie evenly over the input.
        input_size: height and width of what the network was shown.
        kind: ``softmax``; ``sigmoid``, each class by itself (one logit for two classes is either); ``quantity``: the
            outputs are numbers as they are.
        attributed: the classes of the attributions' last axis, as indices or names; default: all, in order.
        by: what the attributions are: ``gradient`` (activation . d logit / d activation), ``insertion``, ``removal``.
        positions_per_image, edge, seed: which positions are kept, as in the section ``extract`` and ``run.seed``.
        dtype: of stored activations and attributions, ``float16`` or ``float32``.
        part_images: images of a part file, which are held in memory until it is written.

    Raises:
        UserError: the folder holds something, or what is said of the network cannot be.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        classes: Sequence[str],
        layers: Sequence[str] | Mapping[str, Mapping[str, Any]],
        *,
        input_size: tuple[int, int],
        kind: Literal["softmax", "sigmoid", "quantity"] = "softmax",
        attributed: Sequence[int | str] | None = None,
        by: Literal["gradient", "insertion", "removal"] = "gradient",
        positions_per_image: int = 100,
        edge: int = 1,
        seed: int = 0,
        dtype: Literal["float16", "float32"] = "float16",
        part_images: int = 256,
    ) -> None:
        self.root, self.classes, self.dtype = Path(root), list(classes), dtype
        self._given = dict(layers) if isinstance(layers, Mapping) else {layer: {} for layer in layers}
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise UserError(f"{self.root}: exists; give a folder that does not, or delete it")
        chosen = range(len(self.classes)) if attributed is None else attributed
        self._attributed = [self._class(c) for c in chosen]
        self._said: dict[str, Any] = {"classes": self.classes, "kind": kind, "by": by}
        self._said["input_size"] = tuple(int(side) for side in input_size)
        blank = {layer: Layer(channels=1, height=1, width=1) for layer in self._given}
        _sound("aa.TableWriter", lambda: Network(layers=blank, attributed=self._attributed, **self._said))
        self._sampling = {"edge": edge, "count": positions_per_image}
        self.seed, self._part_images = seed, part_images
        self._layers: dict[str, Layer] = {}
        self._attributes: bool | None = None
        self._one: bool | None = None  # logit of two classes
        self._ids: set[str] = set()
        self._part, self._held = 0, 0
        self._columns: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        self.root.mkdir(parents=True, exist_ok=True)

    def _class(self, asked: int | str) -> int:
        if isinstance(asked, str):
            return class_index(asked, self.classes, "attributed")
        if not 0 <= asked < len(self.classes):
            raise UserError(
                f"attributed: {asked} is none of the {len(self.classes)} classes, 0 to {len(self.classes) - 1}"
            )
        return int(asked)

    def positions(self, path: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns that :meth:`add` keeps of an image's map: for who computes attributions only there."""
        return positions(self.seed, image_id(path), height, width, self._edge(height, width), self._sampling["count"])

    def _edge(self, height: int, width: int) -> int:
        return 0 if (height, width) == (1, 1) else self._sampling["edge"]

    def add(
        self,
        path: str,
        logits: Any,
        activations: Mapping[str, Any],
        attributions: Mapping[str, Any] | None = None,
    ) -> None:
        """One image.

        Args:
            path: of the image, relative to the ``images.path`` of the run, with ``/``: ``cats/1.jpg``.
            logits: (K,): what goes into the softmax or sigmoid.
            activations: of each layer (height, width, channels), or (channels,) where it is a vector.
            attributions: of each layer (height, width, A), or (n, A) at :meth:`positions`; A: classes attributed. For
                all images, or for none.

        Raises:
            UserError: it is there already, or a shape is not that of the first image; nothing of it is written.
        """
        if (own := image_id(path)) in self._ids:
            raise UserError(f"{path}: is written already")
        scores = self._logits(path, logits)
        if set(activations) != set(self._given):
            raise UserError(f"{path}: activations of {sorted(activations)}, but layers are {sorted(self._given)}")
        if self._attributes not in (None, bool(attributions)):
            raise UserError(f"{path}: attributions are for all images or for none")
        rows = {layer: self._rows(path, layer, activations[layer], attributions) for layer in self._given}
        self._attributes, self._one = bool(attributions), np.size(logits) < len(self.classes)
        self._ids.add(own)
        self._columns["predictions"]["image_id"].append(own)
        self._columns["predictions"]["path"].append(path)
        self._columns["predictions"]["logits"].append(scores)
        for layer, columns in rows.items():
            for column, values in columns.items():
                self._columns[layer][column].append(values)
            self._columns[layer]["image_id"].append([own] * len(columns["row"]))
        self._held += 1
        if self._held == self._part_images:
            self._write()

    def _logits(self, path: str, logits: Any) -> np.ndarray:
        scores = np.asarray(logits, np.float32).reshape(-1)
        one = len(scores) == 1 and len(self.classes) == 2 and self._said["kind"] != "quantity"
        if self._one not in (None, one):
            raise UserError(f"{path}: {len(scores)} logits, but those before are {1 if self._one else 2}")
        if one:  # the sigmoid of z is the softmax of 0 and z
            scores = np.array([0, scores[0]], np.float32)
        if len(scores) != len(self.classes):
            raise UserError(f"{path}: {len(scores)} logits, but there are {len(self.classes)} classes")
        if not np.isfinite(scores).all():
            raise UserError(f"{path}: the logits are NaN or infinite")
        return scores

    def _rows(self, path: str, layer: str, activation: Any, attributions: Mapping[str, Any] | None) -> dict[str, Any]:
        values = np.asarray(activation)
        values = values[None, None] if values.ndim == 1 else values
        where = f"{path}: layer {layer}"
        if values.ndim != 3:
            raise UserError(f"{where}: activations of shape {values.shape}; give (height, width, channels)")
        about = self._about(layer, *values.shape)
        if values.shape != (about.height, about.width, about.channels):
            first = (about.height, about.width, about.channels)
            raise UserError(f"{where}: activations of shape {values.shape}, but those before are {first}")
        edge, size = self._edge(about.height, about.width), (about.height, about.width)
        if min(size) <= 2 * edge:
            raise UserError(f"{where}: no position of its {about.height} x {about.width} is {edge} from the border")
        row, col = self.positions(path, *size)
        made = {"row": row.astype(np.int16), "col": col.astype(np.int16)}
        made["activation"] = self._narrow(where, "activations", values[row, col])
        made["features"] = self._narrow(where, "activations", values.mean((0, 1), np.float64))
        if attributions:
            if layer not in attributions:
                raise UserError(f"{where}: has no attributions; give those of every layer, or none")
            argued = np.asarray(attributions[layer])
            argued = argued[row, col] if argued.ndim == 3 and argued.shape[:2] == size else argued
            if argued.shape != (len(row), len(self._attributed)):
                wanted = f"({about.height}, {about.width}, {len(self._attributed)})"
                raise UserError(
                    f"{where}: attributions of shape {np.shape(attributions[layer])}; give {wanted}, a number for each "
                    f"position and class, or {(len(row), len(self._attributed))} at the positions kept"
                )
            made["attribution"] = self._narrow(where, "attributions", argued)
        return made

    def _about(self, layer: str, height: int, width: int, channels: int) -> Layer:
        if layer not in self._layers:
            steps = [size / n for size, n in zip(self._said["input_size"], (height, width), strict=True)]
            evenly = {"stride": tuple(steps), "offset": tuple((step - 1) / 2 for step in steps)}
            about = {"height": height, "width": width, "channels": channels, **evenly, **self._given[layer]}
            self._layers[layer] = _sound(f"layer {layer}", lambda: Layer(**about))
        return self._layers[layer]

    def _narrow(self, where: str, what: str, values: np.ndarray) -> np.ndarray:
        if not np.isfinite(values).all():
            raise UserError(f"{where}: the {what} are NaN or infinite")
        with np.errstate(over="ignore"):
            narrow = values.astype(NARROW[self.dtype])
        if not np.isfinite(narrow).all():
            raise UserError(f"{where}: the {what} do not fit {self.dtype}; give dtype='float32'")
        return narrow

    # -- files ---------------------------------------------------------------------

    def _write(self) -> None:
        said = self._columns.pop("predictions")
        ids = pa.array(said["image_id"], pa.string())
        logits = tables.from_numpy(np.stack(said["logits"]))
        told = pa.table({"image_id": ids, "path": pa.array(said["path"], pa.string()), "logits": logits})
        self._put("predictions", told)
        for layer in self._given:
            columns = self._columns.pop(layer)
            made: dict[str, Any] = {"image_id": pa.array(np.concatenate(columns["image_id"]).tolist(), pa.string())}
            made |= {axis: pa.array(np.concatenate(columns[axis])) for axis in ("row", "col")}
            for name in ("activation", "attribution"):
                if name in columns:
                    made[name] = tables.from_numpy(np.concatenate(columns[name]))
            self._put(f"activations/{folder(layer)}", pa.table(made))
            means = tables.from_numpy(np.stack(columns["features"]))
            self._put(f"features/{folder(layer)}", pa.table({"image_id": ids, "features": means}))
        self._part, self._held = self._part + 1, 0

    def _put(self, table: str, rows: pa.Table) -> None:
        place = self.root / table
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, place / f"part-{self._part:05}.parquet", compression="zstd")

    def close(self) -> None:
        """Writes what is held and ``network.json``: the folder is whole.

        Raises:
            UserError: no image was added.
        """
        if (self.root / NAME).exists():
            return
        if not self._ids:
            raise UserError(f"{self.root}: no image was added")
        if self._held:
            self._write()
        attributed = self._attributed if self._attributes else []
        said = self._said | ({"kind": "softmax"} if self._one else {})
        Network(layers=self._layers, attributed=attributed, **said).write(self.root)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()


Made = TypeVar("Made")


def _sound(where: str, make: Callable[[], Made]) -> Made:
    """What ``make`` makes; UserError with the first of what cannot be."""
    try:
        return make()
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"] if isinstance(part, str))
        raise UserError(f"{where}: {place}{first['msg'].removeprefix('Value error, ')}") from None
