"""How well the model does where there is no confusion matrix: tables for the page, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.drawing.numbers import figure, plural
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet
from activation_atlas.stages.report.errors.cases import NEITHER, Audit
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import Values, judged, mistaken

RIGHT, WRONG = "#4c78a8", "#c8442d"
MOST_CLASSES, MOST_OUTPUTS, MOST_DOTS = 40, 6, 4000
WIDTH, MARGIN = 1400, 80

Row = dict[str, Any]


def by_output(inputs: Inputs, audit: Audit) -> list[Row]:
    """A row for each class or output: its measures by name, of classes how many images missed it or were falsely
    called so."""
    found: dict[int, Row] = {}
    for row in inputs.table("measures").to_pylist() if inputs.parts("measures") else []:
        if (k := row["class"]) is not None:
            own = found.setdefault(k, {"class": k, "name": row["name"], "positives": row["positives"]})
            own[row["measure"]] = row
    for k, own in found.items():
        own["missed"], own["false"] = audit.counts[k, NEITHER], audit.counts[NEITHER, k]
    return [found[k] for k in sorted(found)]


def headline(inputs: Inputs) -> list[tuple[str, str, str]]:
    """What the run's main page says first of several labels, or of quantities: what, how much, and its interval."""
    rows = inputs.table("measures").to_pylist() if inputs.parts("measures") else []
    shown = [r for r in rows if r["measure"] == "mean_average_precision" or r["measure"] == "mae"][:2]
    told = []
    for row in shown:
        what = f"Mean error of {row['name']}" if row["name"] else "Mean average precision"
        between = f"95 % interval {figure(row['low'])} to {figure(row['high'])}" if row["low"] is not None else ""
        r2 = next((r["value"] for r in rows if (r["name"], r["measure"]) == (row["name"], "r2")), None)
        more = "" if r2 is None else f", R² {figure(r2, 2)}"
        told.append((what, figure(row["value"]), f"{between}; {plural(row['images'], 'labelled image')}{more}"))
    return told


def labels_sheet(rows: Sequence[Row], audit: Audit, model: str) -> Sheet:
    """Average precision of each class with its interval, beside what chance gives: its share of the images."""
    occur = [row for row in rows if row["average_precision"]["value"] is not None]
    shown = sorted(occur, key=lambda r: (-r["positives"], r["class"]))[:MOST_CLASSES]
    shown = sorted(shown, key=lambda r: -r["average_precision"]["value"])
    height, left, top = 40, MARGIN + 300, 280
    sheet = Sheet(WIDTH, top + height * len(shown) + 110)
    inner, right = WIDTH - 2 * MARGIN, WIDTH - MARGIN - 330
    sheet.text(MARGIN, 92, "How well each label is found", 46, "semibold")
    of = f"{plural(audit.labelled, 'labelled image')}, {plural(len(occur), 'class', 'classes')} that occur"
    some = f"; shown are the {len(shown)} commonest" if len(shown) < len(occur) else ""
    sheet.text(MARGIN, 130, sheet.fitted(f"{of}{some}{f' · {model}' if model else ''}", 24, inner), 24, color=QUIET)
    told = (
        "Dot: average precision, bar: 95 % of the images drawn again. Grey tick: what chance gives, the share of "
        "images that have the label. On the right F1 at the threshold of this run, and the best there is with its "
        "threshold, chosen on these very labels: a little too good."
    )
    sheet.paragraph(MARGIN, 168, told, 22, inner, color=QUIET)

    def at(share: float) -> float:
        return left + share * (right - left)

    for share in (0, 0.25, 0.5, 0.75, 1):
        sheet.line([at(share)] * 2, [top - 10, top + height * len(shown)], FAINT, 1)
        sheet.text(at(share), top + height * len(shown) + 32, f"{share:g}", 20, ha="center", color=QUIET)
    sheet.text((left + right) / 2, top + height * len(shown) + 66, "average precision", 20, ha="center", color=QUIET)
    sheet.text(right + 40, top - 22, "F1", 20, color=QUIET)
    sheet.text(right + 130, top - 22, "best F1, from", 20, color=QUIET)
    for place, row in enumerate(shown):
        y, one = top + (place + 0.5) * height, row["average_precision"]
        sheet.text(left - 90, y, sheet.fitted(row["name"], 22, 200), 22, ha="right", va="center")
        sheet.text(left - 20, y, f"{row['positives']:,}", 18, ha="right", va="center", color=QUIET)
        chance = at(row["positives"] / max(one["images"], 1))
        sheet.line([chance, chance], [y - 11, y + 11], QUIET, 2)
        if one["low"] is not None:
            sheet.line([at(one["low"]), at(one["high"])], [y, y], RIGHT, 3)
        sheet.dots([at(one["value"])], [y], 7, RIGHT)
        own, best = row["f1"]["value"], row["best_f1"]
        sheet.text(right + 40, y, "?" if own is None else f"{own:.2f}", 20, va="center")
        sheet.text(right + 130, y, f"{best['value']:.2f}, {best['threshold']:.2g}", 20, va="center", color=QUIET)
    return sheet


def quantities_sheet(inputs: Inputs, rows: Sequence[Row], audit: Audit, model: str) -> Sheet:
    """What is predicted over what is true, a panel for each output; the errors in red."""
    parts = list(inputs.stream("predictions", ["image_id", "label", "pred", "correct"]))
    names = [row["name"] for row in rows]
    values = [Values.of(part, len(names)) for part in parts]
    label, pred = (np.concatenate([getattr(v, what) for v in values]) for what in ("label", "pred"))
    wrong = np.concatenate([mistaken(judged(_bare(part), inputs.state("measures", ""))["correct"]) for part in parts])
    known = np.flatnonzero(np.isfinite(label).all(1))
    drawn = known[:: max(1, -(-len(known) // MOST_DOTS))]
    shown = rows[:MOST_OUTPUTS]
    across = min(2, len(shown))
    side, gap, top = 560 if across == 2 else 700, 120, 250
    sheet = Sheet(
        max(900, 2 * MARGIN + 80 + across * side + (across - 1) * gap), top + -(-len(shown) // across) * (side + 190)
    )
    inner = sheet.width - 2 * MARGIN
    sheet.text(MARGIN, 92, "What is predicted, and what is true", 46, "semibold")
    of = f"{plural(audit.labelled, 'labelled image')}{f' · {model}' if model else ''}"
    sheet.text(MARGIN, 130, sheet.fitted(of, 24, inner), 24, color=QUIET)
    told = "Red: what counts as an error, the tenth of the images that are farthest off. Line: where both are equal."
    if len(drawn) < len(known):
        told += f" {len(drawn):,} of {len(known):,} images are drawn."
    if len(shown) < len(rows):
        told += f" The first {len(shown)} of {len(rows)} quantities."
    sheet.paragraph(MARGIN, 168, told, 22, inner, color=QUIET)
    for place, row in enumerate(shown):
        left = MARGIN + 80 + place % across * (side + gap)
        corner = (left, top + place // across * (side + 190))
        _panel(sheet, row, label[drawn, place], pred[drawn, place], wrong[drawn], corner, side)
    return sheet


def _bare(part: Any) -> Any:
    """Columns that :func:`judged` reads."""
    return part.select(["image_id", "label", "pred", "correct"])


def _panel(
    sheet: Sheet,
    row: Row,
    label: np.ndarray,
    pred: np.ndarray,
    wrong: np.ndarray,
    corner: tuple[float, float],
    side: float,
) -> None:
    left, top = corner
    low, high = float(min(label.min(), pred.min())), float(max(label.max(), pred.max()))
    room = 0.04 * (high - low) or 1.0
    low, high = low - room, high + room
    says = f"MAE {figure(row['mae']['value'])}, RMSE {figure(row['rmse']['value'])}"
    r2 = row["r2"]["value"]
    says += "" if r2 is None else f", R² {figure(r2, 2)}"
    sheet.text(left, top, sheet.fitted(row["name"], 28, side, "semibold"), 28, "semibold")
    sheet.text(left, top + 32, sheet.fitted(says, 21, side), 21, color=QUIET)
    top += 60

    def at(value: Any) -> Any:
        return (np.asarray(value) - low) / (high - low) * side

    for tick in _ticks(low, high):
        x = float(at(tick))
        sheet.line([left + x] * 2, [top, top + side], FAINT, 1)
        sheet.line([left, left + side], [top + side - x] * 2, FAINT, 1)
        sheet.text(left + x, top + side + 28, figure(tick), 19, ha="center", color=QUIET)
        sheet.text(left - 10, top + side - x, figure(tick), 19, ha="right", va="center", color=QUIET)
    sheet.line([left, left + side], [top + side, top], INK, 1.5)
    for kind, colour in ((~wrong, RIGHT), (wrong, WRONG)):
        sheet.dots(left + at(label[kind]), top + side - at(pred[kind]), 4, colour)
    sheet.text(left + side / 2, top + side + 62, "label", 21, ha="center", color=QUIET)
    sheet.text(left - 66, top + side / 2, "predicted", 21, ha="center", va="center", color=QUIET, turn=90)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers within, four to nine of them."""
    step = 10 ** np.floor(np.log10(high - low))
    step = next(s for s in (step, step / 2, step / 5, step / 10) if (high - low) / s >= 4)
    return (np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step).tolist()
