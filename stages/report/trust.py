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

RANDOM = {"random": "random, as smooth as a CAM", "random_pixels": "random, pixel by pixel"}
"""Variants of ``trust`` that are no methods, and what the sheet calls them."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a67c00", "#56b4e9", "#7a4bb5", "#555555")
"""Of the lines (Okabe & Ito 2008, its yellow darkened and two added); beyond them the lines are dashed."""

WIDTH, MARGIN, GAP = 1900, 90, 44
STEP = 278
"""What a sheet of more than five measures is wider by for each."""

MEASURES = (
    ("deletion", "deletion", "lower is better · beats random"),
    ("insertion", "insertion", "higher is better · beats random"),
    ("road_morf", "ROAD, highest first", "lower is better · beats random"),
    ("road_lerf", "ROAD, lowest first", "higher is better · beats random"),
    ("pointing", "pointing game", "maxima that lie inside"),
    ("energy", "energy inside", "share of the positive part"),
    ("localised", "boxes", "intersect ≥ half of the union"),
)


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
    wide = WIDTH + STEP * max(0, len(measures) + bool(cascades) - 5)
    sheet = Sheet(wide, table_top + (94 + GAP * lines + 150 + more if measures or cascades else 0))
    sheet.text(MARGIN, 92, "How far the maps are to be believed", 46, "semibold")
    about = f"{len(names)} {'method' if len(names) == 1 else 'methods'}" + (f" on {model}" if model else "")
    sheet.text(MARGIN, 130, sheet.fitted(about, 24, WIDTH - 2 * MARGIN), 24, color=QUIET)
    if cascades:
        _cascades(sheet, cascades, names, top, side)
    if pairs:
        _agreement(sheet, pairs, names, MARGIN + (900 if cascades else 0), top, 580)
    if measures or cascades:
        _table(sheet, shown, cascades, [*names, *beside], measures, kind, table_top)
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
    images = _span([row["images"] for rows in cascades.values() for row in rows])
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
    if any(_fewer(row) for rows in cascades.values() for row in rows):
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
            hollow += [points[-1]] if _fewer(row) else []
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


def _fewer(row: Mapping[str, Any]) -> bool:
    """Whether the mean leaves out images: those whose map is of one value, or not finite, and so has no ranks."""
    return row["n"] < row["images"]


def _above_legend(cascades: Mapping[str, Sequence[Mapping[str, Any]]]) -> float:
    """Pixels from the drawing to the first line of its legend: the marks are explained where there are any."""
    return 112 if any(_fewer(row) for rows in cascades.values() for row in rows) else 84


def _agreement(sheet: Sheet, pairs: list, names: Sequence[str], left: float, top: float, space: float) -> None:
    """The matrix of rank correlations, a number in every cell."""
    images = _span([row["n"] for row in pairs])
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


def _table(
    sheet: Sheet, shown: dict, cascades: dict, names: Sequence[str], measures: Sequence, kind: str, top: float
) -> None:
    """Means with their intervals, a row for each method and one for the random map."""
    heads = [
        *measures,
        *([("shuffled", "all layers shuffled", "correlation · of absolute values")] if cascades else []),
    ]
    first = 330
    step = (sheet.width - 2 * MARGIN - first) / len(heads)
    sheet.text(MARGIN, top, f"Measured on each map{_for(kind)}", 28, "semibold")
    for k, (_, title, hint) in enumerate(heads):
        sheet.text(MARGIN + first + k * step, top + 52, title, 23, "semibold")
        sheet.text(MARGIN + first + k * step, top + 78, hint, 19, color=QUIET)
    y = top + 94
    for name in names:
        sheet.line([MARGIN, sheet.width - MARGIN], [y, y], FAINT, 1)
        y += GAP
        words, color = RANDOM.get(name, name), QUIET if name in RANDOM else INK
        sheet.text(MARGIN, y - 14, sheet.fitted(words, 23, first - 20), 23, color=color)
        for k, (measure, *_) in enumerate(heads):
            x = MARGIN + first + k * step
            if measure == "shuffled":
                _entry(sheet, x, y - 14, *_forgotten(cascades.get(name)))
            elif (row := shown.get((name, measure))) is not None and row["mean"] is None:
                _entry(sheet, x, y - 14, "–", "no map says anything")
            elif row is not None:
                better = row["better"]
                beats = "" if better is None else f" · {100 * better:.0f} %"
                _entry(sheet, x, y - 14, number(row["mean"], 3), _interval(row) + beats)
    sheet.line([MARGIN, sheet.width - MARGIN], [y, y], FAINT, 1)
    asked = {measure for measure, *_ in measures}
    of_names = [(name, row) for (name, measure), row in shown.items() if name in names and measure in asked]
    counted = [row["n"] for _, row in of_names if row["n"]]
    notes = [f"Means over {_span(counted)}, 95 % intervals in brackets." if counted else ""]
    left = {name: (row["left_out"], row["left_out"] + row["n"]) for name, row in reversed(of_names) if row["left_out"]}
    if left:
        told = ", ".join(f"{out} of {of} of {name}" for name, (out, of) in sorted(left.items()))
        notes.append(f"Maps that say nothing of where (of one value, of one position, ...) are left out: {told}.")
    if any(m[0] in ("deletion", "insertion") for m in measures):
        notes.append(
            "Deletion and insertion: area under the class's probability while pixels go or come in the order of the "
            "map; in per cent, the images in which it does better than a random map as smooth or as scattered. "
            "Scattered grey pixels destroy an image far sooner than a hidden region, so the two random maps differ."
        )
    if any(m[0].startswith("road") for m in measures):
        notes.append(
            "ROAD: the class's probability, the mean over 10, 20, 30, 40, 50, 70 and 90 % of the pixels, when they are "
            "filled in from what lies around them."
        )
    if area := [row["mean"] for (_, measure), row in shown.items() if measure == "area" and row["n"]]:
        share = f"{number(max(area), 2)}, the share of the area"
        notes.append(f"By chance, energy would be {share}, and so would pointing where it forgives nothing.")
    if cascades:
        notes.append(
            "All layers shuffled: the nearer to 0, the more of the map comes from what the model has learned; where "
            "maps are signed, the correlation of their absolute values stands beside it."
        )
    if any(rows and _fewer(max(rows, key=lambda row: row["depth"])) for rows in cascades.values()):
        notes.append(
            "A map that the shuffled model leaves at one value has changed altogether, but has no ranks: "
            "the correlation is of the other maps."
        )
    sheet.paragraph(MARGIN, y + 40, " ".join(notes), 20, sheet.width - 2 * MARGIN, color=QUIET)


def _for(kind: str) -> str:
    """Which maps the means are of."""
    if kind.startswith("rank:"):
        return f" · maps for the class ranked {kind.removeprefix('rank:')}"
    usual = {"predicted": "the predicted class", "label": "the label", "second": "the second class"}
    return f" · maps for {usual.get(kind, kind.removeprefix('class:'))}" if kind else ""


def _span(counts: Sequence[int]) -> str:
    """How many images means are over: of some methods fewer, whose other maps are flagged or of one value."""
    low, high = min(counts), max(counts)
    return f"{high} images" if low == high else f"{low} to {high} images"


def _forgotten(rows: Sequence[dict] | None) -> tuple[str, str]:
    """The correlation when all layers are shuffled; beside it the one of absolute values, where maps are signed."""
    last = max(rows, key=lambda row: row["depth"]) if rows else None
    if last is None:
        return "", ""
    of = f"{last['n']} of {last['images']} maps" if _fewer(last) else ""
    if last["mean"] is None:
        return "–", of
    absolute = "" if last["mean_abs"] is None else number(last["mean_abs"], 2)
    return number(last["mean"], 2), " · ".join(part for part in (_interval(last), absolute, of) if part)


def _entry(sheet: Sheet, x: float, y: float, number: str, beside: str) -> None:
    sheet.text(x, y, number, 23)
    sheet.text(x + sheet.span(number, 23) + 10, y, beside, 18, color=QUIET)


def _interval(row: Mapping[str, Any], digits: int = 2) -> str:
    return "" if row["low"] is None else f"[{number(row['low'], digits)}, {number(row['high'], digits)}]"


def number(value: float, digits: int) -> str:
    """A number with so many digits after the point, a true minus, and no minus before a zero."""
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")
