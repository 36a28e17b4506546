"""The confusion matrix: who is taken for whom, with the rates it gives."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from activation_atlas.stages.intervals import wilson

MOST = 40
"""Classes of a matrix that is drawn whole; with more, confusions are listed."""


def matrix(counts: Counter[tuple[int, int]], classes: int) -> np.ndarray:
    """int (classes, classes): rows are labels, columns predictions."""
    found = np.zeros((classes, classes), np.int64)
    for (label, pred), n in counts.items():
        found[label, pred] = n
    return found


def shades(counts: np.ndarray) -> np.ndarray:
    """How dark each cell is, in [0, 1]: the square root of its share of the largest off the diagonal.

    The diagonal is 0: it would outshine every mistake.
    """
    off = counts * (1 - np.eye(len(counts), dtype=np.int64))
    return np.sqrt(off / max(1, off.max()))


def rates(right: np.ndarray, of: np.ndarray) -> list[dict[str, Any] | None]:
    """Shares with their 95 % intervals (Wilson); None where there is nothing to have a share of."""
    found: list[dict[str, Any] | None] = []
    for k, n in zip(right.tolist(), of.tolist(), strict=True):
        low, high = wilson(k, n)
        found.append({"right": k, "of": n, "share": k / n, "low": low, "high": high} if n else None)
    return found


def table(counts: Counter[tuple[int, int]], classes: list[str]) -> dict[str, Any]:
    """The matrix for the template: per label its cells and recall, per prediction its precision."""
    found = matrix(counts, len(classes))
    dark, right = shades(found), found.diagonal()
    return {
        "classes": classes,
        "rows": [
            [{"n": int(found[i, j]), "shade": round(float(dark[i, j]), 3)} for j in range(len(classes))]
            for i in range(len(classes))
        ],
        "recall": rates(right, found.sum(1)),
        "precision": rates(right, found.sum(0)),
    }
