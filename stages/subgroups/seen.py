"""All images of a run as the groups see them: a few numbers of each, read part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.subgroups.columns import Grouping, Numbers, Texts, binned, gathered, written_numbers
from activation_atlas.stages.tasks import Assigned, Task, Values, assigned, labelled, right, task_of

PREDICTIONS = ["image_id", "label", "pred", "correct", "prob"]


@dataclass(frozen=True)
class Seen:
    """What is known of the n images that were predicted.

    Attributes:
        measure: accuracy, mae or confidence: what groups are compared by.
        known: (n,) bool, the images that count: those with a label, or all where no image has one.
        score: (n,) float64 of the measure, whose means are compared: 1 where an image is right and else 0, the absolute
            error, or the probability of the prediction; 0 where not known.
        labelled: (n,) bool.
        probability: (n,) of the prediction; NaN of quantities.
        label, pred: classes; none of quantities.
        off: (n, K) absolute error of each quantity, in its unit, NaN without a label; else None.
        truth: (n, K) labels of quantities; else None.
    """

    task: Task
    classes: Sequence[str]
    measure: str
    known: np.ndarray
    score: np.ndarray
    labelled: np.ndarray
    probability: np.ndarray
    label: Assigned
    pred: Assigned
    off: np.ndarray | None = None
    truth: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.known)

    @property
    def shares(self) -> bool:
        """Whether the measure is a share of images."""
        return self.measure == "accuracy"

    @property
    def right(self) -> Assigned:
        """The classes of each image's label that it is also taken for."""
        mine, theirs = (of.image << 32 | of.index for of in (self.label, self.pred))
        hit = np.isin(mine, theirs)
        return Assigned(self.label.known, self.label.image[hit], self.label.index[hit])

    def groupings(self) -> list[Grouping]:
        """Those by label and by prediction; none by predictions of quantities."""
        if self.truth is not None:
            found = []
            for k, name in enumerate(self.classes):
                told = binned(self.truth[:, k], written_numbers)
                found.append(Grouping.of_codes("label", f"label: {name}", told.values, told.codes, told.binned))
            return [each for each in found if each.values]
        kinds = (("label", self.label), ("prediction", self.pred))
        return [_by_class(kind, of, self.classes) for kind, of in kinds if len(of.index)]


def _by_class(kind: str, of: Assigned, classes: Sequence[str]) -> Grouping:
    occur, index = np.unique(of.index, return_inverse=True)
    return Grouping(kind, kind, [classes[k] for k in occur], of.image, index)


def read(inputs: Inputs, columns: Mapping[str, pa.DataType]) -> tuple[Seen, dict[str, Numbers | Texts]]:
    """The images that were predicted, and what they have in columns of ``images``.

    Args:
        columns: of these the types.
    """
    found = {name: gathered(kind) for name, kind in columns.items()}
    contents = []
    classes = inputs.state("extract", "")["classes"]
    parts = []
    for index in range(inputs.parts("predictions")):
        said = inputs.part("predictions", index, PREDICTIONS)
        parts.append(said.drop_columns(["image_id"]))
        images = inputs.part("images", index, ["image_id", "sha256", *columns])
        where = pc.index_in(said["image_id"], value_set=images["image_id"].combine_chunks())
        hashes = pc.utf8_slice_codeunits(images["sha256"].take(where), 0, 16).to_pylist()
        contents.append(np.array([int(own, 16) for own in hashes], np.uint64))
        for name, column in found.items():
            column.add(images[name].take(where))
    whole = pa.concat_tables(parts)
    repeated = len(whole) - len(np.unique(np.concatenate(contents)))
    if repeated:
        inputs.warn(
            f"audit.groups: {repeated} of {len(whole)} images hold the same bytes as another: intervals and tests take "
            "them for independent, and are too sure; leave the repeats out"
        )
    return _seen(whole, classes), found


def _seen(said: pa.Table, classes: Sequence[str]) -> Seen:
    task = task_of(said.schema.field("label").type)
    label, pred = assigned(said["label"]), assigned(said["pred"])
    probability = pc.fill_null(said["prob"], np.nan).to_numpy().astype(np.float64)
    known = labelled(said["label"])
    if task.measured:
        values = Values.of(said, len(classes))
        off = np.abs(values.residual)
        known = np.isfinite(off).all(1)
        return Seen(
            task, classes, "mae", known, _errors(off, known), known, probability, label, pred, off, values.label
        )
    if known.any():
        score = right(said["correct"]).astype(np.float64)
        return Seen(task, classes, "accuracy", known, score * known, known, probability, label, pred)
    told = np.isfinite(probability)
    return Seen(task, classes, "confidence", told, np.where(told, probability, 0), known, probability, label, pred)


def _errors(off: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of one quantity its error, of several their mean, each in units of its root mean square."""
    if not known.any():
        return np.zeros(len(off))
    scale = np.sqrt((off[known] ** 2).mean(0)) if off.shape[1] > 1 else np.ones(1)
    return np.where(known, (off / np.where(scale > 0, scale, 1)).mean(1), 0)
