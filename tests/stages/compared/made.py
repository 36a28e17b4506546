"""Small runs to compare: images of three classes in a plane, and a model that is right as often as it is told."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from activation_atlas.stages.compared.runs import Run, read_run
from activation_atlas.stages.tables import from_numpy, images, predictions
from tests.memory import MemoryInputs

CLASSES = ["boat", "crane", "otter"]
PLACES = np.array([[0.15, 0.15], [0.5, 0.55], [0.85, 0.2]])
"""Of the classes in the layout."""


def truth(names: list[str]) -> np.ndarray:
    """The class of each image, which follows from its name."""
    return np.array([int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 for name in names])


def inputs(
    names: list[str], right: float = 0.8, seed: int = 0, classes: list[str] = CLASSES, positions: int = 4
) -> MemoryInputs:
    """A run folder of images called so: `images`, `predictions`, `activations/deep` with attributions, `layouts/main`.

    Args:
        right: the share that the model tells rightly; the others it takes for the next class.
    """
    names = sorted(names)
    n, label, rng = len(names), truth(names), np.random.default_rng(seed)
    pred = np.where(rng.random(n) < right, label, (label + 1) % 3)
    ids = pa.array(names)
    files = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    about = [ids, ids, pa.array(label, pa.int32()), pa.nulls(n, pa.string()), pa.array(files)]
    whole = np.full(n, 8, np.int32)
    said = [ids, pa.array(label, pa.int32()), pa.array(pred, pa.int32()), pa.array(np.full(n, 0.9, np.float32))]
    said += [pa.array(label == pred), pa.array([[p] for p in pred.tolist()], pa.list_(pa.int32()))]
    said += [pa.array([[0.9]] * n, pa.list_(pa.float32())), pa.array(np.full(n, 0.5, np.float32))]
    said += [from_numpy(np.zeros((n, 3), np.float32))]
    owner, place = np.repeat(np.arange(n), positions), np.tile(np.arange(positions), n)
    keys = {
        "image_id": ids.take(pa.array(owner)),
        "row": pa.array((place // 2).astype(np.int16)),
        "col": pa.array((place % 2).astype(np.int16)),
    }
    at = np.clip(PLACES[label[owner]] + rng.normal(0, 0.08, (n * positions, 2)), 0, 0.999).astype(np.float32)
    vectors = np.concatenate([at, rng.normal(0, 0.01, (len(at), 2))], 1).astype(np.float16)
    argues = (0.5 * np.eye(3)[label[owner]] + (label == pred)[owner, None]).astype(np.float16)
    tables = {
        "images": [pa.table([*about, pa.array(whole), pa.array(whole)], schema=images())],
        "predictions": [pa.table(said, schema=predictions(3))],
        "activations/deep": [pa.table({**keys, "activation": from_numpy(vectors), "attribution": from_numpy(argues)})],
        "layouts/main": [pa.table({**keys, "x": at[:, 0], "y": at[:, 1]})],
    }
    layer = {"channels": 4, "height": 2, "width": 2, "stride": [4.0, 4.0], "offset": [1.5, 1.5]}
    extract = {"classes": classes, "attributed": [0, 1, 2], "top": False, "layers": {"deep": layer}}
    return MemoryInputs(tables, {("extract", ""): extract})


def run(names: list[str], name: str = "one", **options) -> Run:
    return read_run(name, inputs(names, **options))


def called(count: int, start: int = 0) -> list[str]:
    """So many images' names."""
    return [f"{k:05}" for k in range(start, start + count)]
