"""The last layer of a classifier, where it is linear: what it reads, and a model with other weights in it."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.model.agreement import close
from activation_atlas.stages.vision.model.classifier import Model
from activation_atlas.stages.vision.model.freezing import freeze
from activation_atlas.stages.vision.model.loading import load
from activation_atlas.stages.vision.model.randomised import weighted

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of files in an archive that shall be the same bytes whenever it is written; the earliest ZIP can tell."""


@dataclass(frozen=True)
class LastLayer:
    """What makes the logits: features @ kernel + bias, features being the mean over positions of what it reads.

    Attributes:
        path: of the layer in the model.
        slot: of the model's program, which holds what it reads.
        kernel: (D, U) float64.
        bias: (U,) float64; None: it has none.
    """

    path: str
    slot: int
    kernel: np.ndarray
    bias: np.ndarray | None


def last_layer(model: Model) -> LastLayer:
    """The Dense layer, or convolution of one pixel, after which nothing but values' places changes; proved on noise.

    Raises:
        UserError: the model ends in something else.
    """
    where = f"model {model.name}"
    refused = f"{where}: no layer can be fitted anew (repair), because"
    program = model.program
    slot = program.output
    while True:
        k = program.maker(slot)
        step = None if k is None else program.steps[k]
        if step is None or len(step.inputs) != 1:
            raise UserError(f"{refused} its logits are made of several; leave audit.repair out")
        if isinstance(step.operation, keras.layers.Layer) and step.operation.weights:
            break
        slot = step.inputs[0]
    weights = _weights(step.operation)
    if weights is None or "#" in step.name:
        called = ", which is called several times" if "#" in step.name else f" ({step.kind})"
        raise UserError(f"{refused} {step.name}{called} is no single linear layer; leave audit.repair out")
    kernel, bias = (None if w is None else keras.ops.convert_to_numpy(w).astype(np.float64) for w in weights)
    found = LastLayer(step.name, step.inputs[0], kernel.reshape(-1, kernel.shape[-1]), bias)
    if not _is_all(model, found):
        raise UserError(f"{refused} what comes after {step.name} changes its values; leave audit.repair out")
    return found


def _weights(layer: Any) -> tuple[Any, Any] | None:
    """Kernel and bias (None without) of a layer that is the same linear map at each position; None of any other."""
    dense = type(layer) is keras.layers.Dense
    pointwise = isinstance(layer, keras.layers.Conv2D) and tuple(layer.kernel_size) == (1, 1) and layer.groups == 1
    pointwise = pointwise and tuple(layer.strides) == (1, 1) and layer.data_format == "channels_last"
    if not (dense or pointwise) or len(layer.weights) != 1 + bool(layer.use_bias):
        return None  # adapters and whole numbers in the place of weights have more
    kernel, *rest = layer.weights
    return kernel, rest[0] if rest else None


def _is_all(model: Model, layer: LastLayer) -> bool:
    """Whether the logits of noise are what the layer makes of its features."""
    pixels = np.random.default_rng(0).uniform(0, 255, (4, *model.input_size, model.channels)).astype("float32")
    given, logits = model.values(model.to_input(tf.constant(pixels)), [layer.slot, model.program.output])
    features = _mean(given).numpy().astype(np.float64)
    units = features @ layer.kernel + (0 if layer.bias is None else layer.bias)
    if model.ends_in_one:
        logits = logits[:, 1:]
    return units.shape == logits.shape and close(units, logits, model.native[layer.slot])


def _mean(values: tf.Tensor) -> tf.Tensor:
    """(n, ..., D) -> (n, D), over positions where there are any."""
    values = tf.cast(values, "float32")
    return tf.reduce_mean(values, list(range(1, len(values.shape) - 1))) if len(values.shape) > 2 else values


def reader(model: Model, layer: LastLayer, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    """Images, uint8 (n, h, w, channels), at most ``batch`` -> what the layer reads of them, float32 (n, D)."""
    spec = tf.TensorSpec((batch, *model.input_size, model.channels), "uint8")
    frozen = freeze(lambda x: _mean(model.values(model.to_input(x), [layer.slot])[0]), spec)
    return lambda images: frozen(tf.constant(padded(images, batch))).numpy()[: len(images)]


def rewritten(spec: ModelSpec, path: str, kernel: np.ndarray, bias: np.ndarray | None) -> bytes:
    """The model of ``spec`` with other weights in one layer, as a ``.keras`` file: the same bytes each time.

    Everything else is as it was loaded; what `model` says of the values of images stays to be said. Of a model of
    several outputs it has the one that is read.

    Args:
        path, kernel, bias: as in :class:`LastLayer`.
    """
    loaded = load(spec)
    layer = dict(weighted(loaded))[path]
    old_kernel, old_bias = _weights(layer) or (None, None)
    old_kernel.assign(kernel.reshape(old_kernel.shape))
    if old_bias is not None:
        old_bias.assign(bias)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        loaded.keras.save(file)
        return _dateless(file)


def _dateless(file: Path) -> bytes:
    """A ``.keras`` file without what differs from one saving to the next: dates, and addresses in memory as ids."""
    made = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "metadata.json":
                told = json.loads(data)
                told.pop("date_saved", None)
                data = json.dumps(told).encode()
            elif name == "config.json":
                data = _renumbered(data.decode()).encode()
            new.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return made.getvalue()


def _renumbered(config: str) -> str:
    """Ids of objects that are shared, numbered as they come."""
    ids: dict[str, int] = {}
    return re.sub(
        r'("shared_object_id": )(\d+)', lambda found: f"{found[1]}{ids.setdefault(found[2], len(ids))}", config
    )
