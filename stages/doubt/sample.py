"""A sample of the images, brought to the model in every usual way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol

import numpy as np

from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.specs import ImagesSpec

BATCH = 24
"""Images in one forward pass."""

BYTES = 2**27
"""Of pixels held; a large model's sample is smaller."""


class Ways(Protocol):
    """What a model says of a few images, whichever way they are brought to it.

    Attributes:
        ways: the usual ones, without the model's own.
        now: the model's own, in words.
        kind: softmax or sigmoid.
        classes: how many there are.
    """

    @property
    def ways(self) -> Sequence[Any]: ...

    now: str
    kind: str
    classes: int

    def rows(self, count: int) -> np.ndarray:
        """Which of the images are the first ``count`` that can be read: their places, (<= count,)."""
        ...

    def logits(self, way: Any, count: int) -> np.ndarray:
        """The logits of those, (<= count, K) float32, brought to the model by ``way``; None: as it is configured."""
        ...

    def probabilities(self, way: Any, count: int) -> np.ndarray:
        """Their probabilities, (<= count, K) float64, each row of sum 1."""
        ...


class Sample:
    """:class:`Ways` of the first images of some that can be read.

    Args:
        uris: of the images, in the order in which they are to be taken.
    """

    def __init__(self, model: Any, spec: ImagesSpec, uris: Sequence[str]) -> None:
        from activation_atlas.stages.vision.model.scaling import bounds, said
        from activation_atlas.stages.vision.preparations import answers, usual

        self._model, self._answers = model, answers(model, BATCH)
        self._begin(spec, uris)
        self.ways, self.now = usual(model), said(bounds(model))
        self.kind, self.classes = model.kind, len(model.classes)

    def _begin(self, spec: ImagesSpec, uris: Sequence[str]) -> None:
        self._uris = dict(enumerate(uris))
        model = self._model
        self._feed = Feed(spec, at_size(spec.settled(model.brings), model.input_size, model.channels))
        self._rows: list[int] = []
        self._pixels: list[np.ndarray] = []
        self._said: dict[str, list[np.ndarray]] = {}

    def of(self, spec: ImagesSpec, uris: Sequence[str]) -> Sample:
        """Of other images, or of the same cut otherwise; nothing is compiled anew."""
        twin = copy(self)
        twin._begin(spec, uris)
        return twin

    def rows(self, count: int) -> np.ndarray:
        image = int(np.prod((*self._model.input_size, self._model.channels)))
        missing = min(count, max(BATCH, BYTES // image)) - len(self._rows)
        if missing > 0:
            read = self._feed.first(self._uris, missing)
            self._rows += read
            self._pixels += read.values()
            # Where fewer came than were asked for, none is left.
            last = self._rows[-1] if len(read) == missing else math.inf
            self._uris = {row: uri for row, uri in self._uris.items() if row > last}
        return np.array(self._rows[:count], np.int64)

    def logits(self, way: Any, count: int) -> np.ndarray:
        from activation_atlas.stages.vision.preparations import own

        there = len(self.rows(count))
        name = way.name if way is not None else ""
        parts = self._said.setdefault(name, [])
        for start in range(sum(map(len, parts)), there, BATCH):
            pixels = np.stack(self._pixels[start : min(start + BATCH, there)]).astype(np.float32)
            received = own(self._model, pixels) if way is None else way.apply(pixels)
            # A way may be too much for a model.
            parts.append(np.nan_to_num(self._answers(received)))
        return np.concatenate(parts)[:there]

    def probabilities(self, way: Any, count: int) -> np.ndarray:
        from activation_atlas.stages.vision.preparations import probabilities

        return probabilities(self._model, self.logits(way, count))


class Untried:
    """:class:`Ways` where there is no model to try any: none, of no image."""

    def __init__(self, classes: int) -> None:
        self.ways: Sequence[Any] = ()
        self.now, self.kind, self.classes = "", "", classes

    def rows(self, count: int) -> np.ndarray:
        return np.zeros(0, np.int64)

    def logits(self, way: Any, count: int) -> np.ndarray:
        return np.zeros((0, self.classes), np.float32)

    def probabilities(self, way: Any, count: int) -> np.ndarray:
        return np.zeros((0, self.classes))
