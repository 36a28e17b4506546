"""Quantities as numbers: what is predicted, what is true, and which images are the worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.tasks.kinds import Column, labelled, task_of

SHARE = 0.1
"""Of the images with labels, the share of largest residuals that counts as errors."""


@dataclass(frozen=True)
class Values:
    """Quantities of images, float64 (n, K); a label that is not known is NaN."""

    pred: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, predictions: pa.Table, outputs: int) -> Values:
        """The columns ``pred`` and ``label`` of a table of quantities."""
        pred, label = (_matrix(predictions[name], outputs) for name in ("pred", "label"))
        return cls(pred, label)

    @property
    def residual(self) -> np.ndarray:
        """What is predicted less the label, (n, K)."""
        return self.pred - self.label


def _matrix(column: Column, outputs: int) -> np.ndarray:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    rows = np.full((len(column), outputs), np.nan)
    rows[labelled(column)] = pc.list_flatten(column).to_numpy(zero_copy_only=False).reshape(-1, outputs)
    return rows


@dataclass(frozen=True)
class Worst:
    """Which images count as errors where nothing is right or wrong: the :data:`SHARE` of largest residuals.

    Attributes:
        scale: (K,) root mean square residual of each output: several are compared in units of it.
        least: the largest residual of an image, in these units, from which it is an error.
    """

    scale: tuple[float, ...]
    least: float

    @classmethod
    def of(cls, values: Values) -> Worst:
        """By all images of a run."""
        known = np.isfinite(values.residual).all(1)
        squares = values.residual[known] ** 2
        scale = tuple(np.sqrt(squares.mean(0)).tolist()) if known.any() else (1.0,) * values.pred.shape[1]
        apart = np.sort(cls(scale, 0.0).apart(values)[known])[::-1]
        return cls(scale, float(apart[int(np.ceil(SHARE * len(apart))) - 1]) if len(apart) else np.inf)

    def apart(self, values: Values) -> np.ndarray:
        """The largest residual of each image without its sign, in units of ``scale``, (n,); NaN without a label."""
        scale = np.array(self.scale)
        return (np.abs(values.residual) / np.where(scale > 0, scale, 1.0)).max(1)


def judged(predictions: pa.Table, found: Mapping[str, Any] | None) -> pa.Table:
    """Rows of ``predictions`` with what tells errors, and the worst of them, whatever the kind.

    Args:
        found: what the stage ``measures`` found of quantities; None of other kinds, whose ``correct`` says it.

    Returns:
        ``correct`` filled in for quantities, and ``severity``, float64, by which errors are sorted, the worst first:
        ``prob``, or the largest residual in units of its output's root mean square.
    """
    if not task_of(predictions.schema.field("label").type).measured:
        return predictions.append_column("severity", pc.cast(predictions["prob"], pa.float64()))
    worst = Worst(**(found or {})["errors"])
    apart = worst.apart(Values.of(predictions, len(worst.scale)))
    known = np.isfinite(apart)
    wrong = (apart >= worst.least) & (apart > 0)
    place = predictions.schema.get_field_index("correct")
    told = predictions.set_column(place, "correct", pa.array(~wrong, mask=~known))
    return told.append_column("severity", pa.array(np.where(known, apart, -np.inf)))
