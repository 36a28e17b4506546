"""How much of the raw neighbourhoods a layout keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from activation_atlas.stages.reduce.components import unit

NEIGHBOURS = 15
SAMPLE = 6000


def fidelity(raw: np.ndarray, layout: np.ndarray, metric: str, seed: int) -> dict[str, Any]:
    """Trustworthiness (Venna & Kaski 2001) and neighbour preservation of a layout (n, d) of raw rows (n, C).

    Measured among a seeded sample of at most 6,000 rows, with k = 15 (fewer where there are under 32 rows), against
    the metric's neighbours of the raw activations. Trustworthiness, 0 to 1, falls with rows that are near in the
    layout and far in the activations; preservation is the share of the k nearest raw neighbours that are among the
    k nearest in the layout. Both None under 4 rows.
    """
    rows = min(len(raw), SAMPLE)
    k = min(NEIGHBOURS, (rows - 1) // 2)
    which = np.sort(np.random.default_rng([seed, len(raw)]).choice(len(raw), rows, replace=False))
    reference = f"{metric} neighbours of the raw activations, k {k}, {rows} of {len(raw)} fitted rows"
    if k < 1 or rows < 4:
        return {"trustworthiness": None, "neighbour_preservation": None, "reference": reference}
    trust, kept = _measure(raw[which], layout[which].astype(np.float64), metric, k)
    return {"trustworthiness": round(trust, 4), "neighbour_preservation": round(kept, 4), "reference": reference}


def _measure(raw: np.ndarray, layout: np.ndarray, metric: str, k: int, block: int = 500) -> tuple[float, float]:
    rows = len(raw)
    raw = unit(raw) if metric == "cosine" else raw.astype(np.float32) - raw.astype(np.float32).mean(0)
    penalty = kept = 0
    for start in range(0, rows, block):
        own = np.arange(start, min(start + block, rows))
        far, near = _squares(raw, own), _squares(layout, own)
        rank = np.empty(far.shape, np.int64)
        np.put_along_axis(rank, np.argsort(far, 1, kind="stable"), np.arange(1, rows + 1)[None], 1)
        ranks = np.take_along_axis(rank, np.argsort(near, 1, kind="stable")[:, :k], 1)
        penalty += int(np.maximum(ranks - k, 0).sum())
        kept += int((ranks <= k).sum())
    return 1 - 2 * penalty / (rows * k * (2 * rows - 3 * k - 1)), kept / (rows * k)


def _squares(rows: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Squared distances of the rows ``own`` to all (len(own), n); a row is infinitely far from itself."""
    square = (rows * rows).sum(1)
    found = square[own, None] + square - 2 * (rows[own] @ rows.T)
    found[np.arange(len(own)), own] = np.inf
    return found
