"""What the last layer reads of images, as they are and with patches pasted on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.repair.pasting import Patch
from activation_atlas.stages.repair.refit import Linear
from activation_atlas.stages.stage import State


@dataclass(frozen=True)
class Read:
    """m rows of what the last layer reads.

    Attributes:
        row: (m,) the image's place.
        cue: (m,) which cue was pasted on it, -1: none.
        features: (m, D) float32.
    """

    row: np.ndarray
    cue: np.ndarray
    features: np.ndarray


class Passes:
    """The model up to its last layer, and the way of images to it.

    Attributes:
        path: of the last layer.
        layer: it, as it is.

    Raises:
        UserError: the model has no such layer.
    """

    def __init__(self, params: Any, extract: State) -> None:
        from activation_atlas.stages.vision.model import open_model
        from activation_atlas.stages.vision.model.last_layer import last_layer, reader

        model = open_model(params.model)
        last = last_layer(model)
        self.path, self.batch = last.path, params.batch
        bias = np.zeros(last.kernel.shape[1]) if last.bias is None else last.bias
        self.layer = Linear(last.kernel, bias, model.ends_in_one, last.bias is not None)
        self._read = reader(model, last, params.batch)
        shown = params.images.settled(extract.get("images", {}))
        self._feed = Feed(params.images, at_size(shown, tuple(extract["input_size"]), model.channels))

    def images(self, uris: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Images at the model's size, by id; without those that cannot be read."""
        return {k: image for k, image in self._feed.stream(uris) if isinstance(image, np.ndarray)}

    def read(self, uris: Mapping[int, str], pasted: Mapping[int, Sequence[tuple[int, Patch]]]) -> Read:
        """Each image as it is and with what is pasted on it, by its place; without those that cannot be read."""
        done: list[tuple[int, int, np.ndarray]] = []
        waiting: list[tuple[int, int, np.ndarray]] = []
        for batch in self._feed.batches(uris, self.batch):
            for row, image in zip(batch.keys, batch.images, strict=True):
                waiting.append((row, -1, image))
                waiting += [(row, cue, patch.on(image)) for cue, patch in pasted.get(row, ())]
            while len(waiting) >= self.batch:
                done += self._passed(waiting[: self.batch])
                del waiting[: self.batch]
        done += self._passed(waiting) if waiting else []
        width = len(self.layer.kernel)
        rows, cues = (np.array([each[k] for each in done], np.int64) for k in (0, 1))
        return Read(rows, cues, np.array([each[2] for each in done], np.float32).reshape(-1, width))

    def _passed(self, some: Sequence[tuple[int, int, np.ndarray]]) -> Iterable[tuple[int, int, np.ndarray]]:
        features = self._read(np.stack([image for _, _, image in some]))
        return [(row, cue, own) for (row, cue, _), own in zip(some, features, strict=True)]
