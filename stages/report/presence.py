"""Which photographs lie where on a map: how many, how many of them mistaken, and how far their labels differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.keys import cell
from activation_atlas.stages.report.evidence import Atlas
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import assigned, mistaken

DRAWS = 200
"""Random draws that a cell's variety of labels is held against."""

SIZES = 48
"""Numbers of photographs that are drawn; between them it is interpolated."""


def read_presence(inputs: Inputs, atlases: Sequence[Atlas]) -> None:
    """Fills in what layouts and predictions tell together.

    Of each atlas ``images`` and ``error_rate``, of each grid ``labelled`` and ``variety``.
    """
    parts = [p.combine_chunks() for p in inputs.stream("predictions", ["image_id", "label", "correct"])]
    if not parts:
        return
    said = pa.concat_tables(parts).combine_chunks()
    known = said["image_id"].combine_chunks()
    labels, wrong = assigned(said["label"]), mistaken(said["correct"])
    for atlas in atlases:
        for grid in atlas.grids:
            grid.labelled = np.zeros(len(grid), int)
        images, seen = 0, np.zeros(len(known), bool)
        for part in inputs.stream(f"layouts/{atlas.name}", ["image_id", "x", "y"]):
            images += len(pc.unique(part["image_id"]))  # a part holds all rows of its images
            place = pc.index_in(part["image_id"], known).to_numpy()
            found = np.isfinite(place.astype(float))
            image = place[found].astype(int)
            seen[image] = True
            x, y = part["x"].to_numpy()[found], part["y"].to_numpy()[found]
            for grid in atlas.grids:
                at = np.full(grid.n * grid.n, -1)
                at[grid.y * grid.n + grid.x] = np.arange(len(grid))
                own = at[cell(y, grid.n).astype(int) * grid.n + cell(x, grid.n)]
                each = np.unique(own[own >= 0] * len(known) + image[own >= 0])
                each = each[labels.known[each % len(known)]]
                grid.labelled += np.bincount(each // len(known), minlength=len(grid))
        atlas.images = images or None
        labelled = seen & labels.known
        atlas.error_rate = float(wrong[labelled].mean()) if labelled.any() else None
        for grid in atlas.grids:
            grid.variety = variety(labels.only[labelled], grid.labelled)


def variety(labels: np.ndarray, sizes: np.ndarray, draws: int = DRAWS) -> np.ndarray | None:
    """Entropy in bits of the labels of ``sizes`` photographs drawn at random, without replacement, from all of the map.

    Few photographs have few labels: the entropy of a cell says something only
    beside that of as many photographs from anywhere (rarefaction, Hurlbert 1971).

    Args:
        labels: (photographs,) of the whole map. sizes: (cells,) numbers to draw, at most all.

    Returns:
        (3, cells): mean of the draws, and between what 95 % of them lie; None without labels.
    """
    if not len(labels):
        return None
    rng = np.random.default_rng(0)
    drawn = np.unique(np.geomspace(1, max(1, sizes.max()), SIZES).round().astype(int))
    _, labels = np.unique(labels, return_inverse=True)
    lacks = np.zeros((draws, len(drawn)))  # below that of all different labels: smoother to interpolate
    for k in range(draws):
        order = labels[rng.permutation(len(labels))[: drawn[-1]]]
        counts = np.zeros(labels.max() + 1)
        for j, (start, stop) in enumerate(zip([0, *drawn[:-1]], drawn, strict=True)):
            counts += np.bincount(order[start:stop], minlength=len(counts))
            some = counts[counts > 0] / stop
            lacks[k, j] = np.log2(stop) + (some * np.log2(some)).sum()
    told = [lacks.mean(0), *np.percentile(lacks, [97.5, 2.5], axis=0)]
    most = np.log2(np.maximum(sizes, 1))
    return np.maximum(np.stack([most - np.interp(most, np.log2(drawn), row) for row in told]), 0.0)
