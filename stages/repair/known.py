"""The labelled images of a run, which half each is of, and which cues it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.halves import copies, held_out, priority
from activation_atlas.stages.repair.carriers import carriers
from activation_atlas.stages.repair.refit import FOLDS
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import assigned


@dataclass(frozen=True)
class Known:
    """n images of one known label each, by their ids; of copies of a file one alone.

    Attributes:
        ids, uris: of each.
        label: (n,) class indices.
        held: (n,) bool, those that nothing is fitted on.
        cues: (n, J) bool, which cues it carries.
        fold: (n,) below :data:`FOLDS`; by its content.
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
        label, names = assigned(said["label"]).only, said["image_id"].combine_chunks()
        parts = []
        for part in inputs.stream("images", ["image_id", "uri", "sha256"]):
            place = pc.fill_null(pc.index_in(part["image_id"], value_set=names), -1).to_numpy()
            own = np.where(place >= 0, label[place], -1)
            parts.append(part.append_column("label", pa.array(own)).filter(pa.array(own >= 0)))
        images = pa.concat_tables(parts).sort_by("image_id")
        images = images.filter(pa.array(~copies([images["sha256"].to_pylist()])[0]))
        ids, uris, content = (images[name].to_pylist() for name in ("image_id", "uri", "sha256"))
        carry = [[i in own for i in ids] for own in carriers(inputs, view, cues)]
        return cls(
            ids,
            uris,
            images["label"].to_numpy().astype(np.int64),
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
