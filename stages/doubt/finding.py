"""What the doubts are found in, and what each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import assigned, task_of

LEAST = 10
"""Of fewer images nothing is said: what looks like chance may be chance."""


@dataclass(frozen=True)
class Doubt:
    """A reason to think that a run cannot be right.

    Attributes:
        kind: one of :data:`KINDS`.
        message: what was seen, in figures of this run.
        remedy: what to look at, or what would mend it; empty where another doubt tells.
        figures: what the message says, as numbers; JSON-able.
    """

    kind: str
    message: str
    remedy: str
    figures: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "; ".join(part for part in (self.message, self.remedy) if part)


KINDS = ("accuracy", "one class", "order", "range", "uniform", "labels")
"""In the order in which they are told: what is seen first, then what may be behind it."""


@dataclass(frozen=True)
class Seen:
    """The predictions of a run, one row for each image, in the order of their draws.

    Orders and chance are of classes that exclude one another: an image of several has no label here.

    Attributes:
        classes: names, in the order of the logits.
        label: class index, -1 where there is none, (n,) int64.
        pred: class of the largest logit, (n,) int64.
        prob: its probability, (n,) float64.
        ids: image ids.
        folders: label to the one folder that all its images lie in; empty where that does not tell labels apart.
    """

    classes: list[str]
    label: np.ndarray
    pred: np.ndarray
    prob: np.ndarray
    ids: list[str]
    folders: dict[int, str]

    @cached_property
    def labelled(self) -> Seen:
        """The images that have a label."""
        kept = np.flatnonzero(self.label >= 0)
        return Seen(
            self.classes,
            self.label[kept],
            self.pred[kept],
            self.prob[kept],
            [self.ids[k] for k in kept],
            self.folders,
        )

    @property
    def right(self) -> int:
        return int((self.label == self.pred).sum())

    def __len__(self) -> int:
        return len(self.pred)


def draws(ids: Sequence[str], seed: int) -> np.ndarray:
    """A number for each image, (n,) uint64, as good as random: by its id and the seed, whatever its companions are.

    SplitMix64 of the id (Steele, Lea & Flood 2014).
    """
    x = np.array([int(i, 16) & 0xFFFF_FFFF_FFFF_FFFF for i in ids], np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def read(inputs: Inputs, classes: Sequence[str], seed: int) -> Seen:
    """The predictions, without their logits, shuffled by :func:`draws`."""
    said = inputs.table("predictions", ["image_id", "label", "pred", "prob"])
    ids = said["image_id"].to_pylist()
    order = np.argsort(draws(ids, seed), kind="stable")
    label, pred = (assigned(said[name]).only for name in ("label", "pred"))
    if task_of(said.schema.field("pred").type).several:  # some images are taken for none, or several
        top = inputs.table("predictions", ["top_classes"])["top_classes"]
        pred = pc.list_element(top, 0).to_numpy().astype(np.int64)
    prob = said["prob"].to_numpy().astype(np.float64)
    sorted_ids = [ids[k] for k in order]
    return Seen(list(classes), label[order], pred[order], prob[order], sorted_ids, _folders(inputs))


def _folders(inputs: Inputs) -> dict[int, str]:
    """The folder of each label's images, where labels and folders go together one for one."""
    found: dict[int, str] = {}
    for part in inputs.stream("images", ["uri", "label"]):
        folders = [PurePosixPath(uri.partition("#")[0]).parent.name for uri in part["uri"].to_pylist()]
        pairs = pa.table({"label": assigned(part["label"]).only, "folder": folders})
        for row in pairs.group_by(["label", "folder"]).aggregate([]).to_pylist():
            if row["label"] >= 0 and found.setdefault(row["label"], row["folder"]) != row["folder"]:
                return {}
    return found if len(set(found.values())) == len(found) else {}
