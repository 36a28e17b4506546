"""Models that Keras 2 saved: their descriptions reworded as Keras 3 writes them, where both mean the same.

Keras 3 reads most weights of Keras 2, and refuses most of its descriptions for a word: an argument that is no more
and was at its default, another name for a shape, an operation of TensorFlow that it has under a name of its own. Only
what is listed here is reworded; what comes out must hold every weight of the file.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np

from activation_atlas.stages.saved import Saved
from activation_atlas.stages.vision.model.keras2.rewording import reworded

log = logging.getLogger(__name__)


def load(saved: Saved) -> keras.Model:
    """The model of a file that Keras 2 wrote, every weight as it is there.

    Raises:
        ValueError: the description holds what Keras 3 does not have or computes otherwise, or weights were left over.
    """
    if (changed := _changed(saved)) is not None:
        raise ValueError(changed)
    try:
        model = keras.saving.load_model(saved.path, compile=False, safe_mode=True)
    except Exception as as_it_stands:
        config = reworded(saved.config)
        build = "Sequential" if config["class_name"] == "Sequential" else "Model"
        own = {"module": "keras", "class_name": build, "config": config["config"], "registered_name": None}
        try:
            model = keras.saving.deserialize_keras_object(own, safe_mode=True)
            model.load_weights(saved.path)
        except Exception as error:
            raise error from as_it_stands
    _check_weights(model, saved.path)
    log.warning(
        "%s was saved by Keras %s: Keras 3 reads it, every weight as it is in the file",
        Path(saved.path).name,
        saved.keras,
    )
    return model


def _changed(saved: Saved) -> str | None:
    """What Keras 3 would read without complaint, and compute otherwise."""
    for found in saved.objects():
        values = found["config"].values() if isinstance(found["config"], dict) else ()
        names = [found["config"] if found["class_name"] == "function" else None, *values]
        if "hard_sigmoid" in names:
            name = found["config"].get("name", "") if isinstance(found["config"], dict) else ""
            return f"layer {name}: hard_sigmoid is 0.2 x + 0.5 in Keras 2 and x / 6 + 0.5 in Keras 3"
    return None


def _check_weights(model: keras.Model, path: str) -> None:
    """Refuses a model whose weights are not, one for one, those of the file."""

    def digest(values: Any) -> tuple:
        values = np.ascontiguousarray(values)
        return values.shape, hashlib.sha256(values.tobytes()).hexdigest()

    there = Counter(digest(values) for values in _stored(path))
    here = Counter(digest(w) for w in model.weights if w.dtype.startswith(("float", "bfloat")))
    if there != here:
        raise ValueError(f"{sum((here - there).values())} of {len(model.weights)} weights are not those of the file")


def _stored(path: str) -> list[np.ndarray]:
    """The floating-point weights of a file, without what an optimizer or a metric keeps."""
    import h5py

    found: list[np.ndarray] = []

    def visit(name: str, item: Any) -> None:
        other = name.split("/")[0] in ("optimizer", "optimizer_weights", "metrics", "_metrics", "loss_tracker")
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and not other:
            found.append(item[()])

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(visit)
    else:
        with h5py.File(path) as file:
            file.visititems(visit)
    return found
