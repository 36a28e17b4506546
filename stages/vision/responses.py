"""What layers answer to images: whole maps, of a few layers at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    if "MultiHeadAttention" in kinds.values():  # the stream that blocks add to
        ends = [name for name in ends if kinds[name] == "Add"] or ends
    settled = [name for name in ends if kinds[name] not in _UNSETTLED]  # not what still runs through zero
    ends = settled if len(settled) >= 4 else ends or [layer.name for layer in layers]
    places = np.unique(np.rint(np.linspace(0, len(ends) - 1, min(count, len(ends)))).astype(int))
    return [ends[k] for k in places.tolist()]


def deep(model: Model, share: float = 2 / 3) -> str | None:
    """Of the layers that :func:`spread` chooses from, the one nearest to a share of the depth; None without any."""
    ends = spread(model, 10_000)
    return ends[round(share * (len(ends) - 1))] if ends else None


def streamed(
    model: Model, pixels: np.ndarray, layers: Sequence[str], batch: int = 8
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """What layers give for images, a batch at a time: which images, and for each layer as :func:`responses` has it."""
    slots = [_slot(model, layer) for layer in layers]
    batch = min(batch, len(pixels))

    def apply(images: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(x, tf.float32) for x in model.values(model.to_input(images), slots)]

    forward = freeze(apply, tf.TensorSpec((batch, *pixels.shape[1:]), tf.uint8))
    for start in range(0, len(pixels), batch):
        some = pixels[start : start + batch]
        found = forward(tf.constant(padded(some, batch)))
        yield slice(start, start + len(some)), [values.numpy()[: len(some)] for values in found]


def responses(model: Model, pixels: np.ndarray, layers: Sequence[str], batch: int = 8) -> dict[str, np.ndarray]:
    """What each layer gives for images uint8 (n, h, w, c) of the model's size: float32 (n, H, W, C), or (n, C).

    Raises:
        UserError: there is no such layer, or its output is neither a map nor a vector.
    """
    parts = [found for _, found in streamed(model, pixels, layers, batch)]
    return {layer: np.concatenate(held) for layer, held in zip(layers, zip(*parts, strict=True), strict=True)}


def _slot(model: Model, layer: str) -> int:
    """Also of a map of one position, and of what has lost its place on the image."""
    slot = model.program.names.get(layer)
    shape = model.shapes.get(slot, ()) if slot is not None else ()
    return slot if slot is not None and len(shape) == 4 and None not in shape[1:] else model.feature_slot(layer)


@dataclass(frozen=True)
class Peaks:
    """Where channels answer most, one position of each image, the largest first.

    Attributes:
        image: int64 (channels, ranks), which of the images.
        row, col: int64 (channels, ranks), of the layer's map.
        response: float32 (channels, ranks).
    """

    image: np.ndarray
    row: np.ndarray
    col: np.ndarray
    response: np.ndarray


def peaks(model: Model, pixels: np.ndarray, layer: str, count: int = 9, batch: int = 8) -> Peaks:
    """The ``count`` images in which each channel of a layer answers most; of equal positions (a ReLU may be capped)
    the one nearest to the middle of the map, of equal images the earlier.
    """
    tops, places, width = [], [], 1
    for _, (values,) in streamed(model, pixels, [layer], batch):
        maps = values[:, None, None] if values.ndim == 2 else values
        height, width = maps.shape[1:3]
        down, right = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
        inward = np.argsort((down[:, None] ** 2 + right**2).ravel(), kind="stable")
        flat = maps.reshape(len(maps), height * width, -1)[:, inward]
        best = flat.argmax(1)
        places.append(inward[best])
        tops.append(np.take_along_axis(flat, best[:, None], 1)[:, 0])
    top, place = np.concatenate(tops), np.concatenate(places)
    order = np.argsort(-top, axis=0, kind="stable")[:count]
    own = np.take_along_axis(place, order, 0).T
    return Peaks(order.T, own // width, own % width, np.take_along_axis(top, order, 0).T)
