"""The article's figure: the patch, some images with and without it, and how many it turns beside its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from activation_atlas.stages.drawing.numbers import percent, plural, probability
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet

if TYPE_CHECKING:
    from activation_atlas.stages.adversarial import Patched

FRAME = "#c2410c"
KINDS = {"patch": "the patch", "noise": "noise of its spectrum", "random": "parts of other images"}
WIDTH, HEIGHT = 1440, 960
_MARGIN, _GAP, _TILE, _SOURCE = 48, 16, 180, 300


def drawn(made: Patched) -> Sheet:
    """On one sheet, fit for print."""
    sheet = Sheet(WIDTH, HEIGHT)
    from_ = "any image" if made.from_ == "any" else made.from_
    sheet.text(
        _MARGIN, 62, sheet.fitted(f"From {from_} to {made.to}, by a patch", 34, WIDTH - 2 * _MARGIN), 34, "semibold"
    )
    _source(sheet, made)
    _examples(sheet, made)
    _bars(sheet, made, 590)
    words = (
        f"Static: one size and corner for all images ({percent(made.place.side, 0)} of the side, {made.place.words}), "
        f"chosen on {plural(made.searched, 'image')}, reported on {made.images} others, none of which the model takes "
        f"for {made.to} as it is. Dynamic: an image counts if it turns at any of four sizes in any corner. Noise and "
        "parts of other images have as many tries. Lines: 95 % intervals (Wilson)."
    )
    sheet.paragraph(_MARGIN, HEIGHT - 62, words, 16, WIDTH - 2 * _MARGIN, color=QUIET)
    return sheet


def _source(sheet: Sheet, made: Patched) -> None:
    own, top = made.patch, 96
    height, width = made.source.shape[:2]
    side = _SOURCE / max(height, width)
    sheet.picture(_rgb(made.source), _MARGIN, top, width * side, height * side)
    first, left, bottom, right = (v * side for v in own.rect)
    x, y = (
        [_MARGIN + v for v in (left, right, right, left, left)],
        [top + v for v in (first, first, bottom, bottom, first)],
    )
    sheet.axes.plot(x, y, color=FRAME, linewidth=2.2, zorder=5)
    below = top + _SOURCE + 26
    sheet.text(_MARGIN, below, "Where it is from", 19, "semibold")
    words = (
        f"Cell {own.proposal.cell} of atlas {made.atlas}, grid {made.grid}: in images of other classes it speaks for "
        f"{made.to} the most."
    )
    if own.proposal.cell != made.proposals[0].cell:
        words = words.replace(" the most", "; of the cells proposed, the best on the images tried")
    sheet.paragraph(_MARGIN, below + 24, words, 16, _SOURCE, color=QUIET)


def _examples(sheet: Sheet, made: Patched) -> None:
    start, top = _MARGIN + _SOURCE + 56, 96
    for number, example in enumerate(made.examples):
        left = start + number * (_TILE + _GAP)
        for row, (pixels, odds) in enumerate(((example.before, example.was), (example.after, example.now))):
            y = top + row * (_TILE + 40)
            sheet.picture(_rgb(pixels), left, y, _TILE, _TILE)
            turned = bool(row) and example.turned
            weight, color = ("semibold", FRAME) if turned else ("regular", INK)
            sheet.text(left, y + _TILE + 22, probability(odds), 17, weight, color)
    words = f"Drawn at random. Percentages: the probability of {made.to}, in colour where the model takes it for that."
    sheet.text(start, top + 2 * (_TILE + 40) + 8, sheet.fitted(words, 15, WIDTH - start - _MARGIN), 15, color=QUIET)


def _bars(sheet: Sheet, made: Patched, top: float) -> None:
    left, width, step = _MARGIN + 330, WIDTH - 2 * _MARGIN - 330 - 210, 34
    title = f"Share of the {plural(made.images, 'image')} that become {made.to}"
    sheet.text(_MARGIN, top, sheet.fitted(title, 20, WIDTH - 2 * _MARGIN, "semibold"), 20, "semibold")
    y = top + 22
    for share in np.linspace(0, 1, 5):
        at = left + share * width
        sheet.line([at, at], [y, y + 6 * step + 14], FAINT)
        sheet.text(at, y + 6 * step + 32, percent(share, 0), 14, color=QUIET, ha="center")
    for number, (kind, rate) in enumerate(made.rates.items()):
        color = FRAME if kind == "patch" else "#8b8b90"
        for mode, (share, low, high) in (("static", rate.static), ("dynamic", rate.dynamic)):
            row = y + (2 * number + (mode == "dynamic")) * step + 8
            label = f"{KINDS[kind]}, {mode}"
            sheet.text(left - 14, row + 18, label, 17, "semibold" if kind == "patch" else "regular", ha="right")
            sheet.rectangle(left, row + 2, max(share * width, 0.5), step - 12, color)
            middle = row + 2 + (step - 12) / 2
            sheet.axes.plot(
                [left + low * width, left + high * width], [middle, middle], color=INK, linewidth=1.4, zorder=4
            )
            text = f"{percent(share)}  [{100 * low:.1f}, {100 * high:.1f}]"
            sheet.text(left + width + 18, row + 18, text, 17, "semibold" if kind == "patch" else "regular")


def _rgb(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, 2)
