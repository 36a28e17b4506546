"""What is computed in batches of one fixed size: fewer rows are filled up, jobs of several images are packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


def padded(array: np.ndarray, size: int) -> np.ndarray:
    """``array`` with zeros appended until it has ``size`` rows."""
    if len(array) == size:
        return array
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


def repeated(array: np.ndarray, multiple: int) -> np.ndarray:
    """``array`` with its last row repeated until its rows are a multiple of so many."""
    return np.concatenate([array, np.repeat(array[-1:], -len(array) % multiple, axis=0)])


def packed(jobs: Sequence[int], batch: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Jobs of several images in full batches.

    Args:
        jobs: number of jobs of each image.

    Yields:
        image (batch,) int32, job within the image (batch,) int32, and how many are real; the last batch is padded
        with repetitions of its first job.
    """
    image = np.repeat(np.arange(len(jobs), dtype=np.int32), jobs)
    job = np.concatenate([np.arange(n, dtype=np.int32) for n in jobs]) if len(jobs) else image
    for start in range(0, len(image), batch):
        own, number = image[start : start + batch], job[start : start + batch]
        count = len(own)
        if count < batch:
            own, number = (np.concatenate([x, np.repeat(x[:1], batch - count)]) for x in (own, number))
        yield own, number, count
