"""What layers answer to images: whole maps, of a few layers at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.model import Model, freeze

_GOES_ON = {"BatchNormalization", "LayerNormalization", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
_GOES_ON |= {"Dropout", "SpatialDropout2D", "ZeroPadding2D", "relu", "Relu", "silu", "gelu"}
_UNSETTLED = {"BatchNormalization", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"}
_FRAMES = {"ZeroPadding2D", "Cropping2D", "Dropout", "SpatialDropout2D", "Reshape", "Permute"}


def spread(model: Model, count: int = 8) -> list[str]:
    """At most ``count`` layers with positions, evenly over the depth, the last among them.

    Those at the end of what belongs together: behind a convolution's normalisation and activation, not before.
    """
    steps = model.program.before([model.program.output])
    kinds = {step.name: step.kind for step in steps}
    readers: dict[int, set[str]] = {}
    for step in steps:
        for slot in step.inputs:
            readers.setdefault(slot, set()).add(step.kind)
    layers = [layer for layer in model.layers() if layer.name in kinds and max(layer.receptive_field) > 1]
    ends = [
        layer.name
        for layer in layers
        if kinds[layer.name] not in _FRAMES and not readers.get(model.slot(layer.name), set()) <= _GOES_ON
    ]
    settled = [name for name in ends if kinds[name] not in _UNSETTLED]  # not what still runs through zero
    ends = settled if len(settled) >= 4 else ends or [layer.name for layer in layers]
    places = np.unique(np.rint(np.linspace(0, len(ends) - 1, min(count, len(ends)))).astype(int)) if ends else []
    return [ends[k] for k in places]


def deep(model: Model, share: float = 2 / 3) -> str | None:
    """Of the layers that :func:`spread` chooses from, the one nearest to a share of the depth; None without any."""
    ends = spread(model, 10_000)
    return ends[round(share * (len(ends) - 1))] if ends else None


def responses(model: Model, pixels: np.ndarray, layers: Sequence[str], batch: int = 8) -> dict[str, np.ndarray]:
    """What each layer gives for images uint8 (n, h, w, c) of the model's size: float32 (n, H, W, C), or (n, C).

    Raises:
        UserError: there is no such layer, or its output is neither a map nor a vector.
    """
    slots = [_slot(model, layer) for layer in layers]
    batch = min(batch, len(pixels))

    def apply(images: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(x, tf.float32) for x in model.values(model.to_input(images), slots)]

    forward = freeze(apply, tf.TensorSpec((batch, *pixels.shape[1:]), tf.uint8))
    found: list[list[np.ndarray]] = [[] for _ in slots]
    for start in range(0, len(pixels), batch):
        some = pixels[start : start + batch]
        for held, values in zip(found, forward(tf.constant(padded(some, batch))), strict=True):
            held.append(values.numpy()[: len(some)])
    return {layer: np.concatenate(held) for layer, held in zip(layers, found, strict=True)}


def _slot(model: Model, layer: str) -> int:
    """Also of a map of one position, and of what has lost its place on the image."""
    slot = model.program.names.get(layer)
    shape = model.shapes.get(slot, ()) if slot is not None else ()
    return slot if slot is not None and len(shape) == 4 and None not in shape[1:] else model.feature_slot(layer)
