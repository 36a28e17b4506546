"""What becomes of slices in the held-out half: who is in them, how often those are wrong, and if that is chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.intervals import wilson_bounds
from activation_atlas.stages.significance import bh, wider
from activation_atlas.stages.slices.images import Finder, Images, Score

SAME, MOSTLY = 0.5, 2 / 3
"""Of the images in either of two slices, the share in both from which they are the same; of the smaller's, the share in
both from which they may be. And the share of a slice's images in another from which the others make no slice."""
SURE = 0.05
"""The p value, or q value, below which a slice fails more than another, or than all."""


@dataclass
class Held:
    """The held-out half as it comes, part by part: what is known of each image, and the strengths of those in a slice.

    Attributes:
        finders: each with its score; slices are numbered through them in this order.
        owners, founds: of each slice the index of its finder, and its place among the finder's own.
    """

    finders: Sequence[tuple[Finder, Score]]
    images: list[Images] = field(default_factory=list)
    told: list[pa.Table] = field(default_factory=list)
    members: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    reached: Any = None
    cells: Any = 0
    count: int = 0
    owners: list[int] = field(default_factory=list)
    founds: list[int] = field(default_factory=list)

    def add(self, images: Images, told: pa.Table) -> None:
        """Images of one part, and their metadata."""
        from scipy.sparse import csr_matrix

        hidden = images.unlabelled()
        scores = [score(images if finder.labelled else hidden) for finder, score in self.finders]
        if not self.owners:
            self.owners = [k for k, found in enumerate(scores) for _ in range(found.shape[1])]
            self.founds = [place for found in scores for place in range(found.shape[1])]
        strengths = np.concatenate([*scores, np.zeros((len(images), 0))], axis=1)
        image, own = np.nonzero(~np.isnan(strengths))
        self.members.append((own, self.count + image, strengths[image, own]))
        if images.rows is not None:
            there = csr_matrix((images.rows > 0).astype(np.float64))
            mine = csr_matrix((np.ones(len(own)), (own, image)), (len(self.owners), len(images)))
            reached = (mine @ there).toarray()
            self.reached = reached if self.reached is None else self.reached + reached
            self.cells = self.cells + np.asarray(there.sum(0)).reshape(-1)
        self.count += len(images)
        self.images.append(images.slim())
        self.told.append(told)


@dataclass(frozen=True)
class Judged:
    """All slices that hold an image, by their rank.

    Attributes:
        slice: (k,) number of each in :class:`Held`.
        members: held-out images of each, the strongest first, and how strongly.
        figures: column of the table to (k,) values, NaN where there is none.
        same_as: (k,) rank of the slice that each is the same as, -1 of none.
    """

    slice: np.ndarray
    members: list[tuple[np.ndarray, np.ndarray]]
    figures: dict[str, np.ndarray]
    same_as: np.ndarray


def judge(held: Held, wrong: np.ndarray, confidence: np.ndarray) -> Judged:
    """Counts, intervals, tests and ranks of all slices.

    Args:
        wrong, confidence: of all held-out images (n,), as in :class:`Images`.
    """
    from scipy.sparse import csr_matrix

    own, image, strength = (np.concatenate(each) for each in zip(*held.members, strict=True))
    known = ~np.isnan(wrong)
    slices = len(held.owners)
    count = np.bincount(own, minlength=slices)
    labelled = np.bincount(own, known[image], slices)
    errors = np.bincount(own, np.where(known, wrong, 0)[image], slices)
    base = wrong[known].mean() if known.any() else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = errors / labelled
        figures = {"images": count, "labelled": labelled, "errors": errors, "error_rate": rate}
        low, high = wilson_bounds(rate, labelled)
        empty = labelled == 0
        figures |= {"low": np.where(empty, np.nan, low), "high": np.where(empty, np.nan, high)}
        figures |= {"base_rate": np.full(slices, base), "lift": rate / base if base else np.full(slices, np.nan)}
        figures["confidence"] = np.bincount(own, confidence[image], slices) / count
    logarithm = chance(errors, labelled, int(wrong[known].sum()), int(known.sum()))
    logarithm[np.array([held.finders[k][0].labelled for k in held.owners], bool)] = np.nan
    figures |= {"p_value": np.exp(logarithm), "q_value": bh(np.exp(logarithm))}
    sure = figures["q_value"] < SURE
    if sure.any():
        low, high = wilson_bounds(rate, labelled, wider(int(sure.sum()), int((~np.isnan(logarithm)).sum())))
        figures |= {"low": np.where(sure, low, figures["low"]), "high": np.where(sure, high, figures["high"])}
    order = np.lexsort((np.arange(slices), figures["confidence"], -errors, logarithm))  # NaN is last
    order = order[count[order] > 0]
    mine = csr_matrix((np.ones(len(own)), (own, image)), (slices, held.count))[order]
    members = []
    name = np.argsort(np.argsort(np.concatenate([part.ids for part in held.images]).astype(str)))
    for k in order.tolist():
        there = np.flatnonzero(own == k)
        there = there[np.lexsort((name[image[there]], -strength[there]))]
        members.append((image[there], strength[there]))
    return Judged(order, members, {n: v[order] for n, v in figures.items()}, same(mine, wrong))


def chance(errors: np.ndarray, labelled: np.ndarray, wrong: int, known: int) -> np.ndarray:
    """log P(at least so many errors) among so many images drawn from ``known`` of which ``wrong`` err: hypergeometric.

    NaN where no image is labelled, or none errs, or all do: then nothing could be told.
    """
    from scipy.stats import hypergeom

    if not 0 < wrong < known:
        return np.full(len(errors), np.nan)
    return np.where(labelled > 0, hypergeom.logsf(errors - 1, known, wrong, labelled), np.nan)


def same(members: Any, wrong: np.ndarray) -> np.ndarray:
    """Of each slice the first before it that it is the same as, and that is itself the same as none; -1 of none.

    They are the same that share half of their images; and so are two that share half of the smaller's images, where the
    later tells nothing more: what they share fails no more than the earlier, and what it has besides is at most a third
    of it, or fails no more than all images, as far as one can tell (:func:`chance`).

    Args:
        members: sparse (k, n) of 0 and 1, by rank.
        wrong: (n,) as in :class:`Images`.
    """
    known = ~np.isnan(wrong)
    of_known, of_wrong = members.multiply(known).tocsr(), members.multiply(known & (wrong > 0)).tocsr()
    both, labelled, errors = ((members @ each.T).toarray() for each in (members, of_known, of_wrong))
    size, all_wrong, all_known = both.diagonal(), int((wrong > 0).sum()), int(known.sum())
    alike = both >= SAME * (size[:, None] + size - both)
    near = both >= SAME * np.minimum(size[:, None], size)

    def surely(errors: float, labelled: float, wrong: int, known: int) -> bool:
        return bool(chance(np.array([errors]), np.array([labelled]), wrong, known)[0] < np.log(SURE))

    def no_more(k: int, j: int) -> bool:
        besides = errors[k, k] - errors[k, j], labelled[k, k] - labelled[k, j]
        shared = errors[k, j], labelled[k, j], int(errors[j, j]), int(labelled[j, j])
        mostly = both[k, j] >= MOSTLY * size[k]
        return not surely(*shared) and (mostly or not surely(*besides, all_wrong, all_known))

    found = np.full(len(size), -1)
    for k in range(len(size)):
        before = np.flatnonzero(found[:k] < 0).tolist()
        found[k] = next((j for j in before if alike[k, j] or (near[k, j] and no_more(k, j))), -1)
    return found
