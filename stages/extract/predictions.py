"""What the model says of each image, as the table ``predictions``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.tasks import assigned, task_of

TOP_PREDICTED = 5
TOP = (pa.list_(pa.int32()), pa.list_(pa.float32()))


def best(logits: np.ndarray, count: int) -> np.ndarray:
    """Classes of the ``count`` largest logits, best first; the first of equals comes first."""
    return np.argsort(-logits, axis=1, kind="stable")[:, :count]


def predictions(
    images: pa.Table, logits: np.ndarray, probabilities: np.ndarray, least: np.ndarray | float = 0.0
) -> pa.Table:
    """A row for each of ``images``, rows of that table; ``logits`` and ``probabilities``: (n, K) float32.

    Args:
        least: of several labels, the logit from which each is predicted, (K,) or one for all.
    """
    task = task_of(images.schema.field("label").type)
    label = images["label"].combine_chunks()
    pred = task.predict(logits - least if task.several else logits)
    if task.measured:
        nothing = (pa.nulls(len(images), kind) for kind in (pa.float32(), pa.bool_(), *TOP, pa.float32()))
        prob, *others = nothing
        columns = [images["image_id"], label, pred, prob, *others, tables.from_numpy(logits)]
        return pa.table(columns, schema=tables.predictions(logits.shape[1], task))
    order = best(logits, TOP_PREDICTED)
    top = np.take_along_axis(probabilities, order, 1)
    return pa.table(
        [
            images["image_id"],
            label,
            pred,
            pa.array(top[:, 0] if len(top) else np.zeros(0, np.float32)),
            task.correct(pred, label),
            _lists(order.astype(np.int32)),
            _lists(top),
            assigned(label).least(probabilities),
            tables.from_numpy(logits),
        ],
        schema=tables.predictions(logits.shape[1], task),
    )


def _lists(array: np.ndarray) -> pa.ListArray:
    offsets = np.arange(len(array) + 1, dtype=np.int32) * array.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(array.reshape(-1)))
