"""The figure for print: what each cue that was tested does, beside its controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.drawing.numbers import figure, plural
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.significance import grouped, mean_interval

MOST = 24
"""Cues on the figure, at most."""
KINDS = {
    "paste": "the cue",
    "random": "random patches",
    "class": "other patches of the class",
    "noise": "noise of its spectrum",
}
COLOURS = {"verified": "#b2182b", "undecided": INK, "refuted": "#8b8b90"}
WIDTH = 1440
_MARGIN, TOP, _LINE, _APART, _FOOT = 48, 176, 16, 20, 150
_NAMES, _PANELS = 492, ((508, 828), (872, 1140), (1184, 1392))

Span = tuple[float, float, float]
"""A value and the ends of its 95 % interval."""


@dataclass(frozen=True)
class Tested:
    """One cue.

    Attributes:
        name: as the page calls it; verdict.
        told: gap and q value in words.
        changes, flips: of the cue and its controls (:data:`KINDS`), the mean change of the logit and the share of
            images that become the class.
        removal: what the logit falls by where it is taken out, beyond what it does beside; None where it could not be.
    """

    name: str
    verdict: str
    told: str
    changes: Mapping[str, Span]
    flips: Mapping[str, Span]
    removal: Span | None


def measured(cue: Mapping[str, Any], trials: pa.Table, name: str) -> Tested:
    """A cue from its row of `cues` and its rows of `trials`."""
    changes, flips = {}, {}
    for kind in KINDS:
        own = trials.filter(pc.equal(trials["intervention"], kind))
        if not len(own):
            continue
        change = own["logit_after"].to_numpy().astype(np.float64) - own["logit_before"].to_numpy()
        hits = int((own["pred_after"].to_numpy() == own["class"].to_numpy()).sum())
        flips[kind] = (hits / len(own), *wilson(hits, len(own)))
        changes[kind] = (float(change.mean()), *mean_interval(grouped(change, own["exemplar"].to_numpy())))
    changes["paste"] = (cue["effect"], cue["low"], cue["high"])
    q = "" if cue["q_value"] is None else f", q = {cue['q_value']:.2g}"
    gap = f"gap {100 * cue['gap']:.0f} [{100 * cue['gap_low']:.0f}, {100 * cue['gap_high']:.0f}]{q}".replace("-", "−")
    fall = None if cue["removal"] is None else (cue["removal"], cue["removal_low"], cue["removal_high"])
    return Tested(name, cue["verdict"], gap, changes, flips, fall)


def forest(cues: Sequence[Tested], title: str, least: float, images: int) -> Sheet:
    """All cues on one sheet, in the order given.

    Args:
        images: that the cues were pasted on, at most.
    """
    shown = list(cues)[:MOST]
    each = len(KINDS) * _LINE + _APART
    sheet = Sheet(WIDTH, TOP + len(shown) * each + _FOOT)
    sheet.text(_MARGIN, 62, "What the model leans on, tested", 34, "semibold")
    sheet.text(_MARGIN, 94, sheet.fitted(title, 19, WIDTH - 2 * _MARGIN), 19, color=QUIET)
    bottom = TOP + len(shown) * each
    changes = [span for cue in shown for span in cue.changes.values()]
    falls = [cue.removal for cue in shown if cue.removal is not None]
    scales = [
        _panel(sheet, 0, "Change of the class’s logit", "pasted on images of other classes", changes, bottom),
        _panel(sheet, 1, "Become the class", "of the same images", None, bottom),
        _panel(sheet, 2, "Fall of the logit, taken out", "beyond as much taken out beside it", falls, bottom),
    ]
    for number, cue in enumerate(shown):
        _cue(sheet, cue, TOP + number * each, scales)
    more = f" {plural(len(cues) - MOST, 'further candidate')} in the table cues." if len(cues) > MOST else ""
    words = (
        f"Candidates were found in one half of the images and tested on at most {images} of the other. Dots are means, "
        "lines 95 % intervals (of logits Student’s over patches, of shares Wilson’s, where the cue is taken out drawn "
        "again over images). Verified: surely turns more of the images than its strongest control, by more than "
        f"{100 * least:.3g} points, raises the logit more than each, and, where enough have it, is missed where it is "
        "taken out; q over all candidates (Benjamini & Hochberg). Gap: percentage points ahead of the strongest "
        f"control.{more}"
    )
    sheet.paragraph(_MARGIN, bottom + 62, words, 16, WIDTH - 2 * _MARGIN, color=QUIET)
    return sheet


Scale = Callable[[float], float]


def _panel(sheet: Sheet, number: int, title: str, below: str, spans: Sequence[Span] | None, bottom: float) -> Scale:
    """Its title, grid and numbers; ``spans``: what must fit in, None for shares."""
    left, right = _PANELS[number]
    if spans is None:
        low, high, ticks = 0.0, 1.0, [0.0, 0.25, 0.5, 0.75, 1.0]
    else:
        ends = [end for span in spans for end in span if np.isfinite(end)]
        ticks = _ticks(min([0.0, *ends]), max([0.0, *ends]), 5 if number == 0 else 4)
        low, high = _ends(ends)
        ticks = [tick for tick in ticks if low <= tick <= high]

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    sheet.text(left, TOP - 50, title, 18, "semibold")
    sheet.text(left, TOP - 30, below, 15, color=QUIET)
    for tick in ticks:
        x = at(tick)
        sheet.line([x, x], [TOP - 14, bottom - 6], INK if tick == 0 else FAINT, 1)
        label = f"{100 * tick:.0f} %" if spans is None else figure(tick, 3)
        sheet.text(x, bottom + 14, label, 15, color=QUIET, ha="center")
    return at


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Of an axis that holds 0 and all values, with a little room."""
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.03 * (high - low) or 0.5
    return low - room * (low < 0), high + room


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from below the one to above the other, evenly apart."""
    if high <= low:
        return [0.0]
    rough = (high - low) / most
    size = 10.0 ** np.floor(np.log10(rough))
    step = size * next(times for times in (1, 2, 5, 10) if times * size >= rough * (1 - 1e-9))
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    return [float(k * step) for k in range(first, last + 1)]


def _cue(sheet: Sheet, cue: Tested, top: float, scales: Sequence[Scale]) -> None:
    colour = COLOURS[cue.verdict]
    sheet.line([_MARGIN, WIDTH - _MARGIN], [top - 10, top - 10], FAINT, 1)
    sheet.text(_MARGIN, top + 14, sheet.fitted(cue.name, 18, 236, "semibold"), 18, "semibold")
    sheet.text(_MARGIN, top + 35, cue.verdict, 16, "semibold", colour)
    sheet.text(_MARGIN, top + 55, sheet.fitted(cue.told, 15, 236), 15, color=QUIET)
    for line, (kind, words) in enumerate(KINDS.items()):
        y, own = top + line * _LINE + 6, kind == "paste"
        ink = colour if own else "#a5a5aa"
        sheet.text(_NAMES, y + 5, words, 14, "semibold" if own else "regular", INK if own else QUIET, ha="right")
        for scale, spans in zip(scales, (cue.changes, cue.flips), strict=False):
            if kind in spans:
                _dot(sheet, spans[kind], scale, y, ink, 5 if own else 3.5)
    if cue.removal is not None:
        _dot(sheet, cue.removal, scales[2], top + 6, colour, 5)
    else:
        sheet.text(_PANELS[2][0] + 6, top + 11, "too few have it", 14, color=QUIET)


def _dot(sheet: Sheet, span: Span, scale: Scale, y: float, colour: str, radius: float) -> None:
    value, low, high = span
    if np.isfinite(low) and np.isfinite(high):
        sheet.line([scale(low), scale(high)], [y, y], colour, 2)
    sheet.dots([scale(value)], [y], radius, colour)
