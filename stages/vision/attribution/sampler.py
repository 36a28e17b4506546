"""One forward pass of a batch of images, and everything that is wanted of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.caches import cached
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
from activation_atlas.stages.vision.attribution.blocks import Block, mode_of
from activation_atlas.stages.vision.attribution.forward_mode import Algorithm
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf
from activation_atlas.stages.vision.model import Model, freeze, open_model

FINE, NOT_FINITE, TOO_LARGE = 0, 1, 2
"""What can be said of a sample: as it should be; NaN or infinite; beyond what float16 can hold."""


@dataclass(frozen=True)
class Pass:
    """What one forward pass of n images gave.

    Attributes:
        logits, probabilities: (n, K) float32.
        finite: layer (or ``logits``) to (n,) bool: neither NaN nor infinite.
        features: layer to its spatial mean, (n, C) float32.
        maps: layer to its whole map, (n, h, w, C) float32; not to be written to.
        held: what :meth:`Sampler.samples` reads.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    finite: dict[str, np.ndarray]
    features: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]
    held: tuple[tf.Tensor, ...]


@dataclass(frozen=True)
class Samples:
    """m rows of a layer: activation (m, C), attribution (m, k) or None, state (m,) of FINE, NOT_FINITE, TOO_LARGE."""

    activation: np.ndarray
    attribution: np.ndarray | None
    state: np.ndarray


class Sampler:
    """A model with the layers to be sampled, compiled for one batch size.

    Args:
        layers: sampled layers and how their attributions are computed; None for no attributions.
        features: layers whose spatial mean is wanted.
        batch: images of one forward pass; fewer are padded.
        positions: positions sampled of an image, at most.
        classes: indices of the attributed classes; None for all.
        dtype: of the samples, ``float16`` or ``float32``.
        block: what is done to a position's block, where attributions are not the gradient's.
        whole: layers whose whole maps are wanted.
    """

    def __init__(
        self,
        model: Model,
        layers: Mapping[str, Algorithm | None],
        features: Sequence[str],
        batch: int,
        positions: int,
        classes: Sequence[int] | None,
        dtype: str,
        block: Block | None = None,
        whole: Sequence[str] = (),
    ) -> None:
        self.model, self.batch, self.dtype = model, batch, dtype
        self._features, self._whole = list(features), list(whole)
        self._modes = {
            layer: mode_of(model, layer, algorithm, classes, block) if algorithm else None
            for layer, algorithm in layers.items()
        }
        slots = [model.slot(layer) for layer in [*layers, *whole]]
        slots += [slot for mode in self._modes.values() if mode for slot in mode.slots]
        self._held = list(dict.fromkeys(slots))
        self._pixels = tf.TensorSpec((batch, *model.input_size, model.channels), tf.uint8)
        self._forward = freeze(self._pass, self._pixels)
        self._tiles = {layer: self._tile(layer, batch, positions) for layer in layers}

    def _pass(self, pixels: tf.Tensor) -> dict[str, object]:
        model = self.model
        wanted = [model.feature_slot(layer) for layer in self._features]
        logits, *values = model.values(model.to_input(pixels), [model.program.output, *wanted, *self._held])
        means, held = values[: len(wanted)], values[len(wanted) :]
        maps = {layer: held[self._held.index(model.slot(layer))] for layer in [*self._modes, *self._whole]}
        watched = {"logits": logits, **dict(zip(self._features, means, strict=True)), **maps}
        return {
            "logits": tf.cast(logits, tf.float32),
            "probabilities": tf.cast(model.probabilities(logits), tf.float32),
            "finite": {
                name: tf.reduce_all(tf.math.is_finite(x), tuple(range(1, x.shape.rank))) for name, x in watched.items()
            },
            "features": {
                name: tf.cast(tf.reduce_mean(x, (1, 2)) if x.shape.rank == 4 else x, tf.float32)
                for name, x in zip(self._features, means, strict=True)
            },
            "held": tuple(held),
        }

    def forward(self, pixels: np.ndarray) -> Pass:
        """The forward pass of n <= batch images, uint8 (n, h, w, c) of the model's input size."""
        count = len(pixels)
        out = self._forward(tf.constant(padded(pixels, self.batch)))

        # A tensor's own memory: copies of whole maps would cost as much as all that is made of them.
        maps = {layer: memoryview(out["held"][self._held.index(self.model.slot(layer))]) for layer in self._whole}

        def first(tensors: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
            return {name: tensor.numpy()[:count] for name, tensor in tensors.items()}

        return Pass(
            out["logits"].numpy()[:count],
            out["probabilities"].numpy()[:count],
            first(out["finite"]),
            first(out["features"]),
            {layer: np.asarray(tensor, np.float32)[:count] for layer, tensor in maps.items()},
            tuple(out["held"]),
        )

    def _tile(self, layer: str, batch: int, positions: int) -> _Tile:
        """A function of a fixed number of positions of one layer, of about equal parts of a batch's, or an image's."""
        mode, slot = self._modes[layer], self.model.slot(layer)
        slots = [slot] if mode is None else mode.slots
        most = 4096 if mode is None else mode.most
        by_image = mode is not None and mode.by_image
        total = positions if by_image else batch * positions
        size = math.ceil(total / math.ceil(total / most))
        extra = [] if mode is None or mode.jacobian is None else [tf.constant(mode.jacobian)]
        count = len(slots)

        def tile(*tensors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
            values, sampled, given = tensors[:count], Positions(*tensors[count : count + 3]), tensors[count + 3 :]
            if mode is None:
                rows = [tf.gather_nd(values[0], tf.stack([sampled.image, sampled.row, sampled.col], 1))]
            else:
                rows = list(mode(values, sampled, *given))
            stored = [tf.cast(x, self.dtype) for x in rows]
            sound, fits = (
                tf.reduce_all([tf.reduce_all(tf.math.is_finite(x), 1) for x in each], 0) for each in (rows, stored)
            )
            state = tf.where(sound, tf.where(fits, FINE, TOO_LARGE), NOT_FINITE)
            return stored[0], stored[1] if mode else None, state

        held = [self._held.index(s) for s in slots]
        specs = [tf.TensorSpec((self.batch, *self.model.shapes[s][1:]), self.model.held(s)) for s in slots]
        specs += [tf.TensorSpec((size,), tf.int32)] * 3 + [tf.TensorSpec(x.shape, x.dtype) for x in extra]
        return _Tile(freeze(tile, *specs), size, by_image, held, extra)

    def samples(self, given: Pass, layer: str, image: np.ndarray, row: np.ndarray, col: np.ndarray) -> Samples:
        """Rows of a layer at positions (image, row, col), each (m,), of the images of one pass."""
        tile = self._tiles[layer]
        values = [given.held[k] for k in tile.held]
        parts = []
        for start, stop in tile.parts(image):
            at = [axis[start:stop].astype(np.int32) for axis in (image, row, col)]
            count = stop - start
            at = [tf.constant(np.pad(axis, (0, tile.size - count), "edge")) for axis in at]
            found = tile.function(*values, *at, *tile.extra)
            parts.append([None if x is None else x.numpy()[:count] for x in found])
        activation, attribution, state = ([p[k] for p in parts] for k in range(3))
        joined = None if attribution[0] is None else np.concatenate(attribution)
        return Samples(np.concatenate(activation), joined, np.concatenate(state))


@dataclass(frozen=True)
class _Tile:
    function: object
    size: int
    by_image: bool
    held: list[int]
    extra: list[tf.Tensor]

    def parts(self, image: np.ndarray) -> Iterator[tuple[int, int]]:
        """From and to of what one call takes of the positions of ``image``, which are in order."""
        ends = [*(np.flatnonzero(np.diff(image)) + 1), len(image)] if self.by_image else [len(image)]
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            for start in range(begin, end, self.size):
                yield start, min(start + self.size, end)


def open_sampler(
    spec: ModelSpec,
    layers: Mapping[str, Algorithm | None],
    features: Sequence[str],
    batch: int,
    positions: int,
    classes: Sequence[int] | None,
    dtype: str,
    block: Block | None = None,
    whole: Sequence[str] = (),
) -> Sampler:
    """A :class:`Sampler`, kept within the process: compiled once for all shards."""
    chosen = None if classes is None else tuple(classes)
    rest = batch, positions, chosen, dtype, block, tuple(whole)
    return _sampler(open_model(spec), tuple(layers.items()), tuple(features), *rest)


@cached(2)
def _sampler(model: Model, layers: tuple, features: tuple, *rest: object) -> Sampler:
    return Sampler(model, dict(layers), features, *rest)
