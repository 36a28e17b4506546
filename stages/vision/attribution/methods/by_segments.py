"""Segments of an image that are shown or hidden: their options, and the scores of images with some of them hidden."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from activation_atlas.stages.specs import PositiveInt
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables.flags import ROUNDING
from activation_atlas.stages.vision.attribution.additive import Jobs, Worth
from activation_atlas.stages.vision.attribution.methods.method import (
    GREY,
    Configured,
    Maps,
    Options,
    Pair,
    Sample,
    Setting,
    at_input,
)
from activation_atlas.stages.vision.attribution.superpixels import How, means, superpixels
from activation_atlas.stages.vision.batching import packed
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

SEGMENTS = 50
"""Of an image, where nothing else is said; fewer where one would have less than 16 pixels."""

Shade = Annotated[float, Field(ge=0, le=255)]
Fill = Literal["mean"] | Shade | tuple[Shade, Shade, Shade]


class BySegments(Options):
    """Methods that hide segments of the image."""

    masks: str | None = Field(
        None,
        min_length=1,
        description="folder of PNG files named like the images, of their sizes, one value or colour for each segment; "
        "default: segments are cut out of each image",
    )
    superpixels: How = Field("slic", description="how the image is cut into segments: by scikit-image, or a plain grid")
    segments: int | None = Field(
        None, ge=2, description="segments at most; default: 50, fewer where one would have less than 16 pixels"
    )
    fill: Fill = Field(
        GREY, description="what hides: a grey or a colour, in 0 to 255, before preprocessing; mean: the segment's own"
    )

    @model_validator(mode="after")
    def _one_source(self) -> BySegments:
        if self.masks is not None and {"superpixels", "segments"} & self.model_fields_set:
            raise ValueError("masks are the segments: leave out superpixels and segments, or give no masks")
        return self

    @property
    def most(self) -> int | None:
        """Segments that an image may have at most; None for any number."""
        return None

    def at(self, size: Pair) -> BySegments:
        """Fifty segments; of an input below 30 pixels fewer, but two."""
        most = min(SEGMENTS, max(2, size[0] * size[1] // 16))
        return self.model_copy(update={"segments": self.segments or most})

    def detail(self, size: Pair, stride: tuple[float, float]) -> float:
        return math.sqrt(size[0] * size[1] / self.segments)

    def passes(self, size: Pair | None) -> int | str:
        return "as many as there are segments" if size is None or self.masks else self.at(size).segments

    def looks(self, configured: Configured) -> str:
        if self.masks is not None:
            return f"the segments in {self.masks}"
        if self.superpixels == "grid":
            return f"a grid of {configured['segments']} segments at most"
        return f"at most {configured['segments']} segments of an image ({self.superpixels})"


class Sampled(BySegments):
    """Methods that show some of the segments at random, many times over."""

    samples: PositiveInt = Field(1000, description="images with some segments hidden, a forward pass each, at most")

    @property
    def most(self) -> int:
        """Half of the samples: with fewer the values are not told apart."""
        return self.samples // 2

    def passes(self, size: Pair | None) -> int:
        return self.samples


def configure(model: Model, options: BySegments, sample: Sample) -> Configured:
    """The size of the maps, and ``segments``.

    Raises:
        UserError: a colour for a model of one channel, more segments than pixels, or fewer samples than it takes to
            tell so many segments apart.
    """
    height, width = model.input_size
    if isinstance(options.fill, tuple) and model.channels == 1:
        raise UserError(f"{options.variant}.fill: model {model.name} takes images of one channel; give one number")
    if options.masks is not None:
        return at_input(model)
    segments = options.at(model.input_size).segments
    if segments > height * width:
        raise UserError(
            f"{options.variant}.segments: {segments:,} of an image of {height} x {width} pixels; "
            f"give at most {height * width:,}, or leave them out"
        )
    least = min(2 * segments, 2**segments - 2)
    if isinstance(options, Sampled) and options.samples < least:
        raise UserError(
            f"{options.variant}.samples: {options.samples} for up to {segments} segments; give at least {least}, "
            "or fewer segments"
        )
    return {**at_input(model), "segments": segments}


def given(options: BySegments) -> tuple[str, int | None] | None:
    """The folder of label images, and the most segments that one may have."""
    return None if options.masks is None else (options.masks, options.most)


class HiddenSegments(ABC):
    """Jobs of several images share a batch, all targets the pass; a map is made once all scores of its image are known.

    A job shows some of an image's segments and hides the others. What it shows is put together outside the graph, as
    the model receives it: pixels copied whole, which takes a tenth of the time that TensorFlow's ``where`` does.
    """

    def __init__(self, setting: Setting) -> None:
        from activation_atlas.stages.vision.model import freeze

        model, batch = setting.model, setting.batch
        self.model, self.seed, self.batch = model, setting.seed, batch
        self.options, self.regions = setting.options.at(model.input_size), setting.regions
        images = tf.TensorSpec((batch, *model.input_size, model.channels), tf.float32)
        self._score = freeze(self._scores, images, tf.TensorSpec((batch, setting.targets), tf.int32))

    @abstractmethod
    def jobs(self, image_id: str, segments: int) -> Jobs:
        """What is shown of an image of so many segments, besides all of them and none."""

    @abstractmethod
    def worth(self, jobs: Jobs, scores: np.ndarray, whole: np.ndarray, nothing: np.ndarray) -> Worth:
        """What each segment is worth.

        Args:
            scores: (jobs, k) float64, of the image with what a job does not show hidden.
            whole, nothing: (k,) float64, of the image as it is, and with every segment hidden.
        """

    def _scores(self, x: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        (logits,) = self.model.values(x, [self.model.program.output])
        return tf.cast(tf.gather(self.model.scores(logits), targets, axis=1, batch_dims=1), tf.float32)

    def _hidden(self, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The image (h, w, c) float32 with every segment hidden."""
        if self.options.fill == "mean":
            return means(labels, pixels).astype(np.float32)[labels]
        return np.full(pixels.shape, self.options.fill, np.float32)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        cut = self.options.superpixels, self.options.segments
        labels = [self.regions(i) if self.regions else superpixels(p, *cut) for i, p in zip(ids, pixels, strict=True)]
        hidden = np.stack([self._hidden(*each) for each in zip(pixels, labels, strict=True)])
        jobs = [self.jobs(i, int(own.max()) + 1) for i, own in zip(ids, labels, strict=True)]
        shown = [np.concatenate([whole_and_none(job.shown.shape[1]), job.shown]) for job in jobs]
        seen, unseen = (self.model.to_input(x).numpy() for x in (pixels, hidden))
        maps, fits, idle, scores = [], [], [], self._all(seen, unseen, labels, targets, shown)
        for own, job, score in zip(labels, jobs, scores, strict=True):
            whole, nothing, *_ = exact = score.astype(np.float64)
            worth = self.worth(job, exact[2:], whole, nothing)
            maps.append(worth.values.T.astype(np.float32)[:, own])
            fits.append(worth.fit)
            idle.append(np.ptp(score, 0) <= ROUNDING * np.abs(score).max(0))
        fit = None if fits[0] is None else np.array(fits, np.float32)
        return Maps(np.stack(maps), np.stack([score[0] for score in scores]), idle=np.stack(idle), fit=fit)

    def _all(
        self,
        seen: np.ndarray,
        unseen: np.ndarray,
        labels: Sequence[np.ndarray],
        targets: np.ndarray,
        shown: Sequence[np.ndarray],
    ) -> list[np.ndarray]:
        """Scores (jobs, k) float32 of each image."""
        counts = [len(own) for own in shown]
        scores = np.empty((sum(counts), targets.shape[1]), np.float32)
        made = np.empty((self.batch, *seen.shape[1:]), np.float32)
        # All channels of a pixel as one value: copied, or not, at once.
        onto, what, over = (x.view(f"V{4 * x.shape[-1]}")[..., 0] for x in (made, seen, unseen))
        done = 0
        for image, number, real in packed(counts, self.batch):
            for row, i, job in zip(onto, image, number, strict=True):
                np.copyto(row, over[i])
                np.copyto(row, what[i], where=shown[i][job][labels[i]])
            found = self._score(tf.constant(made), tf.constant(targets[image]))
            scores[done : done + real] = found.numpy()[:real]
            done += real
        return np.split(scores, np.cumsum(counts)[:-1])


def whole_and_none(segments: int) -> np.ndarray:
    """All segments shown, and none, (2, segments) bool."""
    return np.array([[True], [False]]).repeat(segments, 1)
