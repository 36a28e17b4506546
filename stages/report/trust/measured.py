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
)


SHUFFLED = (
    ("shuffled", "all layers shuffled", "correlation · of absolute values"),
    ("rise", "entropy then", "by how much it rises"),
)


def draw_table(
    sheet: Sheet, shown: dict, cascades: dict, names: Sequence[str], measures: Sequence, kind: str, top: float
) -> None:
    """Means with their intervals, a row for each method and one for the random map."""
    heads = [*measures, *(SHUFFLED if cascades else ())]
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
            elif measure == "rise":
                _entry(sheet, x, y - 14, *_risen(cascades.get(name)))
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
    notes = [f"Means over {span(counted)}, 95 % intervals in brackets." if counted else ""]
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
            "maps are signed, the correlation of their absolute values stands beside it. Entropy: a model that knows "
            "nothing has nothing to point at; maps whose entropy does not rise may not go by what it has learned."
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


def _forgotten(rows: Sequence[dict] | None) -> tuple[str, str]:
    """The correlation when all layers are shuffled; beside it the one of absolute values, where maps are signed."""
    last = max(rows, key=lambda row: row["depth"]) if rows else None
    if last is None:
        return "", ""
    of = f"{last['n']} of {last['images']} maps" if fewer(last) else ""
    if last["mean"] is None:
        return "–", of
    absolute = "" if last["mean_abs"] is None else number(last["mean_abs"], 2)
    return number(last["mean"], 2), " · ".join(part for part in (_interval(last), absolute, of) if part)


def _risen(rows: Sequence[dict] | None) -> tuple[str, str]:
    """By what share the entropy of maps rises when all layers are shuffled, and its interval."""
    last = max(rows, key=lambda row: row["depth"]) if rows else None
    if last is None or last.get("rise") is None:
        return "", ""
    ends = [last["rise_low"], last["rise_high"]]
    between = "" if None in ends else f"[{_percent(ends[0])}, {_percent(ends[1])}]"
    return f"{_percent(last['rise'])} %", between


def _percent(share: float) -> str:
    """A share in per cent, with its sign."""
    text = number(100 * share, 0)
    return text if text == "0" or text.startswith("−") else f"+{text}"


def _entry(sheet: Sheet, x: float, y: float, number: str, beside: str) -> None:
    sheet.text(x, y, number, 23)
    sheet.text(x + sheet.span(number, 23) + 10, y, beside, 18, color=QUIET)


def _interval(row: Mapping[str, Any], digits: int = 2) -> str:
    return "" if row["low"] is None else f"[{number(row['low'], digits)}, {number(row['high'], digits)}]"


def number(value: float, digits: int) -> str:
    """A number with so many digits after the point, a true minus, and no minus before a zero."""
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def fewer(row: Mapping[str, Any]) -> bool:
    """Whether the mean leaves out images: those whose map is of one value, or not finite, and so has no ranks."""
    return row["n"] < row["images"]
