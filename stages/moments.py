"""Second moments of a layer's vectors: taken where the vectors are made, part by part, and added up where needed."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa

from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tables import from_numpy, moments, to_numpy

_ALONE = threading.Lock()


def of_part(shard: int, vectors: np.ndarray) -> pa.Table:
    """The row of one part's vectors (n, C): their number, and of the sum of their outer products, which is symmetric,
    the upper triangle, row by row.
    """
    from threadpoolctl import threadpool_limits

    wide = vectors.astype(np.float64)
    # A sum split over more threads is another sum: one thread, so that the bytes are the same everywhere.
    with _ALONE, threadpool_limits(limits=1):
        products = wide.T @ wide
    triangle = products[np.triu_indices(len(products))]
    columns = [pa.array([shard], pa.int32()), pa.array([len(vectors)], pa.int64()), from_numpy(triangle[None])]
    return pa.table(columns, schema=moments(wide.shape[1]))


def mean(inputs: Inputs, table: str) -> np.ndarray | None:
    """Mean outer product (C, C), float64, over all parts in their order; None where there is no vector."""
    total, rows = np.zeros(0), 0
    for part in inputs.stream(table):
        products = to_numpy(part["products"])[0]
        total = total + products if rows else products
        rows += int(part["rows"][0].as_py())
    if not rows:
        return None
    size = int(np.sqrt(2 * len(total)))
    whole = np.zeros((size, size))
    whole[np.triu_indices(size)] = total / rows
    return whole + np.triu(whole, 1).T
