"""What of all that may be wrong with a run is said of it."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.doubt import chance, orders, ranges, wording
from activation_atlas.stages.doubt.finding import KINDS, LEAST, Doubt, Seen
from activation_atlas.stages.doubt.sample import Ways
from activation_atlas.stages.intervals import wilson

NEARLY_ALL = 0.8
"""One class for so large a share of all images, and of those that are labelled as something else, is one for all."""

ALL = 0.95
"""The same of images without labels."""

UNSURE = 0.95
"""Probabilities of so much of the entropy of uniform ones say nothing: what an untrained network gives."""


def judged(
    seen: Seen, sample: Ways, contradiction: tuple[str, str] | None, seed: int
) -> tuple[list[Doubt], ranges.Trial | None]:
    """The doubts, in the order in which they are told, and the ways that were tried to bring images to the model.

    Args:
        sample: of the labelled images, or of all where there are fewer than :data:`LEAST`, in the order of ``seen``.
        contradiction: what the model itself tells against its range, and the remedy.
    """
    labelled = seen.labelled
    enough = len(labelled) >= LEAST
    guessed, order = chance.no_better(labelled, seed), orders.better(labelled, seed)
    trial = ranges.with_labels(labelled, sample, seed) if enough else ranges.without_labels(sample)
    ranged = trial.better if trial is not None else None
    if order is not None and ranged is not None:
        # Two ways to tell the same: a wrong range shuffles classes, too. The one that explains more is meant, or both.
        by_range, by_order = ranged.right / ranged.n, order.right / order.n
        order, ranged = order if by_order >= by_range else None, ranged if by_range >= by_order else None
    found = [one for one in (_one_class(seen, labelled), order and wording.order(order, labelled)) if one]
    if trial is not None and ranged is not None:
        found.append(wording.by_range(ranged, trial.tried, sample.now))
    elif guessed is not None and order is None:
        found += _both(labelled, sample, seed)
    if guessed is not None or not enough:
        if contradiction and not _of(found, "range"):
            found.append(wording.contradicted(*contradiction))
        found += _unsure(sample)
    if guessed is not None:
        if chance.hardly(guessed) and not _of(found, "order", "range", "one class", "uniform"):
            found.append(wording.strangers(labelled, len(sample.ways)))
        found.append(wording.accuracy(guessed, bool(_of(found, "order", "range", "labels"))))
    return sorted(found, key=lambda d: KINDS.index(d.kind)), trial


def _of(found: list[Doubt], *kinds: str) -> list[Doubt]:
    return [d for d in found if d.kind in kinds]


def _one_class(seen: Seen, labelled: Seen) -> Doubt | None:
    """One class taken for nearly everything; that of a data set of one class is no fault, if labels say so."""
    if len(seen) < LEAST:
        return None
    if len(labelled) < LEAST:
        count = np.bincount(seen.pred)
        most = int(count.argmax())
        if len(seen) < 2 * LEAST or count[most] < ALL * len(seen):
            return None
        prob = float(seen.prob[seen.pred == most].mean())
        return wording.one_class(seen.classes[most], int(count[most]), len(seen), None, prob)
    most = int(np.bincount(labelled.pred).argmax())
    taken = labelled.pred == most
    others = labelled.label != most
    wrong, of = int((taken & others).sum()), int(others.sum())
    nearly = min(taken.sum() / len(labelled), wrong / max(of, 1))
    if of < LEAST or nearly < NEARLY_ALL or wilson(wrong, of)[0] < 0.6:
        return None
    prob = float(labelled.prob[taken].mean())
    return wording.one_class(labelled.classes[most], int(taken.sum()), len(labelled), (wrong, of), prob)


def _both(labelled: Seen, sample: Ways, seed: int) -> list[Doubt]:
    """Another order and another value range, where neither is enough: tried on the range that tells most apart."""
    if not sample.ways or len(sample.rows(ranges.FIRST)) < LEAST:
        return []
    now, *told = [ranges.information(sample.probabilities(way, ranges.FIRST)) for way in (None, *sample.ways)]
    if now > max(told) / 2:
        return []
    way = sample.ways[int(np.argmax(told))]
    rows, pred = sample.rows(ranges.MOST), sample.logits(way, ranges.MOST).argmax(1)
    again = Seen(labelled.classes, labelled.label[rows], pred, np.ones(len(rows)), [], labelled.folders)
    order = orders.better(again, seed)
    if order is None:
        return []
    before = int((labelled.pred[rows] == labelled.label[rows]).sum())
    best = ranges.Tried(way.name, way.settings, way.leave, len(rows), order.right, before, order.p)
    return [
        wording.order(order, labelled, f", with pixels as {way.name}"),
        wording.by_range(best, [best], f"{sample.now}, in the order as given"),
    ]


def _unsure(sample: Ways) -> list[Doubt]:
    """Probabilities that are about the same for every class; of sigmoids each stands for itself."""
    n = len(sample.rows(ranges.FIRST))
    if n < LEAST or sample.kind != "softmax":
        return []
    found = sample.probabilities(None, n)
    entropy = float(ranges.entropy(found).mean() / np.log(sample.classes))
    if entropy < UNSURE:
        return []
    return [wording.uniform(entropy, float(found.max(1).mean()), sample.classes, n)]
