"""The second moment of the layer that is drawn: what its vectors have in common, which icons are to leave out."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages import tables
from activation_atlas.stages.specs import ViewSpec, folder
from activation_atlas.stages.stage import Inputs


def source(view: ViewSpec) -> str:
    """The table it comes from. Of images that is the vectors themselves: the moments of one vector an image would take
    more room than they do.
    """
    return view.rows_table if view.images else f"moments/{folder(view.layer)}"


def second_moment(inputs: Inputs, view: ViewSpec) -> np.ndarray | None:
    """Mean outer product (C, C), float64, over all parts in their order; None where there is no vector."""
    rows, total = 0, np.zeros(())
    for part in inputs.stream(source(view), [view.vector_column] if view.images else None):
        if view.images:
            vectors = tables.to_numpy(part[view.vector_column]).astype(np.float64)
            rows, total = rows + len(vectors), total + vectors.T @ vectors
        else:
            rows, total = rows + int(part["rows"][0].as_py()), total + tables.to_numpy(part["products"])[0]
    if not rows:
        return None
    return total / rows if view.images else _symmetric(total / rows)


def _symmetric(triangle: np.ndarray) -> np.ndarray:
    """The matrix (C, C) of this upper triangle, row by row."""
    size = int(np.sqrt(2 * len(triangle)))
    whole = np.zeros((size, size))
    whole[np.triu_indices(size)] = triangle
    return whole + np.triu(whole, 1).T
