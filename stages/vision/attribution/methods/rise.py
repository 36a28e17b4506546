"""RISE: which random halves of an image score high (Petsiuk et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.specs import PositiveInt
from activation_atlas.stages.tables.flags import ROUNDING
from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.attribution.methods.method import (
    Configured,
    Explain,
    Maps,
    Method,
    Options,
    Pair,
    Sample,
    Setting,
    at_input,
)
from activation_atlas.stages.vision.batching import packed, padded
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

CHUNK = 512
"""Masks of one image that are summed at once."""


class Rise(Options):
    name: Literal["rise"] = "rise"
    masks: PositiveInt = Field(1000, description="random masks for each image")
    cells: PositiveInt | None = Field(
        None,
        description="cells of a mask along one side, before it is enlarged; "
        "default: 8, fewer where a cell would have less than 4 pixels",
    )
    keep: float = Field(0.5, gt=0, lt=1, description="share of the cells that show the image")

    def at(self, size: Pair) -> Rise:
        """Eight cells, as Petsiuk et al. 2018 have it; of an input below 32 pixels fewer, but two."""
        return self.model_copy(update={"cells": self.cells or min(8, max(2, min(size) // 4))})

    def detail(self, size: Pair, stride: tuple[float, float]) -> float:
        return min(size) / self.cells

    def passes(self, size: Pair | None) -> int:
        return self.masks

    def looks(self, configured: Configured) -> str:
        return f"masks of {configured['cells']} x {configured['cells']} cells"


def enlargement(cells: int, size: int) -> np.ndarray:
    """The matrix that enlarges a row of cells to more pixels than the image has, float32.

    Returns:
        ((cells + 1) * ceil(size / cells), cells): half-pixel bilinear, the outermost cells continued to the border.
        The image sees ``size`` of these rows, from any of the first ceil(size / cells): one cell's worth of shifts
        (Petsiuk et al. 2018, section 3.2).
    """
    large = (cells + 1) * math.ceil(size / cells)
    place = (np.arange(large) + 0.5) * cells / large - 0.5
    near = np.maximum(0.0, 1.0 - np.abs(np.clip(place, 0, cells - 1)[:, None] - np.arange(cells)[None]))
    return near.astype(np.float32)


def draw(
    seed: int, image_id: str, masks: int, cells: int, keep: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """An image's masks before they are enlarged.

    Returns:
        grids (masks, cells, cells) float32, each cell 1 with probability ``keep``, else 0; shifts (masks, 2) int32,
        down and right, from 0 to ceil(size / cells) - 1.
    """
    rng = generator(seed, image_id)
    grids = (rng.random((masks, cells, cells)) < keep).astype(np.float32)
    shifts = rng.integers(0, [math.ceil(side / cells) for side in size], (masks, 2))
    return grids, shifts.astype(np.int32)


class MaskedScores:
    """Masked images of several images share a batch, all targets the pass.

    A mask is rows x grid x columns', with a shift's part of :func:`enlargement` down and right. So the sum of mask x
    score over an image's masks is one matrix product of these factors, taken once all its scores are known: it does
    not matter which batches they came in, and no mask is made a second time.
    """

    def __init__(self, setting: Setting) -> None:
        from activation_atlas.stages.vision.model import freeze

        model, batch, k = setting.model, setting.batch, setting.targets
        options = setting.options.at(model.input_size)
        self.model, self.options, self.seed, self.batch = model, options, setting.seed, batch
        self.size = model.input_size
        self.enlarge = [enlargement(options.cells, side) for side in self.size]
        self.chunk, self.some = min(options.masks, CHUNK), min(batch, 8)
        cells = options.cells
        shape = (*self.size, model.channels)

        def spec(dtype: tf.DType, *dims: int) -> tf.TensorSpec:
            return tf.TensorSpec(dims, dtype)

        self._plain = freeze(self._scores, spec(tf.uint8, self.some, *shape), spec(tf.int32, self.some, k))
        self._masked = freeze(
            self._masked_scores,
            spec(tf.uint8, batch, *shape),
            spec(tf.int32, batch, k),
            spec(tf.int32, batch),
            spec(tf.float32, batch, cells, cells),
            spec(tf.int32, batch, 2),
        )
        self._sum = freeze(
            self._sum_of_masks,
            spec(tf.float32, self.chunk, cells, cells),
            spec(tf.int32, self.chunk, 2),
            spec(tf.float32, self.chunk, k),
        )

    def _factors(self, shifts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The matrices (n, height, cells) and (n, width, cells) that enlarge grids, each with its shift."""
        return tuple(
            tf.gather(tf.constant(matrix), shifts[:, axis, None] + tf.range(side)[None])
            for axis, (matrix, side) in enumerate(zip(self.enlarge, self.size, strict=True))
        )

    def _scores(self, pixels: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        (logits,) = self.model.values(self.model.to_input(pixels), [self.model.program.output])
        return tf.cast(tf.gather(self.model.scores(logits), targets, axis=1, batch_dims=1), tf.float32)

    def _masked_scores(
        self, pixels: tf.Tensor, targets: tf.Tensor, image: tf.Tensor, grids: tf.Tensor, shifts: tf.Tensor
    ) -> tf.Tensor:
        rows, cols = self._factors(shifts)
        masks = tf.matmul(tf.matmul(rows, grids), cols, transpose_b=True)
        masked = masks[..., None] * tf.cast(tf.gather(pixels, image), tf.float32)
        return self._scores(masked, tf.gather(targets, image))

    def _sum_of_masks(self, grids: tf.Tensor, shifts: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """Sum over masks of mask x score (masks, k): (k, height, width)."""
        (height, width), (masks, cells, _), k = self.size, grids.shape, scores.shape[1]
        rows, cols = self._factors(shifts)
        down = tf.transpose(tf.matmul(rows, grids), (1, 0, 2))  # (height, masks, cells)
        weighted = down[None] * tf.transpose(scores)[:, None, :, None]
        right = tf.reshape(tf.transpose(cols, (0, 2, 1)), (masks * cells, width))
        return tf.reshape(tf.matmul(tf.reshape(weighted, (k * height, masks * cells)), right), (k, height, width))

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        options, count = self.options, len(pixels)
        drawn = [draw(self.seed, i, options.masks, options.cells, options.keep, self.size) for i in ids]
        grids, shifts = (np.stack(x) for x in zip(*drawn, strict=True))
        plain = []
        for start in range(0, count, self.some):
            part = slice(start, start + self.some)
            plain.append(self._plain(*(tf.constant(padded(x[part], self.some)) for x in (pixels, targets))))
        images, wanted = (tf.constant(padded(x, self.batch)) for x in (pixels, targets))
        scores = np.empty((count * options.masks, targets.shape[1]), np.float32)
        done = 0
        for image, number, real in packed([options.masks] * count, self.batch):
            job = (tf.constant(x) for x in (image, grids[image, number], shifts[image, number]))
            scores[done : done + real] = self._masked(images, wanted, *job).numpy()[:real]
            done += real
        scores = scores.reshape(count, options.masks, -1)
        maps = [self._map(*each) for each in zip(grids, shifts, scores, strict=True)]
        # Of one score whatever is hidden, the map is the trace of the masks alone.
        idle = np.ptp(scores, 1) <= ROUNDING * np.abs(scores).max(1)
        return Maps(np.stack(maps), tf.concat(plain, 0).numpy()[:count], idle=idle)

    def _map(self, grids: np.ndarray, shifts: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """One image's maps (k, height, width)."""
        total = np.zeros((scores.shape[1], *self.size), np.float32)
        for start in range(0, self.options.masks, self.chunk):
            part = slice(start, start + self.chunk)
            total += self._sum(*(tf.constant(padded(x[part], self.chunk)) for x in (grids, shifts, scores))).numpy()
        return total / np.float32(self.options.masks * self.options.keep)


def configure(model: Model, options: Rise, sample: Sample) -> Configured:
    """The size of the maps, and ``cells``."""
    return {**at_input(model), "cells": options.at(model.input_size).cells}


def rise(setting: Setting) -> Explain:
    """Mean over masks of mask x score of the masked image, divided by the share that a mask keeps (section 3.1).

    An image is masked before preprocessing: where a mask is 0 it is black.
    """
    return MaskedScores(setting)


METHODS = (
    Method(
        name="rise",
        title="RISE",
        about="how high the logit is when a pixel is among those that random masks show",
        meaning="how high the class’s logit stays where random masks leave a pixel visible",
        formula="mean over masks of mask x logit(image x mask), divided by the share that a mask keeps (section 3.1)",
        source="Petsiuk et al. 2018",
        options=Rise,
        build=rise,
        configure=configure,
        resolution="input",
        grain="smooth",
        signed=True,
        around="mean",
        colours="red more than the map’s mean, blue less",
        draws=True,
        quick={"masks": 12, "cells": 4},
    ),
)
