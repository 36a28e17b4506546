"""How images are best brought to a model, found by trying: for who begins with a model and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow.compute as pc

from activation_atlas.stages.doubt.chance import at_least
from activation_atlas.stages.doubt.finding import LEAST, Seen, draws
from activation_atlas.stages.doubt.orders import Order, better, listed
from activation_atlas.stages.doubt.ranges import ALIKE, information
from activation_atlas.stages.doubt.sample import BATCH, Sample
from activation_atlas.stages.sources import Source
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.tasks import assigned

FIRST, MOST = 2 * BATCH, 10 * BATCH
"""Images on which every way is tried, and on which the best two, orders of the classes and cuts are."""

SURE = 0.01
"""p of a sign test from which on one of two is called better."""

SHARE = 0.875
"""Of the middle cut, what most networks of 224 pixels were shown in their evaluation."""


@dataclass(frozen=True)
class Way:
    """A way to bring images to the model, and what came of it.

    Attributes:
        name: in words.
        settings: keys of the section `model` that make it so; empty for what the model does by itself.
        right: of n labelled images; None where nothing is labelled.
        told: what its predictions tell of which image it is, as a share of what could be told.
    """

    name: str
    settings: Mapping[str, Any]
    n: int
    right: int | None
    told: float


@dataclass(frozen=True)
class Proposal:
    """What was found on a sample of the images.

    Attributes:
        ways: all that were tried, the best first.
        rate: images a second, decoded and through the model, in batches of :data:`BATCH`.
        unreadable: images of the sample that cannot be used.
        n: labelled images on which the best ways were held; 0: there are no labels.
        right, next_right: those that are right in the best way, and in the next one.
        sure: whether the best way surely has more of them right, or gives their labels a higher probability, by a sign
            test of the images; without labels nothing is sure.
        order: another order of the classes that fits the labels far better, None: the given one is kept.
        named: the classes' names in that order.
        share, p: images right with :data:`SHARE` of the middle, of n; of a sign test that they are more. None: not
            tried.
    """

    ways: Sequence[Way]
    rate: float
    unreadable: int
    n: int = 0
    right: int = 0
    next_right: int = 0
    sure: bool = False
    order: Order | None = None
    named: Sequence[str] = ()
    share: int | None = None
    p: float | None = None

    @property
    def shared(self) -> bool:
        """Whether the share of the middle is surely better."""
        return self.p is not None and self.share is not None and self.p <= SURE and self.share > self.right


def propose(model: Any, images: ImagesSpec, source: Source, seed: int = 0) -> Proposal | None:
    """Every usual way, on images drawn by their ids; None of quantities, or where fewer than :data:`LEAST` can be read.

    Args:
        model: opened as it is, with nothing said of the values that it takes.
        source: of the images, with labels where there are.
    """
    if model.kind == "quantity":
        return None  # whatever comes may be one
    listing = source.listing.filter(pc.is_null(source.listing["reject"]))
    label = assigned(listing["label"]).only
    label = np.where(label < len(model.classes), label, -1)
    drawn = np.argsort(draws(listing["image_id"].to_pylist(), seed), kind="stable")
    if (label >= 0).sum() >= LEAST:
        drawn = drawn[label[drawn] >= 0]
    drawn = drawn[: 2 * MOST]
    label, uris = label[drawn], [listing["uri"][int(k)].as_py() for k in drawn]
    sample = Sample(model, images, uris)
    if len(sample.rows(FIRST)) < LEAST:
        return None
    labelled = bool((label[sample.rows(FIRST)] >= 0).all())
    sample.logits(None, BATCH)  # what is compiled is compiled once
    ways = [None, *sample.ways]
    tried = [_tried(sample, way, label, labelled) for way in ways]
    rate, rows = _rate(sample, model, images, uris), sample.rows(MOST)
    lost = int(rows[-1]) + 1 - len(rows)
    # Of those alike the simplest, which come first. Labels in another order tell nothing of the way.
    telling = next(k for k, w in enumerate(tried) if w.told >= ALIKE * max(w.told for w in tried))
    if not labelled:
        others = sorted(tried[:telling] + tried[telling + 1 :], key=lambda w: -w.told)
        return Proposal([tried[telling], *others], rate=rate, unreadable=lost)
    fitting = max(range(len(tried)), key=lambda k: tried[k].right or 0)
    found = {k: _judged(sample, ways[k], model, label[rows], seed) for k in dict.fromkeys((fitting, telling))}
    scored = {k: max(int(fits.sum()), order.right if order else 0) for k, (fits, order) in found.items()}
    best = max(scored, key=lambda k: scored[k])
    then, order = found[best]
    behind = sorted((k for k in range(len(tried)) if k != best), key=lambda k: -(tried[k].right or 0))
    next_right, sure = 0, not behind
    if behind:
        own, other = (sample.probabilities(ways[k], MOST)[np.arange(len(rows)), label[rows]] for k in (best, behind[0]))
        near = sample.logits(ways[behind[0]], MOST).argmax(1) == label[rows]
        next_right = int(near.sum())
        # Twice asked, and any of the ways could have come out best: a share of the chance for each (Bonferroni).
        least = min(_sign(then, near), _sign(own > other, other > own))
        sure = next_right <= then.sum() and least <= SURE / (2 * len(tried))
    share, p = None, None
    if order is None and not model.brings and images.crop_share is None and images.crop in (None, "center"):
        cut = sample.of(images.model_copy(update={"crop_share": SHARE}), uris)
        fits = cut.logits(ways[best], MOST).argmax(1) == label[cut.rows(MOST)]
        share, p = int(fits.sum()), _sign(fits, then)
    named = () if order is None else tuple(listed(order.order, list(model.classes)))
    return Proposal(
        [tried[k] for k in (best, *behind)],
        rate,
        lost,
        n=len(rows),
        right=int(then.sum()),
        next_right=next_right,
        sure=bool(sure),
        order=order,
        named=named,
        share=share,
        p=p,
    )


def _rate(sample: Sample, model: Any, images: ImagesSpec, uris: Sequence[str]) -> float:
    """Images a second, of more of the sample; of the same once more where there are no more."""
    before, start = len(sample.rows(FIRST)), perf_counter()
    sample.logits(None, MOST)
    count = len(sample.rows(MOST)) - before
    if count < BATCH:
        again, start = Sample(model, images, uris), perf_counter()
        count = len(again.logits(None, FIRST))
    return count / max(perf_counter() - start, 1e-9)


def _judged(sample: Sample, way: Any, model: Any, label: np.ndarray, seed: int) -> tuple[np.ndarray, Order | None]:
    """Which images are right, and another order of the classes that fits far better, if one does."""
    pred = sample.logits(way, MOST).argmax(1)
    seen = Seen(list(model.classes), label, pred, np.ones(len(pred)), [], {})
    return pred == label, better(seen, seed)


def _tried(sample: Sample, way: Any, label: np.ndarray, labelled: bool) -> Way:
    rows = sample.rows(FIRST)
    found = sample.probabilities(way, FIRST)
    told = information(found) / np.log(min(len(rows), sample.classes))
    right = int((found.argmax(1) == label[rows]).sum()) if labelled else None
    return Way(way.name if way else sample.now, way.settings if way else {}, len(rows), right, float(told))


def _sign(one: np.ndarray, other: np.ndarray) -> float:
    """p of as many more that only ``one`` has right (McNemar 1947), one-sided."""
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    return at_least(gained, gained + lost, 0.5)
