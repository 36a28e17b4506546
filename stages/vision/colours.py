"""Colours of natural images, in which steps of equal size are natural ones: NumPy alone."""

from __future__ import annotations

import numpy as np

PHOTOGRAPHS = np.array([[0.070, 0.062, 0.058], [0.062, 0.066, 0.063], [0.058, 0.063, 0.071]])
"""Covariance of the pixels of 1,000 photographs, in [0, 1]: for who has no images of his own."""


def colour_root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric square root of a colour covariance (c, c), divided by its largest column norm (lucid).

    No colours at all (one flat image) give the identity.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors @ np.diag(np.sqrt(np.clip(values, 0, None))) @ vectors.T
    largest = np.linalg.norm(root, axis=0).max()
    return root / largest if largest > 1e-6 else np.eye(len(covariance))
