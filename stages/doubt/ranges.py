"""Whether the model does better on images that are brought to it in another usual way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.doubt.chance import SURE, Agreement, at_least
from activation_atlas.stages.doubt.finding import LEAST, Seen
from activation_atlas.stages.doubt.sample import BATCH, Ways

FIRST, MOST = BATCH, 240
"""Images on which every way is tried, and on which the best of them is."""

NEAR, ALIKE = 1, 0.95
"""Of ways that differ by so many of the first images, or have so much of the best one's information, the simplest."""

SIGNIFICANT, BEYOND = 0.01, 1e-4
"""p of what is told, and of what needs no further image."""

CLEAR = 0.08
"""Another way is told where so many more of the images are right, as a share: what is less is no fault of a set-up."""


@dataclass(frozen=True)
class Tried:
    """One way and what came of it.

    Attributes:
        name, settings, leave: of the :class:`stages.vision.preparations.Preparation`.
        right, before: images right this way and as the model is configured, of n labelled ones.
        classes, prob, told: of n images, distinct predictions, mean probability of the prediction, and
            :func:`information`, where nothing is labelled.
        p: of a sign test, corrected for the ways that were tried.
    """

    name: str
    settings: Mapping[str, Any]
    leave: tuple[str, ...]
    n: int
    right: int = 0
    before: int = 0
    p: float = 1.0
    classes: int = 0
    prob: float = 0.0
    told: float = 0.0


@dataclass(frozen=True)
class Trial:
    """All ways that were tried, and the one that is clearly better, if one is."""

    tried: list[Tried]
    better: Tried | None


def information(probabilities: np.ndarray) -> float:
    """What the predictions say of which image it is, in nats: entropy of the mean less mean of the entropies.

    (n, K) -> 0, where every image gets the same, to log min(n, K), where each is surely something else (Bridle, Heading
    & MacKay 1991, "Unsupervised classifiers, mutual information and phantom targets").
    """
    return max(0.0, float(entropy(probabilities.mean(0)) - entropy(probabilities).mean()))


def entropy(p: np.ndarray) -> np.ndarray:
    """Of each row, in nats."""
    return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)


def with_labels(seen: Seen, sample: Ways, seed: int) -> Trial | None:
    """The ways tried on labelled images; None where there are too few, or too few wrong ones to gain by.

    Every way sees :data:`FIRST` images. The best of them, if it is better there than what was configured, is judged on
    up to :data:`MOST`, by a sign test of the images that only one of the two has right (McNemar 1947), for as long as
    it stays better. For a model that is right, 200 forward passes or few more.

    Args:
        sample: of the same images, in the same order.
    """
    if len(seen) < LEAST or seen.right > (1 - CLEAR) * len(seen):
        return None
    rows = sample.rows(FIRST)
    if len(rows) < LEAST:
        return None
    found = []
    for way in sample.ways:
        pred = sample.logits(way, FIRST).argmax(1)
        found.append(_compared(way, seen, rows, pred, len(sample.ways)))
    most = max((t.right for t in found), default=0)
    if not found or most <= found[0].before:
        return Trial(found, None)
    k = next(k for k, t in enumerate(found) if t.right >= most - NEAR)
    for count in (2 * FIRST, 4 * FIRST, MOST):
        rows, pred = sample.rows(count), sample.logits(sample.ways[k], count).argmax(1)
        found[k] = best = _compared(sample.ways[k], seen, rows, pred, len(sample.ways))
        if best.right <= best.before or best.p <= BEYOND:
            break
    clear = best.p <= SIGNIFICANT and best.right - best.before >= CLEAR * best.n
    # A way that makes the model say the most frequent class is better than one that makes it say another.
    clear = clear and Agreement(seen.label[rows], pred, seed).more <= SURE
    return Trial(found, best if clear else None)


def _compared(way: Any, seen: Seen, rows: np.ndarray, pred: np.ndarray, tried: int) -> Tried:
    then, now = pred == seen.label[rows], seen.pred[rows] == seen.label[rows]
    gained, lost = int((then & ~now).sum()), int((now & ~then).sum())
    p = min(1.0, tried * at_least(gained, gained + lost, 0.5))
    return Tried(way.name, way.settings, way.leave, len(rows), int(then.sum()), int(now.sum()), p)


def without_labels(sample: Ways) -> Trial | None:
    """The ways tried on images without labels: what is told by predictions that are sure, and differ.

    It is no proof. A way is called better where it tells half of what could be told, and the configured one a
    quarter of that at most.
    """
    rows = sample.rows(FIRST)
    if len(rows) < LEAST:
        return None

    def of(way: Any) -> Tried:
        p = sample.probabilities(way, FIRST)
        kinds = len(np.unique(p.argmax(1)))
        name, settings, leave = (way.name, way.settings, way.leave) if way else ("as configured", {}, ())
        return Tried(name, settings, leave, len(rows), classes=kinds, prob=float(p.max(1).mean()), told=information(p))

    now, could = of(None), np.log(min(len(rows), sample.classes))
    if now.told > could / 4:  # of what could be told, no way can tell four times as much
        return None
    found = [of(way) for way in sample.ways]
    most = max((t.told for t in found), default=0.0)
    best = next((t for t in found if t.told >= ALIKE * most), None)
    clear = best is not None and best.told >= could / 2 and now.told <= best.told / 4
    return Trial([now, *found], best if clear else None)
