"""What makes outputs meet that do not: the values that the model takes, its form, the order of classes, the cut.

Every usual way of each is tried on a few of the images; of those that come equally near the simplest is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from activation_atlas.stages.doubt.orders import named
from activation_atlas.stages.doubt.parity.agreement import (
    FORMS,
    NEAR,
    columns_between,
    in_form,
    levelled,
    off,
    off_in_order,
    order_between,
    spread,
    telling,
)
from activation_atlas.stages.doubt.proposal import SHARE
from activation_atlas.stages.doubt.sample import BATCH, Sample
from activation_atlas.stages.specs import ImagesSpec

FIRST = 2 * BATCH
"""Images on which every way is tried."""

LEAST = 4
"""Images from which on an order of the classes is told."""

MOST = 4096
"""Classes whose order is looked for."""

ALIKE = 1.02
"""Of ways that are no farther off than so many times the best one the simplest is taken."""

BETTER, ENOUGH = 0.5, 0.5
"""What comes more than half as far off as before, or is off by more than so much, explains nothing."""

_CUTS: tuple[dict[str, Any], ...] = (
    {"crop": "center", "crop_share": None},
    {"crop": "center", "crop_share": SHARE},
    {"crop": "none", "crop_share": None},
    {"crop": "pad", "crop_share": None},
)
_FILTERS = (("bilinear", True), ("bilinear", False), ("bicubic", True), ("bicubic", False), ("lanczos", True))
_RESIZINGS = tuple({"interpolation": name, "antialias": wide} for name, wide in (*_FILTERS, ("nearest", False)))


@dataclass(frozen=True, eq=False)
class Meeting:
    """A way to bring images to a model and to read its outputs, and how far these are then from the given ones.

    Attributes:
        off: as :func:`.agreement.off`.
        way: of :func:`stages.vision.preparations.usual`; None: the model's own.
        form: one of :data:`.agreement.FORMS`.
        order: given column k is the model's ``order[k]``; None: they stand as they should.
        called: what the order is called, "" without a name.
        moved: whether the given rows are of the images in another order.
        cut: keys of the section `images` that make it so.
    """

    off: float
    way: Any
    form: str
    order: np.ndarray | None = None
    called: str = ""
    moved: bool = False
    cut: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """A model's logits, and outputs that were given, brought to where they can be held against one another.

    Attributes:
        kind: of the model: softmax, sigmoid or quantity.
        own: the form of what the model returns, one of :data:`.agreement.FORMS`.
        columns: of the given outputs.
    """

    kind: str
    own: str
    columns: int

    @property
    def forms(self) -> list[str]:
        """The model's own first; of quantities there is no other."""
        return [self.own] if self.kind == "quantity" else [self.own, *(form for form in FORMS if form != self.own)]

    def found(self, logits: np.ndarray, form: str) -> np.ndarray:
        """Logits (n, K) float32 in that form, float64; of a single unit one column where one is given."""
        made = in_form(logits.astype(np.float64), self.kind, form)
        made = made[:, 1:] if self.columns == 1 and made.shape[1] == 2 else made
        return levelled(made) if self._loose(form) else made

    def given(self, values: np.ndarray, form: str) -> np.ndarray:
        return levelled(values) if self._loose(form) else values

    def _loose(self, form: str) -> bool:
        """Of logits behind a softmax that the model returns, all are alike that differ by one number an image."""
        return form == "logits" != self.own and self.kind == "softmax" and self.columns > 1


def nearest(
    model: Any,
    reading: Reading,
    images: ImagesSpec,
    sample: Sample,
    uris: Sequence[str],
    given: np.ndarray,
    every: np.ndarray,
) -> Meeting | None:
    """The simplest of the ways that come nearest; None where none comes much nearer than the model's own.

    Args:
        sample: whichever of the model, compiled.
        uris: of the images that are tried, in the order of the rows ``given`` (n, K).
        every: outputs of all images.
    """
    sample = sample.of(images, uris)
    rows = sample.rows(FIRST)
    tried = list(_tried(model, reading, sample, given[rows], every))
    own, found = tried[0], _simplest(tried)
    if not found.moved:
        # Of images that are cut quite otherwise another order, or another way, may seem better by chance.
        plain = _simplest([each for each in tried if each.order is None and not each.moved])
        cuts = _Cuts(reading, images.settled(model.brings), sample, uris, given)
        found = _simplest([cuts.best(each) for each in dict.fromkeys((own, plain, found))])
    if found.off > min(BETTER * own.off, ENOUGH):
        return None
    if found.order is not None and not found.called:
        made = telling(reading.found(sample.logits(found.way, FIRST), found.form))
        found = replace(found, order=order_between(made, telling(reading.given(given[rows], found.form))))
    return found


def _tried(model: Any, reading: Reading, sample: Sample, given: np.ndarray, every: np.ndarray) -> Iterator[Meeting]:
    """Ways, forms and orders, the simplest first; the model's own before all."""
    pairs = []
    for form in reading.forms:
        for way in (None, *sample.ways):
            made, wanted = reading.found(sample.logits(way, FIRST), form), reading.given(given, form)
            pairs.append((Meeting(off(made, wanted), way, form), made, wanted))
            yield pairs[-1][0]
    if min(meeting.off for meeting, _, _ in pairs) <= NEAR:
        return
    columns = reading.columns
    if len(given) < LEAST or not 1 < columns <= MOST:
        return
    usual = {name: order for name, order in named(model.classes).items() if len(set(order.tolist()) - {-1}) == columns}
    for meeting, made, wanted in pairs:
        for name, order in usual.items():
            yield replace(meeting, off=off(made[:, order], wanted), order=order, called=name)
        nearest = columns_between(telling(made), telling(wanted))
        if not np.array_equal(nearest, np.arange(columns)):
            yield replace(meeting, off=off_in_order(made, wanted), order=nearest)
    if columns > 2:
        for meeting, made, _ in pairs:
            apart = _to_any(made, reading.given(every, meeting.form))
            yield replace(meeting, off=apart, moved=True)


def _to_any(found: np.ndarray, given: np.ndarray) -> float:
    """How far the rows of one are from the nearest rows of the other, as of the same images in another order."""
    squares = (found**2).sum(1)[:, None] + (given**2).sum(1)[None] - 2 * found @ given.T
    row = squares.argmin(1)
    if len(np.unique(row)) < 0.9 * len(found):
        return np.inf
    return float(np.sqrt(np.mean((found - given[row]) ** 2)) / spread(given))


def _simplest(found: Sequence[Meeting]) -> Meeting:
    least = min(each.off for each in found)
    return next(each for each in found if each.off <= ALIKE * least + 1e-6)


class _Cuts:
    """The usual ways to bring images to a size, each read once."""

    def __init__(
        self, reading: Reading, images: ImagesSpec, sample: Sample, uris: Sequence[str], given: np.ndarray
    ) -> None:
        self._reading, self._images, self._sample, self._uris, self._given = reading, images, sample, uris, given
        self._cut: dict[str, Sample] = {}

    def best(self, found: Meeting) -> Meeting:
        """The same with the cut, and then the resizing, that come nearest."""
        for cuts in (_CUTS, _RESIZINGS):
            found = _simplest([found, *(self._with(found, {**found.cut, **cut}) for cut in cuts)])
        now = {
            "crop": self._images.crop or "center",
            "crop_share": self._images.crop_share,
            "interpolation": self._images.interpolation or "bilinear",
            "antialias": self._images.antialias is not False,
        }
        return replace(found, cut={key: value for key, value in found.cut.items() if value != now[key]})

    def _with(self, found: Meeting, cut: Mapping[str, Any]) -> Meeting:
        sample = self._cut.get(repr(cut))
        if sample is None:
            sample = self._cut[repr(cut)] = self._sample.of(self._images.model_copy(update=dict(cut)), self._uris)
        made, rows = self._reading.found(sample.logits(found.way, FIRST), found.form), sample.rows(FIRST)
        made = made if found.order is None else made[:, found.order]
        return replace(found, off=off(made, self._reading.given(self._given[rows], found.form)), cut=cut)
