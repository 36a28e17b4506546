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


def copies(sha256: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Which images hold the same bytes as one before them, and are no case of their own: (n,) bool of each part.

    By the first 64 bits of the hash, which a million different files share with a chance of 3 in 10^8.

    Args:
        sha256: of each part those of its files, hex.
    """
    own = [np.array([int(each[:16], 16) for each in part], np.uint64) for part in sha256]
    whole = np.concatenate([*own, np.zeros(0, np.uint64)])
    twice = np.ones(len(whole), bool)
    twice[np.unique(whole, return_index=True)[1]] = False
    return np.split(twice, np.cumsum([len(part) for part in own])[:-1]) if own else []


def priority(image_ids: Sequence[str], *seeds: int) -> np.ndarray:
    """A draw that belongs to each image, (n,) uint64: the n smallest are a random sample, whichever others there are.

    The image's id, itself a hash, stirred by splitmix64 (Steele, Lea & Flood 2014).

    Args:
        seeds: other numbers, another draw.
    """
    with np.errstate(over="ignore"):
        x = np.array([int(own, 16) for own in image_ids], np.uint64)
        for seed in (*seeds, 0):
            x += np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed + 1)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x ^= x >> np.uint64(31)
    return x
