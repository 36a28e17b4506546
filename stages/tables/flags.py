"""Why a map says nothing: the words of the column ``flag`` of ``maps``. A leaf."""

from __future__ import annotations

import numpy as np

NOT_FINITE, ZERO, ONE, CONSTANT, TIES = "not finite", "zero", "one position", "constant", "ties"

SILENT = {
    NOT_FINITE: "not finite somewhere",
    ZERO: "zero everywhere",
    ONE: "of one position",
    TIES: "highest on more than half of its positions",
    CONSTANT: "of one value",
}
"""Word -> what such a map is, in prose."""

ROUNDING = 1e-6
"""Values nearer than this share of the largest are one value: sums of float32 in another order differ by as much."""


def flag_of(values: np.ndarray, score: float, idle: bool = False) -> str | None:
    """Why a map tells nothing of where, one of :data:`SILENT`, or None.

    Deletion, insertion and the pointing game go by what a map ranks first. Where more than half of it shares the
    largest value, it ranks nothing first: the order of that half would be the random draw's. Ties below the largest
    value are no flaw: half of a Grad-CAM is zero after its ReLU, and the other half says where.

    Args:
        values: (height, width), raw.
        score: the target's logit.
        idle: the score is the same whatever is hidden; of such a map the values are no matter.
    """
    if not (np.isfinite(values).all() and np.isfinite(score)):
        return NOT_FINITE
    if not values.any():
        return ZERO
    if values.size == 1:
        return ONE
    values = values.astype(np.float64)
    alike = ROUNDING * np.abs(values).max()
    if idle or np.ptp(values) <= alike:
        return CONSTANT
    return TIES if 2 * np.count_nonzero(values >= values.max() - alike) > values.size else None
