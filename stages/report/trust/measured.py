"""The table of the sheet: what was measured on each method's maps, and what is said below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet

RANDOM = {"random": "random, as smooth as a CAM", "random_pixels": "random, pixel by pixel"}
"""Variants of ``trust`` that are no methods, and what the sheet calls them."""

MARGIN, GAP = 90, 44

MEASURES = (
    ("deletion", "deletion", "lower is better · beats random"),
    ("insertion", "insertion", "higher is better · beats random"),
    ("road_morf", "ROAD, highest first", "lower is better · beats random"),
    ("road_lerf", "ROAD, lowest first", "higher is better · beats random"),
    ("pointing", "pointing game", "maxima that lie inside"),
    ("energy", "energy inside", "share of the positive part"),
    ("localised", "boxes", "intersect ≥ half of the union"),
    ("complexity", "complexity", "entropy; low: few pixels"),
    ("sparseness", "sparseness", "Gini index; high: few pixels"),
)


def columns(measures: Sequence[tuple[str, str, str]], cascades: Mapping[str, Sequence]) -> list[tuple[str, str, str]]:
    """(measure, title, hint) of each column."""
    found = list(measures)
    if cascades:
        found.append(("shuffled", "all layers shuffled", "correlation · of absolute values"))
    copies = {row["copies"] for rows in cascades.values() for row in rows if row["copies"]}
    if copies:
        found.append(("smooth", "the same, smooth", f"maps averaged over {max(copies)} copies"))
    return found


def draw_table(
    sheet: Sheet, shown: dict, cascades: dict, names: Sequence[str], heads: Sequence, kind: str, top: float
) -> None:
    """Means with their intervals, a row for each method and for each random map.

    Args:
        shown: rows of ``trust`` by variant and measure.
        cascades: rows of ``randomization``, of methods and of random maps.
        heads: as :func:`columns` gives them.
    """
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
            if measure in FORMS:
                _entry(sheet, x, y - 14, *_forgotten(cascades.get(name), FORMS[measure]))
            elif (row := shown.get((name, measure))) is not None and row["mean"] is None:
                _entry(sheet, x, y - 14, "–", "no map says anything")
            elif row is not None:
                better = row["better"]
                beats = "" if better is None else f" · {100 * better:.0f} %"
                _entry(sheet, x, y - 14, number(row["mean"], 3), _interval(row) + beats)
    sheet.line([MARGIN, sheet.width - MARGIN], [y, y], FAINT, 1)
    asked = {measure for measure, *_ in heads}
    of_names = [(name, row) for (name, measure), row in shown.items() if name in names and measure in asked]
    counted = [row["n"] for _, row in of_names if row["n"]]
    notes = [f"Means over {span(counted)}, 95 % intervals in brackets." if counted else ""]
    left = {name: (row["left_out"], row["left_out"] + row["n"]) for name, row in reversed(of_names) if row["left_out"]}
    if left:
        told = ", ".join(f"{out} of {of} of {name}" for name, (out, of) in sorted(left.items()))
        notes.append(f"Maps that say nothing of where (of one value, of one position, ...) are left out: {told}.")
    if asked & {"deletion", "insertion"}:
        notes.append(
            "Deletion and insertion: area under the class's probability while pixels go or come in the order of the "
            "map; in per cent, the images in which it does better than a random map as smooth or as scattered. "
            "Scattered grey pixels destroy an image far sooner than a hidden region, so the two random maps differ."
        )
    if asked & {"road_morf", "road_lerf"}:
        notes.append(
            "ROAD: the class's probability, the mean over 10, 20, 30, 40, 50, 70 and 90 % of the pixels, when they are "
            "filled in from what lies around them."
        )
    if "complexity" in asked:
        notes.append("Complexity and sparseness say how far a map is spread out, and nothing of whether it is right.")
    if area := [row["mean"] for (_, measure), row in shown.items() if measure == "area" and row["n"]]:
        share = f"{number(max(area), 2)}, the share of the area"
        notes.append(f"By chance, energy would be {share}, and so would pointing where it forgives nothing.")
    if cascades:
        notes.append(
            "All layers shuffled: how much of a map stays when nothing does of what the model has learned; where maps "
            "are signed, the correlation of their absolute values stands beside it. A random map, drawn anew for each "
            "model, is near 0 too: the check finds maps that show the image, and does not tell knowing from noise."
        )
    if "smooth" in asked:
        notes.append(
            "Smooth: the same of maps that are averaged over noisy copies of the image, in which there is less noise "
            "that would pass for forgetting."
        )
    if any(rows and fewer(max(rows, key=lambda row: row["depth"])) for rows in cascades.values()):
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


def span(counts: Sequence[int]) -> str:
    """How many images means are over: of some methods fewer, whose other maps are flagged or of one value."""
    low, high = min(counts), max(counts)
    return f"{high} images" if low == high else f"{low} to {high} images"


FORMS = {"shuffled": "", "smooth": "_smooth"}
"""Column of the table to the form of the check, as :data:`tables.RANKED` has them."""


def _forgotten(rows: Sequence[dict] | None, form: str) -> tuple[str, str]:
    """The correlation when all layers are shuffled; beside it the one of absolute values, where maps are signed."""
    last = max(rows, key=lambda row: row["depth"]) if rows else None
    if last is None or (form and not last["copies"]):
        return "", ""
    found = {name: last[name + form] for name in ("mean", "low", "high", "n")}
    of = f"{found['n']} of {last['images']} maps" if found["n"] < last["images"] else ""
    if found["mean"] is None:
        return "–", of
    absolute = last[f"mean{form}_abs"]
    beside = "" if absolute is None else number(absolute, 2)
    return number(found["mean"], 2), " · ".join(part for part in (_interval(found), beside, of) if part)


def fewer(row: Mapping[str, Any]) -> bool:
    """Whether the mean leaves out images: those whose map is of one value, or not finite, and so has no ranks."""
    return row["n"] < row["images"]


def _entry(sheet: Sheet, x: float, y: float, number: str, beside: str) -> None:
    sheet.text(x, y, number, 23)
    sheet.text(x + sheet.span(number, 23) + 10, y, beside, 18, color=QUIET)


def _interval(row: Mapping[str, Any], digits: int = 2) -> str:
    return "" if row["low"] is None else f"[{number(row['low'], digits)}, {number(row['high'], digits)}]"


def number(value: float, digits: int) -> str:
    """A number with so many digits after the point, a true minus, and no minus before a zero."""
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")
