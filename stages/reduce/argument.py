"""How strongly a row argues for a class, beside what it says for all others."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.stage import State

CHUNK = 4096
"""Rows widened to float64 at once."""


def is_relative(extract: State) -> bool:
    """Whether what a row says for one class can be set against what it says for all.

    A softmax ignores what all logits share, a sigmoid does not; and of some classes alone the mean is not that of all.
    """
    every = not extract["top"] and len(extract["attributed"]) == len(extract["classes"])
    return every and extract["kind"] == "softmax" and len(extract["classes"]) > 1


def lead(attribution: np.ndarray, columns: list[int]) -> np.ndarray:
    """How much and how clearly each row argues for classes: c / sqrt(s), 0 where it says the same for all.

    c is the attribution less its mean over the classes, s their standard deviation at the row: the geometric mean of
    c itself, which large activations win for any class, and of c / s, which faint ones win by chance. On four networks
    and ten kinds of attribution atlases so chosen were purer than those of the attribution or of c in 32 cases of 34,
    than those of c / s or of the margin to the next class in 25. No prediction or label has a say in it: how many rows
    come from photographs taken for the class is then a finding.

    Args:
        attribution: (rows, K), of all classes.
        columns: those asked for.

    Returns:
        float32 of shape (rows, columns).
    """
    found = np.zeros((len(attribution), len(columns)), np.float32)
    for start in range(0, len(attribution), CHUNK):
        wide = attribution[start : start + CHUNK].astype(np.float64)
        above, root = wide[:, columns] - wide.mean(1, keepdims=True), np.sqrt(wide.std(1))[:, None]
        found[start : start + CHUNK] = np.divide(above, root, out=np.zeros_like(above), where=root > 0)
    return found
