"""How sparse the layers are, by depth: a figure with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.drawing.numbers import percent, plural
from activation_atlas.stages.drawing.sheet import FAINT, QUIET, Sheet

BAR, LINE = "#9db8d6", "#1c1c1e"
ROW, NAME, WIDTH = 44, 420, 620


def sparsity_sheet(layers: Sequence[Any], images: int, model: str) -> Sheet:
    """A row for each layer, the first at the top: the share of zeros in its maps, its dead channels, its selectivity.

    Args:
        layers: of :class:`stages.report.peaks.Layer`, by depth.
        images: that they were taken over.
    """
    margin = 80
    left = margin + NAME
    columns = [left + WIDTH + 150, left + WIDTH + 290, left + WIDTH + 470]
    sheet = Sheet(columns[-1] + margin, 330 + ROW * len(layers) + 90)
    inner = sheet.width - 2 * margin
    sheet.text(margin, 100, "How sparse the layers are", 50, "semibold")
    line = f"zeros among all values of each layer’s maps, over {plural(images, 'photograph')}"
    line = f"{model}: {line}" if model else line
    sheet.text(margin, 146, sheet.fitted(line, 26, inner), 26, color=QUIET)
    top = 250
    for x, words in zip(columns, ("zeros", "dead", "selectivity"), strict=True):
        sheet.text(x, top - 24, words, 22, "semibold", ha="right")
    sheet.text(margin, top - 24, "layer, in order of depth", 22, "semibold")
    bottom = top + ROW * len(layers)
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + share * WIDTH
        sheet.line([x, x], [top - 8, bottom + 4], FAINT, 1.5)
        sheet.text(x, bottom + 30, percent(share, 0), 20, ha="center", color=QUIET)
    for k, layer in enumerate(layers):
        y = top + ROW * k
        zeros = np.array([row["zeros"] for row in layer.rows], np.float64)
        low, high = np.quantile(zeros, [0.1, 0.9])
        size = f"{layer.about['height']} × {layer.about['width']} × {layer.about['channels']}"
        sheet.text(left - 24, y + 29, size, 18, ha="right", color=QUIET)
        room = NAME - 40 - sheet.span(size, 18)
        sheet.text(margin, y + 29, sheet.fitted(layer.name, 22, room), 22)
        sheet.rectangle(left, y + 8, max(zeros.mean() * WIDTH, 1), ROW - 18, BAR)
        sheet.rectangle(left + low * WIDTH, y + ROW / 2 - 2, max((high - low) * WIDTH, 2), 3, LINE)
        dead = sum(row["dead"] for row in layer.rows)
        chosen = [row["selectivity"] for row in layer.rows if row["selectivity"] is not None]
        told = [percent(zeros.mean()), str(dead), f"{np.median(chosen):.2f}" if chosen else "–"]
        for x, words in zip(columns, told, strict=True):
            sheet.text(x, y + 29, words, 22, ha="right")
    words = (
        "Bar: mean over the channels; the dark line spans the middle 80 % of them. A layer whose activation does not "
        "cut off at 0 has no zeros. Dead: channels that are 0 at every position of every photograph. Selectivity "
        f"(Morcos et al. 2018): median over the channels, {_classes(layers)}."
    )
    sheet.paragraph(margin, bottom + 76, words, 20, inner, color=QUIET)
    return sheet


def _classes(layers: Sequence[Any]) -> str:
    rows = [row for layer in layers for row in layer.rows if row["class_by"] is not None]
    if not rows:
        return "which needs classes"
    of = "labels" if rows[0]["class_by"] == "label" else "predictions"
    few = sorted(row["class_images"] for row in rows)[len(rows) // 2]
    return f"by {of}: the most exciting class has {plural(few, 'image')} (median; the fewer, the larger the index)"
