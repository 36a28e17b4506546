"""What is known of the predictions, and which of them are the worst."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tasks import assigned, judged, task_of

_PREDICTED = ["image_id", "label", "pred", "prob", "correct", "top_classes", "top_probs", "label_prob"]


def known(inputs: Inputs, ranked: bool) -> pa.Table:
    """All predictions without their logits, with ``severity``.

    Args:
        ranked: of several labels the severity is that of :func:`surest`, which needs the logits of a part at a time.
    """
    parts = inputs.parts("predictions")
    if not (ranked and parts and task_of(inputs.part("predictions", 0, ["label"]).schema.field("label").type).several):
        return told(inputs, inputs.table("predictions", _PREDICTED))
    return pa.concat_tables([surest(told(inputs, p)) for p in inputs.stream("predictions", [*_PREDICTED, "logits"])])


def told(inputs: Inputs, predictions: pa.Table) -> pa.Table:
    """Predictions with what tells errors: of quantities only all of a run together do."""
    measured = task_of(predictions.schema.field("label").type).measured
    return judged(predictions, inputs.state("measures", "") if measured else None)


def surest(predictions: pa.Table) -> pa.Table:
    """Rows of several labels, less their ``logits``, whose ``severity`` is how sure the model is where it is wrong.

    It is the largest of 1 - p of the classes that it misses and of p of those it falsely calls, p their sigmoid: the
    order of the page of mistakes. Of an image that is right it stays ``prob``.
    """
    label, pred = (assigned(predictions[name]) for name in ("label", "pred"))
    missed, false = label.without(pred), pred.without(label)
    p = 1 / (1 + np.exp(-to_numpy(predictions["logits"]).astype(np.float64)))
    worst = np.full(len(predictions), -np.inf)
    np.maximum.at(worst, missed.image, 1 - p[missed.image, missed.index])
    np.maximum.at(worst, false.image, p[false.image, false.index])
    worst = np.where(np.isfinite(worst), worst, predictions["prob"].to_numpy())
    return predictions.drop_columns(["logits", "severity"]).append_column("severity", pa.array(worst))
