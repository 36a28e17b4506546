"""activations -> moments: the second moments of each layer that is drawn, once for all its atlases."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import Spec, folder
from activation_atlas.stages.stage import Inputs, Shard, Stage, aligned_shards

_ALONE = threading.Lock()


class Params(Spec):
    layer: str


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
    columns = [pa.array([shard], pa.int32()), pa.array([len(vectors)], pa.int64()), tables.from_numpy(triangle[None])]
    return pa.table(columns, schema=tables.moments(wide.shape[1]))


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    rows = inputs.part(f"activations/{folder(params.layer)}", shard.index, ["activation"])
    return {f"moments/{folder(params.layer)}": of_part(shard.index, tables.to_numpy(rows["activation"]))}


def _steps(asked: Sections) -> list[tuple[str, dict[str, Any]]]:
    drawn = {a.layer for a in asked.config.atlases if a.render is not None and not a.images}
    return [(folder(layer), {"layer": layer}) for layer in sorted(drawn)]


STAGE = Stage(
    name="moments",
    version=1,
    about="second moments of a layer that is drawn, for the whitening of icons",
    params=Params,
    shards=lambda inputs, params: aligned_shards(f"activations/{folder(params.layer)}")(inputs, params),
    run=run,
    reads=lambda params: {f"activations/{folder(params.layer)}": "part"},
    writes=lambda params: [f"moments/{folder(params.layer)}"],
    libraries=("numpy",),
    steps=_steps,
)
