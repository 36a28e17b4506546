"""Which photographs lie where on a map: how many, how many of them mistaken or how far off, and how far their labels
differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.intervals import student_t
from activation_atlas.stages.keys import cell
from activation_atlas.stages.report.evidence import Atlas
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import Assigned, Values, assigned, mistaken, task_of

DRAWS = 200
"""Random draws that a cell's variety of labels is held against."""

SIZES = 48
"""Numbers of photographs that are drawn; between them it is interpolated."""


def read_presence(inputs: Inputs, atlases: Sequence[Atlas]) -> None:
    """Fills in what layouts and predictions tell together.

    Of each atlas ``images``, ``several``, ``error_rate`` and ``mae``, of each grid ``labelled``, ``variety`` and
    ``away``.
    """
    parts = [p.combine_chunks() for p in inputs.stream("predictions", ["image_id", "label", "pred", "correct"])]
    if not parts:
        return
    said = pa.concat_tables(parts).combine_chunks()
    known = said["image_id"].combine_chunks()
    labels, wrong = assigned(said["label"]), mistaken(said["correct"])
    task, off = task_of(said.schema.field("label").type), None
    of_label = labels.known
    if task.measured and atlases:
        off = np.abs(Values.of(said, len(atlases[0].classes)).residual)
        of_label = np.isfinite(off).all(1)
    for atlas in atlases:
        atlas.several = task.several
        sums = []
        for grid in atlas.grids:
            grid.labelled = np.zeros(len(grid), int)
            sums.append(np.zeros((2, 0 if off is None else off.shape[1], len(grid))))
        images, seen = 0, np.zeros(len(known), bool)
        for part in inputs.stream(f"layouts/{atlas.name}", ["image_id", "x", "y"]):
            images += len(pc.unique(part["image_id"]))  # a part holds all rows of its images
            place = pc.index_in(part["image_id"], known).to_numpy()
            found = np.isfinite(place.astype(float))
            image = place[found].astype(int)
            seen[image] = True
            x, y = part["x"].to_numpy()[found], part["y"].to_numpy()[found]
            for grid, total in zip(atlas.grids, sums, strict=True):
                at = np.full(grid.n * grid.n, -1)
                at[grid.y * grid.n + grid.x] = np.arange(len(grid))
                own = at[cell(y, grid.n).astype(int) * grid.n + cell(x, grid.n)]
                each = np.unique(own[own >= 0] * len(known) + image[own >= 0])
                each = each[of_label[each % len(known)]]
                cells = each // len(known)
                grid.labelled += np.bincount(cells, minlength=len(grid))
                for k in range(total.shape[1]):
                    for power in (1, 2):
                        total[power - 1, k] += np.bincount(cells, off[each % len(known), k] ** power, len(grid))
        atlas.images = images or None
        labelled = np.flatnonzero(seen & of_label)
        if off is not None:
            atlas.mae = off[labelled].mean(0) if len(labelled) else None
            for grid, total in zip(atlas.grids, sums, strict=True):
                grid.away = away(total, grid.labelled) if len(labelled) else None
            continue
        atlas.error_rate = float(wrong[labelled].mean()) if len(labelled) else None
        for grid in atlas.grids:
            grid.variety = variety(labels, labelled, grid.labelled)


def away(sums: np.ndarray, images: np.ndarray) -> np.ndarray:
    """How far off the quantities of each cell's photographs are.

    Args:
        sums: (2, outputs, cells) of absolute residuals, and of their squares. images: (cells,) summed over.

    Returns:
        (2, outputs, cells): mean, NaN where there is none, and half of its 95 % interval by Student's t, NaN of fewer
        than two photographs.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[0] / images
        variance = np.maximum(sums[1] - images * mean**2, 0) / (images - 1)
        return np.stack([mean, student_t(images) * np.sqrt(variance / images)])


def variety(labels: Assigned, images: np.ndarray, sizes: np.ndarray, draws: int = DRAWS) -> np.ndarray | None:
    """Entropy in bits of the labels of ``sizes`` photographs drawn at random, without replacement, from all of the map.

    Few photographs have few labels: the entropy of a cell says something only
    beside that of as many photographs from anywhere (rarefaction, Hurlbert 1971).

    Args:
        labels: of all photographs; each may have several, or none.
        images: (photographs,) which of them lie on the map. sizes: (cells,) numbers to draw, at most all.

    Returns:
        (3, cells): mean of the draws, and between what 95 % of them lie; None without labels.
    """
    place, index = labels.each(images)
    if not len(index):
        return None
    rng = np.random.default_rng(0)
    drawn = np.unique(np.geomspace(1, max(1, sizes.max()), SIZES).round().astype(int))
    of = Assigned(np.ones(len(images), bool), place, np.unique(index, return_inverse=True)[1].reshape(-1))
    lacks = np.zeros((draws, len(drawn)))  # below that of all different labels: smoother to interpolate
    for k in range(draws):
        place, index = of.each(rng.permutation(len(images))[: drawn[-1]])
        counts, ends = np.zeros(of.index.max() + 1), np.searchsorted(place, drawn).tolist()
        for j, (start, stop) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            counts += np.bincount(index[start:stop], minlength=len(counts))
            some = counts[counts > 0] / max(1, counts.sum())
            lacks[k, j] = np.log2(drawn[j]) + (some * np.log2(some)).sum()
    told = [lacks.mean(0), *np.percentile(lacks, [97.5, 2.5], axis=0)]
    most = np.log2(np.maximum(sizes, 1))
    return np.maximum(np.stack([most - np.interp(most, np.log2(drawn), row) for row in told]), 0.0)
