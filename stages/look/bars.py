"""Channels of a layer that has no positions: a value for each, as bars."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.drawing.numbers import short
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet

_MARGIN, _HEIGHT, _ACROSS, _WIDTH = 40, 130, 256, 1480


def bars(title: str, subtitle: str, values: np.ndarray) -> Sheet:
    """Values (channels,) in rows of at most 256 bars, on one scale; what is not finite has no bar."""
    rows = [values[k : k + _ACROSS] for k in range(0, len(values), _ACROSS)]
    finite = values[np.isfinite(values)]
    low, high = min(0.0, float(finite.min(initial=0))), max(0.0, float(finite.max(initial=0)))
    span = (high - low) or 1.0
    sheet = Sheet(_WIDTH + 2 * _MARGIN, 110 + len(rows) * (_HEIGHT + 40) + 50)
    sheet.text(_MARGIN, 52, sheet.fitted(title, 28, _WIDTH, "semibold"), 28, "semibold")
    sheet.text(_MARGIN, 80, sheet.fitted(subtitle, 17, _WIDTH), 17, color=QUIET)
    step = _WIDTH / min(len(values), _ACROSS)
    for r, row in enumerate(rows):
        top = 110 + r * (_HEIGHT + 40)
        zero = top + high / span * _HEIGHT
        x = _MARGIN + step * np.arange(len(row))
        heights = np.where(np.isfinite(row), row, 0) / span * _HEIGHT
        sheet.bars(x, zero, 0.8 * step, -heights, "#3b6ea5")
        sheet.line([_MARGIN, _MARGIN + step * len(row)], [zero, zero], FAINT if low < 0 else INK, 1)
        sheet.text(_MARGIN, top + _HEIGHT + 20, f"channel {r * _ACROSS}", 14, color=QUIET)
        end = r * _ACROSS + len(row) - 1
        sheet.text(_MARGIN + step * len(row), top + _HEIGHT + 20, f"{end}", 14, color=QUIET, ha="right")
    largest = [int(k) for k in np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")[:5]]
    said = ", ".join(f"{k}: {short(float(values[k]))}" for k in largest)
    sheet.text(
        _MARGIN,
        sheet.height - 24,
        f"One scale for all, {short(low)} to {short(high)}. The largest: {said}.",
        15,
        color=QUIET,
    )
    return sheet
