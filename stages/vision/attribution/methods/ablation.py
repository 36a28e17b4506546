"""Windows of an image that are hidden: where they lie, how they are filled, and how they are packed into batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables.flags import ROUNDING
from activation_atlas.stages.vision.attribution.methods.method import Maps, Setting, pair
from activation_atlas.stages.vision.batching import packed, padded
from activation_atlas.stages.vision.lazy import tf
from activation_atlas.stages.vision.place import Place

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model


def starts(size: int, patch: int, stride: int, edges: str) -> np.ndarray:
    """First pixels of the windows along one side, int32.

    ``whole``: multiples of the stride at which the window lies inside; ``clip``: all multiples of the stride below
    ``size`` (the window is cut off at the border).
    """
    return np.arange(0, size if edges == "clip" else size - patch + 1, stride, dtype=np.int32)


@dataclass(frozen=True)
class Windows:
    """The grid of windows of one model's images.

    Attributes:
        rows, cols: first pixels of the windows down and right, int32.
        patch: (height, width) of a window in pixels.
        fill: (channels,) float32, what hides, before preprocessing.
    """

    rows: np.ndarray
    cols: np.ndarray
    patch: tuple[int, int]
    fill: np.ndarray

    @staticmethod
    def of(model: Model, options: Any) -> Windows:
        """The windows that the options ask for.

        Raises:
            UserError: a window larger than the image, or a colour for a model of one channel.
        """
        options = options.at(model.input_size)
        (height, width), (down, right) = model.input_size, pair(options.patch)
        if down > height or right > width:
            raise UserError(
                f"occlusion.patch: a window of {down} x {right} pixels is larger than the {height} x {width} images "
                f"of model {model.name}; give at most {min(height, width)}"
            )
        if isinstance(options.fill, tuple) and model.channels == 1:
            raise UserError(f"occlusion.fill: model {model.name} takes images of one channel; give one number")
        rows, cols = (
            starts(size, patch, stride, options.edges)
            for size, patch, stride in zip(model.input_size, (down, right), pair(options.stride), strict=True)
        )
        return Windows(rows, cols, (down, right), np.full(model.channels, options.fill, np.float32))

    @property
    def shape(self) -> tuple[int, int]:
        """Windows down and right: the size of a map."""
        return len(self.rows), len(self.cols)

    def place(self, size: tuple[int, int]) -> Place:
        """Where a map of the windows lies on images of ``size``."""
        starts = (self.rows, self.cols)
        strides = (float(s[1] - s[0]) if len(s) > 1 else float(n) for s, n in zip(starts, size, strict=True))
        ends = (min(int(s[-1]) + p, n) for s, p, n in zip(starts, self.patch, size, strict=True))
        return Place(tuple(strides), tuple((p - 1) / 2 for p in self.patch), (0, 0, *ends))

    @property
    def count(self) -> int:
        return len(self.rows) * len(self.cols)


def ablated(images: tf.Tensor, top: tf.Tensor, left: tf.Tensor, patch: tuple[int, int], fill: tf.Tensor) -> tf.Tensor:
    """Images (n, h, w, c), each with a window of its own filled; what of a window lies outside is left out.

    Args:
        top, left: (n,) int32, first row and column of the windows; each window has a pixel inside.
        fill: (c,).
    """
    n, height, width, channels = images.shape
    # A row outside becomes the nearest one inside, which the window has too: it is filled twice.
    rows = tf.clip_by_value(top[:, None] + tf.range(patch[0])[None], 0, height - 1)
    cols = tf.clip_by_value(left[:, None] + tf.range(patch[1])[None], 0, width - 1)
    at = (tf.range(n)[:, None, None] * height + rows[:, :, None]) * width + cols[:, None, :]
    values = tf.broadcast_to(tf.cast(fill, images.dtype), (n, patch[0] * patch[1], channels))
    flat = tf.tensor_scatter_nd_update(
        tf.reshape(images, (-1, channels)), tf.reshape(at, (-1, 1)), tf.reshape(values, (-1, channels))
    )
    return tf.reshape(flat, images.shape)


class WindowAblation(ABC):
    """Scores with each window hidden; windows of several images share a batch, targets share the pass."""

    def __init__(self, setting: Setting) -> None:
        from activation_atlas.stages.vision.model import freeze

        model, self.batch = setting.model, setting.batch
        self.model, self.windows = model, Windows.of(model, setting.options)
        # A call of few images must not pay for a whole batch of clean ones.
        self.some = min(setting.batch, 8)
        pixels = tf.TensorSpec((self.some, *model.input_size, model.channels), tf.uint8)
        self._clean = freeze(self.clean, pixels, tf.TensorSpec((self.some, setting.targets), tf.int32))
        _, *held = self._clean(tf.zeros(pixels.shape, tf.uint8), tf.zeros((self.some, setting.targets), tf.int32))
        jobs = tf.TensorSpec((self.batch,), tf.int32)
        kept = [tf.TensorSpec((self.batch, *x.shape[1:]), x.dtype) for x in held]
        self._ablate = freeze(self.ablate, tf.TensorSpec((self.batch, setting.targets), tf.int32), jobs, jobs, *kept)

    @abstractmethod
    def clean(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Scores (n, k) of the images as they are, and what is kept of them for :meth:`ablate`."""

    @abstractmethod
    def ablate(self, targets: tf.Tensor, image: tf.Tensor, window: tf.Tensor, *held: tf.Tensor) -> tf.Tensor:
        """Scores (batch, k) of jobs: image (batch,), a row of ``held``, with window (batch,) of the grid hidden."""

    def scores(self, logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Logits (n, K) and targets (n, k) to the targets' scores (n, k) float32."""
        return tf.cast(tf.gather(self.model.scores(logits), targets, axis=1, batch_dims=1), tf.float32)

    def fill(self) -> tf.Tensor:
        """What hides, in the range that the model receives: (c,)."""
        return self.model.to_input(tf.constant(self.windows.fill[None, None, None]))[0, 0, 0]

    def corners(self, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """First row and first column of windows (n,)."""
        down, right = (tf.constant(x, tf.int32) for x in (self.windows.rows, self.windows.cols))
        return tf.gather(down, window // len(self.windows.cols)), tf.gather(right, window % len(self.windows.cols))

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        count, each = len(pixels), self.windows.count
        parts = []
        for start in range(0, count, self.some):
            part = slice(start, start + self.some)
            parts.append(self._clean(*(tf.constant(padded(x[part], self.some)) for x in (pixels, targets))))
        scores, *held = (tf.concat(x, 0)[:count] for x in zip(*parts, strict=True))
        held = [tf.pad(x, [(0, self.batch - count), *[(0, 0)] * (len(x.shape) - 1)]) for x in held]
        wanted = tf.constant(padded(targets, self.batch))
        ablated = np.empty((count * each, targets.shape[1]), np.float32)
        done = 0
        for image, window, real in packed([each] * count, self.batch):
            ablated[done : done + real] = self._ablate(wanted, tf.constant(image), tf.constant(window), *held)[:real]
            done += real
        drops = scores.numpy()[:, :, None] - ablated.reshape(count, each, -1).transpose(0, 2, 1)
        idle = np.abs(drops).max(2) <= ROUNDING * np.abs(scores.numpy())
        return Maps(drops.reshape(count, -1, *self.windows.shape), scores.numpy(), idle=idle)
