"""Which images a thing may be found in, and which it is then tested on. A leaf."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def held_out(sha256: Sequence[str], seed: int) -> np.ndarray:
    """Which images are of the half that nothing is fitted on or chosen by, (n,) bool.

    By a hash of the file's content and the run's seed: the same file twice is on one side, and whether an image is held
    out does not depend on which others there are.

    Args:
        sha256: of each file, hex, as in the table `images`.
    """
    return np.array([hashlib.sha256(f"{seed}:{own}".encode()).digest()[0] & 1 for own in sha256], bool)
