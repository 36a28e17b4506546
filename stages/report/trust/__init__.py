"""How far the maps are to be believed: shuffled models, agreement of methods, deletion and insertion, on one sheet.

``trust_figure(trust, agreement, randomization, model)`` takes the tables of these names as the run wrote them, and is
None where they say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.drawing.sheet import FAINT, INK, PAPER, QUIET, Sheet
from activation_atlas.stages.report.heatmaps import colours
from activation_atlas.stages.report.trust.measured import GAP, MARGIN, MEASURES, RANDOM, draw_table, fewer, span
from activation_atlas.stages.report.trust.measured import number as number

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a67c00", "#56b4e9", "#7a4bb5", "#555555")
"""Of the lines (Okabe & Ito 2008, its yellow darkened and two added); beyond them the lines are dashed."""

WIDTH = 1900
STEP = 278
"""What a sheet of more than five measures is wider by for each."""


def trust_figure(
    trust: pa.Table | None,
    agreement: pa.Table | None,
    randomization: Mapping[str, pa.Table],
    model: str = "",
) -> Sheet | None:
    """The sheet.

    Args:
        trust: of it, the predicted class is shown, or the first kind of target where that was not asked for.
        agreement: None, or empty, where there is one variant.
        randomization: by variant.
        model: its name, for the heading.
    """
    means = trust.to_pylist() if trust is not None else []
    pairs = agreement.to_pylist() if agreement is not None else []
    cascades = {name: table.to_pylist() for name, table in sorted(randomization.items()) if len(table)}
    if not (means or pairs or cascades):
        return None
    kind = shown_kind(means)
    shown = {(row["variant"], row["measure"]): row for row in means if row["kind"] == kind}
    named = {row["variant"] for row in means} | {row[k] for row in pairs for k in ("variant", "other")} | {*cascades}
    names = sorted(named - RANDOM.keys())
    measures = [m for m in MEASURES if any((name, m[0]) in shown for name in names)]
    side = 520 if cascades or pairs else 0
    legend = _above_legend(cascades) + 30 * -(-len(names) // 2) if cascades else 0
    top = 240
    table_top = top + (side + max(legend, 200) + 60 if side else 0)
    beside = [name for name in RANDOM if any(name == variant for variant, _ in shown)]
    lines = len(names) + len(beside)
    more = 27 * -(-sum(name in names and bool(row["left_out"]) for (name, _), row in shown.items()) // 3)
    wide = WIDTH + STEP * max(0, len(measures) + 2 * bool(cascades) - 5)
    sheet = Sheet(wide, table_top + (94 + GAP * lines + 150 + more if measures or cascades else 0))
    sheet.text(MARGIN, 92, "How far the maps are to be believed", 46, "semibold")
    about = f"{len(names)} {'method' if len(names) == 1 else 'methods'}" + (f" on {model}" if model else "")
    sheet.text(MARGIN, 130, sheet.fitted(about, 24, WIDTH - 2 * MARGIN), 24, color=QUIET)
    if cascades:
        _cascades(sheet, cascades, names, top, side)
    if pairs:
        _agreement(sheet, pairs, names, MARGIN + (900 if cascades else 0), top, 580)
    if measures or cascades:
        draw_table(sheet, shown, cascades, [*names, *beside], measures, kind, table_top)
    return sheet


def shown_kind(means: Sequence[Mapping[str, Any]]) -> str:
    """The kind of target that is shown of rows of ``trust``: the predicted class, or else the first there is."""
    kinds = sorted({row["kind"] for row in means})
    return "predicted" if "predicted" in kinds else kinds[0] if kinds else ""


def _style(names: Sequence[str], name: str) -> tuple[str, Any]:
    place = names.index(name)
    return COLOURS[place % len(COLOURS)], None if place < len(COLOURS) else (0, (4, 2))


def _cascades(sheet: Sheet, cascades: dict[str, list], names: Sequence[str], top: float, height: float) -> None:
    """Rank correlation with the model's own maps as more and more layers are shuffled."""
    left, width = MARGIN + 60, 680
    images = span([row["images"] for rows in cascades.values() for row in rows])
    sheet.text(MARGIN, top - 40, "Maps of a model that forgets", 28, "semibold")
    sheet.text(MARGIN, top - 10, f"rank correlation with the model's own maps, {images}", 21, color=QUIET)
    lows = [row["low"] for rows in cascades.values() for row in rows if row["low"] is not None]
    means = [row["mean"] for rows in cascades.values() for row in rows if row["mean"] is not None]
    floor = min(-0.2, np.floor(10 * min([*lows, *means, 0])) / 10)

    def at(share: float, value: float) -> tuple[float, float]:
        return left + share * width, top + 20 + (1 - value) / (1 - floor) * (height - 40)

    for value in np.arange(np.ceil(5 * floor) / 5, 1.01, 0.2):
        y = at(0, value)[1]
        sheet.line([left, left + width], [y, y], INK if abs(value) < 1e-9 else FAINT, 1)
        sheet.text(left - 12, y + 7, number(value, 1), 20, ha="right", color=QUIET)
    for share, words in ((0, "none"), (0.5, "half"), (1, "all")):
        sheet.text(left + share * width, top + height + 14, words, 20, ha="center", color=QUIET)
    axis = "layers shuffled, from the logits down; bars: 95 % intervals"
    sheet.text(left + width / 2, top + height + 42, axis, 20, ha="center", color=QUIET)
    if any(fewer(row) for rows in cascades.values() for row in rows):
        marks = "hollow: maps without ranks (of one value, or not finite) are left out; cross: all are"
        sheet.text(left + width / 2, top + height + 68, marks, 20, ha="center", color=QUIET)
    for place, (name, rows) in enumerate(cascades.items()):
        color, dashes = _style(names, name)
        aside = (place - (len(cascades) - 1) / 2) * min(5, 40 / len(cascades))  # bars side by side
        points, hollow = [at(0, 1.0)], []
        for row in sorted(rows, key=lambda r: r["depth"]):
            x, y = at(row["depth"] / row["layers"], floor if row["mean"] is None else row["mean"])
            if row["mean"] is None:
                for up in (-6, 6):
                    sheet.line([x + aside - 6, x + aside + 6], [y - up, y + up], color, 2.5)
                continue
            points.append((x + aside, y))
            hollow += [points[-1]] if fewer(row) else []
            if row["low"] is not None:
                ends = [at(0, row[end])[1] for end in ("low", "high")]
                sheet.line([x + aside] * 2, ends, color, 1.5)
        sheet.line([p[0] for p in points], [p[1] for p in points], color, 3, dashes)
        sheet.dots([p[0] for p in points[1:]], [p[1] for p in points[1:]], 5, color)
        sheet.dots([p[0] for p in hollow], [p[1] for p in hollow], 2.5, PAPER)
        column, row = place % 2, place // 2
        x, y = left + column * width / 2, top + height + _above_legend(cascades) + 30 * row
        sheet.line([x, x + 34], [y - 7, y - 7], color, 4, dashes)
        sheet.text(x + 44, y, sheet.fitted(name, 21, width / 2 - 60), 21)


def _above_legend(cascades: Mapping[str, Sequence[Mapping[str, Any]]]) -> float:
    """Pixels from the drawing to the first line of its legend: the marks are explained where there are any."""
    return 112 if any(fewer(row) for rows in cascades.values() for row in rows) else 84


def _agreement(sheet: Sheet, pairs: list, names: Sequence[str], left: float, top: float, space: float) -> None:
    """The matrix of rank correlations, a number in every cell."""
    images = span([row["n"] for row in pairs])
    sheet.text(left, top - 40, "Agreement of methods", 28, "semibold")
    words = f"mean rank correlation of maps of one image and class, {images}"
    sheet.text(left, top - 10, words, 21, color=QUIET)
    labels = min(230, max(sheet.span(name, 20) for name in names) + 20)
    cell = min(100.0, (space + 230 - labels) / len(names))
    size = float(np.clip(cell * 0.36, 12, 24))
    values = {(row["variant"], row["other"]): row["mean"] for row in pairs}
    for i, name in enumerate(names):
        y = top + 20 + i * cell
        sheet.text(left + labels - 12, y + cell / 2 + 7, sheet.fitted(name, 20, labels - 12), 20, ha="right")
        column = sheet.fitted(name, 20, 210)
        x = left + labels + i * cell
        sheet.text(x + cell / 2 + 7, top + 32 + len(names) * cell, column, 20, ha="right", va="top", turn=45)
        for j, other in enumerate(names):
            value = 1.0 if i == j else values.get((name, other), values.get((other, name)))
            color = tuple(colours(np.array(0.0 if value is None else value), 1.0))
            sheet.rectangle(left + labels + j * cell, y, cell, cell, FAINT if i == j else color, "#ffffff")
            if i != j:
                ink = "#ffffff" if value is not None and abs(value) > 0.65 else INK
                said = "–" if value is None else number(value, 2)
                center = left + labels + (j + 0.5) * cell
                sheet.text(center, y + cell / 2 + 0.35 * size, said, size, color=ink, ha="center")
