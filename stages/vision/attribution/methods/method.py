"""What every attribution method is declared with: settled once for a run, built once a process, called on batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from activation_atlas.stages.methods import Options
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.place import Place


@dataclass(frozen=True)
class Maps:
    """Maps of n images for k targets each.

    Attributes:
        values: (n, k, height, width) float32, raw: at the method's own resolution, signed where the method is.
        scores: (n, k) float32, the targets' logits (see :meth:`Model.scores`).
        gap: (n, k) float32, for path methods: how far the map's sum is from the change of the score it should add
            up to; None for others.
        idle: (n, k) bool, of methods that score images with parts hidden: whether the score is the same whatever is
            hidden, so that the map shows rounding, or the masks, and nothing else; None for others.
    """

    values: np.ndarray
    scores: np.ndarray
    gap: np.ndarray | None = None
    idle: np.ndarray | None = None


class Explain(Protocol):
    """A method at work: ``(pixels, targets, ids) -> maps``.

    Takes 1 <= n <= batch images: pixels uint8 (n, h, w, c) at the model's input size, targets int32 (n, k), and
    image ids, which seed whatever the method draws. A map does not depend on its companions.
    """

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps: ...


Sample = Callable[[int], np.ndarray]
"""The first n of the images to be explained, uint8 (<= n, h, w, c); read only if called."""

Settled = dict[str, Any]
"""What holds for a whole run: numbers, strings, lists, arrays. ``layer`` where there is one, ``height``, ``width``, and
``place``, where the map lies (:meth:`stages.vision.place.Place.row`)."""


@dataclass(frozen=True)
class Setting:
    """What a method is built for.

    Attributes:
        options: of the method's class in :mod:`stages.methods`.
        settled: what :attr:`Method.settle` returned.
        batch: images of one call at most, and of one forward pass.
        targets: k, targets of every image.
        seed: of the run; what is drawn for an image depends on it and on the image's id alone.
        background: uint8 (m, h, w, c), images of the data, where the method asks for them.
    """

    model: Model
    options: Any
    settled: Mapping[str, Any]
    batch: int
    targets: int
    seed: int = 0
    background: np.ndarray | None = None


def at_input(model: Model) -> Settled:
    """Of maps with a value for each pixel of the model's input: their size and place."""
    height, width = model.input_size
    return {"height": height, "width": width, "place": Place.whole((height, width)).row()}


def _at_input(model: Model, options: Options, sample: Sample) -> Settled:
    return at_input(model)


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        about: one line.
        source: where its formula comes from.
        build: makes it ready for one setting; what is compiled is compiled here or at the first call.
        settle: decides, before any shard, what must hold for all: the layer, the size of the maps, whether a quick
            way is exact. Raises UserError for what this model cannot do.
        background: images of the data it wants, given its options.
        signed: whether values below zero mean "against".
        by_weights: whether what is settled is right for these very weights only, and a model with others must settle
            anew: a quick way that was proven. Where a map lies is the same for all.
    """

    name: str
    about: str
    source: str
    build: Callable[[Setting], Explain]
    settle: Callable[[Model, Any, Sample], Settled] = _at_input
    background: Callable[[Any], int] = field(default=lambda options: 0)
    signed: bool = False
    by_weights: bool = False


def padded(array: np.ndarray, size: int) -> np.ndarray:
    """``array`` with zeros appended until it has ``size`` rows."""
    if len(array) == size:
        return array
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


def packed(jobs: Sequence[int], batch: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Jobs of several images in full batches.

    Args:
        jobs: number of jobs of each image.

    Yields:
        image (batch,) int32, job within the image (batch,) int32, and how many are real; the last batch is padded
        with repetitions of its first job.
    """
    image = np.repeat(np.arange(len(jobs), dtype=np.int32), jobs)
    job = np.concatenate([np.arange(n, dtype=np.int32) for n in jobs]) if len(jobs) else image
    for start in range(0, len(image), batch):
        own, number = image[start : start + batch], job[start : start + batch]
        count = len(own)
        if count < batch:
            own, number = (np.concatenate([x, np.repeat(x[:1], batch - count)]) for x in (own, number))
        yield own, number, count
