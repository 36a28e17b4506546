"""Regions of the atlas whose images fail more than others."""

from __future__ import annotations

from typing import Any

import numpy as np

from activation_atlas.stages.significance import bh
from activation_atlas.stages.slices.images import Finder, Images, Score

LEAST = 10
"""Images of the search half that a cell needs."""
SURE = 0.05
ALL = -1
"""In the place of a class: whatever they are taken for."""


def fit(search: Images, seed: int, most: int) -> Score:
    """Cells by how unlikely so many errors are in as many images drawn anyhow; neighbours that are both sure are one.

    Of all images with a sampled position in the cell; and of those taken for one class, among all that are taken for
    it. An image is the more of a region the more its positions there argue for what it is taken for; where no
    attributions are stored, the more positions these are.
    """
    side = int(round(search.rows.shape[1] ** 0.5))
    classes = np.array([ALL, *np.flatnonzero(np.bincount(search.pred) >= LEAST)])
    p = np.stack([failing(search, k) for k in classes.tolist()])
    sure = bh(p.reshape(-1)).reshape(p.shape) < SURE
    found: list[tuple[float, int, np.ndarray]] = []
    for k, kind in enumerate(classes.tolist()):
        order = np.argsort(p[k], kind="stable")
        regions = grown(order[np.isfinite(p[k][order])], sure[k], side)
        found += [(float(p[k][region].min()), kind, region) for region in regions]
    found = sorted(found, key=lambda each: each[:2])[:most]

    def score(images: Images) -> np.ndarray:
        strengths = np.full((len(images), len(found)), np.nan)
        argues = images.rows if images.evidence is None else images.evidence
        for k, (_, kind, region) in enumerate(found):
            there = (_sum(images.rows, region) > 0) & ((kind == ALL) | (images.pred == kind))
            strengths[there, k] = _sum(argues, region)[there]
        return strengths

    return score


def _sum(values: Any, region: np.ndarray) -> np.ndarray:
    return np.asarray(values[:, region].sum(1)).reshape(-1)


def failing(search: Images, kind: int) -> np.ndarray:
    """Of each cell the p value that its images err no more than all, one-sided, (cells,); NaN of those of few images.

    Without labels: by how much less confident the model is of them, a rank sum test by its normal approximation.

    Args:
        kind: a class: among what is taken for it.
    """
    from scipy.sparse import csr_matrix
    from scipy.stats import hypergeom, norm, rankdata

    known = ~np.isnan(search.risk) & ((kind == ALL) | (search.pred == kind))
    there = csr_matrix((search.rows[known] > 0).astype(np.float64))
    risk, count = search.risk[known], np.asarray(there.sum(0)).reshape(-1)
    if (~np.isnan(search.wrong)).any():
        p = hypergeom.sf(risk @ there - 1, len(risk), risk.sum(), count)
    else:
        n, ranks = len(risk), rankdata(risk)
        spread = np.sqrt(count * np.maximum(n - count, 1) * (n + 1) / 12)
        p = norm.sf((ranks @ there - count * (n + 1) / 2) / np.maximum(spread, 1e-12))
    return np.where(count >= LEAST, p, np.nan)


def grown(order: np.ndarray, sure: np.ndarray, side: int) -> list[np.ndarray]:
    """Regions of cells, by their first: each of the cells ``order``, with all sure ones that touch it where it is sure.

    Args:
        order: cells, x * side + y, the most suspicious first.
        sure: (cells,) bool.
    """
    regions, left = [], set(order.tolist())
    for first in order.tolist():
        if first not in left:
            continue
        region, reach = [], [first]
        left.discard(first)
        while reach:
            own = reach.pop()
            region.append(own)
            if not sure[own]:
                continue
            x, y = divmod(own, side)
            around = ((x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1))
            near = [i * side + j for i, j in around if 0 <= i < side and 0 <= j < side]
            near = [cell for cell in near if cell in left and sure[cell]]
            left.difference_update(near)
            reach.extend(near)
        regions.append(np.array(sorted(region)))
    return regions


FINDER = Finder("cells", "regions of the atlas whose images fail", "this project", fit, ("rows",))
