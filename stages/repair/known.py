"""The labelled images of a run, which half each is of, and which cues it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.halves import held_out, priority
from activation_atlas.stages.repair.carriers import carriers
from activation_atlas.stages.repair.refit import FOLDS
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import assigned


@dataclass(frozen=True)
class Known:
    """n images of one known label each, by their ids.

    Attributes:
        ids, uris: of each.
        label: (n,) class indices.
        held: (n,) bool, those that nothing is fitted on.
        cues: (n, J) bool, which cues it carries.
        fold: (n,) below :data:`FOLDS`; by its content, so that copies are of one.
        draw: (n,) uint64, at random and the image's own.
    """

    ids: list[str]
    uris: list[str]
    label: np.ndarray
    held: np.ndarray
    cues: np.ndarray
    fold: np.ndarray
    draw: np.ndarray

    @classmethod
    def of(cls, inputs: Inputs, view: ViewSpec, cues: Sequence[Mapping[str, Any]], seed: int) -> Known:
        """The images of a run, and which of the ``cues`` (rows of that table) each carries."""
        said = inputs.table("predictions", ["image_id", "label"])
        label = assigned(said["label"]).only
        labels = dict(zip(said["image_id"].to_pylist(), label.tolist(), strict=True))
        images = [
            row
            for part in inputs.stream("images", ["image_id", "uri", "sha256"])
            for row in part.to_pylist()
            if labels.get(row["image_id"], -1) >= 0
        ]
        images.sort(key=lambda row: row["image_id"])
        ids, content = [row["image_id"] for row in images], [row["sha256"] for row in images]
        carry = [[i in own for i in ids] for own in carriers(inputs, view, cues)]
        return cls(
            ids,
            [row["uri"] for row in images],
            np.array([labels[i] for i in ids], np.int64),
            held_out(content, seed),
            np.array(carry, bool).reshape(len(cues), len(ids)).T,
            np.array([int(own[:8], 16) % FOLDS for own in content], np.int64),
            priority(ids, seed, 23),
        )

    def some(self, chosen: np.ndarray, most: int, first: np.ndarray | None = None) -> np.ndarray:
        """Places of at most so many of the ``chosen`` (n,) bool, drawn at random, rising; those of ``first`` first."""
        places = np.flatnonzero(chosen)
        keys = [self.draw[places]] if first is None else [self.draw[places], ~first[places]]
        return np.sort(places[np.lexsort(keys)][:most])
