"""Small tables of activations, attributions and predictions that the stages after extract are tested on."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.tables import activations, features, from_numpy, predictions
from tests.memory import MemoryInputs

CLASSES = ["fireboat", "streetcar", "otter", "crane"]


def image_ids(count: int) -> list[str]:
    return sorted(hashlib.sha256(str(i).encode()).hexdigest()[:16] for i in range(count))


def memory(
    vectors: np.ndarray,
    attribution: np.ndarray | None = None,
    attributed: list[int] | None = None,
    top_classes: np.ndarray | None = None,
    positions: int = 5,
    shard_images: int = 4,
    labels: list[int | None] | None = None,
    pred: list[int] | None = None,
    dtype: str = "float16",
    kind: str = "softmax",
) -> MemoryInputs:
    """A run folder after extract: ``positions`` rows per image of layer ``deep``, parts of ``shard_images`` images.

    ``attribution`` (rows, A) belongs to the classes ``attributed``, or row by row to ``top_classes`` (rows, A).
    """
    images = -(-len(vectors) // positions)
    ids = image_ids(images)
    owner = np.repeat(np.arange(images), positions)[: len(vectors)]
    order = np.tile(np.arange(positions), images)[: len(vectors)]
    labels = labels or [None] * images
    pred = pred or [0] * images
    keep = {"activations/deep": [], "predictions": []}
    size = 0 if attribution is None else attribution.shape[1]
    schema = activations(vectors.shape[1], size, dtype)
    if top_classes is not None:
        schema = schema.append(pa.field("attributed_classes", pa.list_(pa.int32(), size)))
    for start in range(0, images, shard_images):
        mine = (owner >= start) & (owner < start + shard_images)
        columns: list[Any] = [
            pa.array([ids[i] for i in owner[mine]], pa.string()),
            pa.array((order[mine] // 3 + 1).astype(np.int16)),
            pa.array((order[mine] % 3 + 1).astype(np.int16)),
            from_numpy(vectors[mine].astype(dtype)),
        ]
        if attribution is not None:
            columns.append(from_numpy(attribution[mine].astype(dtype)))
        if top_classes is not None:
            columns.append(from_numpy(top_classes[mine].astype(np.int32)))
        keep["activations/deep"].append(pa.table(columns, schema=schema))
        part = range(start, min(start + shard_images, images))
        keep["predictions"].append(
            pa.table(
                [
                    pa.array([ids[i] for i in part]),
                    pa.array([labels[i] for i in part], pa.int32()),
                    pa.array([pred[i] for i in part], pa.int32()),
                    pa.array([1.0] * len(part), pa.float32()),
                    pa.array([None if labels[i] is None else labels[i] == pred[i] for i in part], pa.bool_()),
                    pa.array([[pred[i]] for i in part], pa.list_(pa.int32())),
                    pa.array([[1.0] for i in part], pa.list_(pa.float32())),
                    pa.array([None for i in part], pa.float32()),
                    from_numpy(np.zeros((len(part), len(CLASSES)), np.float32)),
                ],
                schema=predictions(len(CLASSES)),
            )
        )
    attributed = (list(range(size)) if attributed is None else attributed) if top_classes is None else [0, 1, 2, 3]
    extract = {"classes": CLASSES, "kind": kind, "attributed": attributed, "top": top_classes is not None, "layers": {}}
    return MemoryInputs(keep, {("extract", ""): extract})


def with_features(inputs: MemoryInputs, vectors: np.ndarray) -> MemoryInputs:
    """The same run with one vector per image, for views of whole images."""
    parts, start = [], 0
    for said in inputs.tables["predictions"]:
        mine = vectors[start : start + len(said)].astype(np.float16)
        parts.append(pa.table([said["image_id"], from_numpy(mine)], schema=features(vectors.shape[1])))
        start += len(said)
    inputs.tables["features/deep"] = parts
    return inputs


def view(**options: Any) -> ViewSpec:
    return ViewSpec(name="atlas", layer="deep", **options)


def blobs(rows: int, channels: int = 12, seed: int = 0) -> np.ndarray:
    """Non-negative rows around a few directions, as after a ReLU."""
    rng = np.random.default_rng(seed)
    centres = rng.gamma(1.0, size=(5, channels))
    return np.maximum(centres[rng.integers(5, size=rows)] + rng.normal(scale=0.3, size=(rows, channels)), 0)
