"""Sheets on paper: the worst mistakes with their maps, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np

from activation_atlas.stages.drawing import captions
from activation_atlas.stages.drawing.numbers import plural, probability, short
from activation_atlas.stages.drawing.overlays import bar, boxed, coloured
from activation_atlas.stages.drawing.sheet import FAINT, INK, QUIET, Sheet
from activation_atlas.stages.report.errors import telling, wording
from activation_atlas.stages.report.errors.cases import Audit, Case
from activation_atlas.stages.report.errors.maps import Map, Variant
from activation_atlas.stages.report.errors.matrix import matrix, shades
from activation_atlas.stages.tasks import CLASSES, Task

CASES, ACROSS = 24, 3
_SHARED = "The maps of an image share one scale."


def error_sheet(
    variant: Variant, audit: Audit, classes: Sequence[str], photographs: Mapping[str, bytes], model: str
) -> np.ndarray:
    """The worst mistakes, three in a row, each as photograph, map for the prediction and map for the label.

    Returns:
        uint8 RGB (height, width, 3).
    """
    cases = [c for c in audit.cases if c.image_id in variant.maps][:CASES]
    maps = [telling.own_first(c, variant.maps[c.image_id], audit.task) for c in cases]
    scales = [variant.scales(own) for own in maps]
    side, gap, margin, between = 196, 8, 80, 56
    column, row = 3 * side + 2 * gap, side + 118
    down = -(-len(cases) // ACROSS)
    sheet = Sheet(ACROSS * column + (ACROSS - 1) * between + 2 * margin, 298 + down * row + 80)
    inner = sheet.width - 2 * margin
    wrong = sum(c.mistake is True for c in cases)
    what = "no mistakes among the explained" if any(c.mistake is False for c in cases) else "images without labels"
    most = (
        f"the {wrong} farthest off" if audit.task.measured else f"{plural(wrong, 'mistake')}, the most confident first"
    )
    what = most if wrong else what
    heading = f"{captions.title(variant.options)}: where {model or 'the model'} looked"
    sheet.text(margin, 100, sheet.fitted(heading, 50, inner, "semibold"), 50, "semibold")
    line = f"{what}: the photograph as the model was shown it, {_of_what([m[:2] for m in maps], audit.task)}"
    sheet.text(margin, 142, sheet.fitted(line, 26, inner), 26, color=QUIET)
    told = [captions.meaning(variant.options, variant.measured), wording.placement(variant), wording.lost(variant)]
    shares = "Each map has its own scale, in its quantity’s unit." if variant.measured else _SHARED
    enlarged = "Enlarged bilinearly" if variant.style.how == "bilinear" else "Segments keep their borders"
    told.append(f"{enlarged}. {shares}")
    if any(m.box for own in maps for m in own[:2]):
        told.append("Frames: the box found in the map, around its largest piece.")
    sheet.paragraph(margin, 180, " ".join(t for t in told if t), 22, inner, color=QUIET)
    pictures: list[tuple[int, int, np.ndarray]] = []
    for position, case in enumerate(cases):
        left = margin + position % ACROSS * (column + between)
        top = 310 + position // ACROSS * row
        own = maps[position]
        for slot, picture in enumerate(_pictures(own, scales[position], photographs.get(case.image_id), side)):
            pictures.append((left + slot * (side + gap), top, picture))
        flags = sorted({m.flag for m in own[:2] if m.flag})
        reach = " and ".join(short(one) for one in dict.fromkeys(scales[position][:2]))
        scale = ", ".join([f"scale to {reach}", *flags])
        sheet.text(left + column, top - 10, scale, 18, ha="right", color=QUIET)
        room = column - sheet.span(scale, 18) - 16
        words = telling.title(case, classes, audit.task), telling.line(case, classes, audit.task)
        _case(sheet, case, own, classes, words, left, top, side, gap, column, room)
    _key(sheet, variant, margin, 298 + down * row + 12)
    pixels = sheet.pixels()
    for left, top, picture in pictures:
        pixels[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return pixels


def _of_what(shown: Sequence[Sequence[Map]], task: Task = CLASSES) -> str:
    """What classes the two maps of each case are for; other targets may have been asked for than the usual two."""
    if task.measured:
        return "a map for each quantity named below it"
    usual = not task.several and all(
        "predicted" in m[0].kinds and all("label" in other.kinds for other in m[1:]) for m in shown
    )
    return "the map for its prediction, the map for the label" if usual else "maps for the classes named below them"


def _name(classes: Sequence[str], index: int) -> str:
    return classes[index] if 0 <= index < len(classes) else f"class {index}"


def _percent(share: float | None) -> str:
    return "?" if share is None or not np.isfinite(share) else probability(share)


def _case(
    sheet: Sheet,
    case: Case,
    maps: Sequence[Map],
    classes: Sequence[str],
    words: tuple[telling.Words | None, str | None],
    left: float,
    top: float,
    side: int,
    gap: int,
    column: int,
    room: float,
) -> None:
    told, more = words
    if told is not None:
        says = "".join(piece for piece, _ in told)
    else:
        says = f"taken for {_name(classes, -1 if case.pred is None else case.pred)}, {_percent(case.prob)}"
    sheet.text(left, top - 36, sheet.fitted(says, 26, column, "semibold"), 26, "semibold")
    sheet.text(left, top - 10, sheet.fitted(more or _choices(case, classes), 20, room), 20, color=QUIET)
    for slot, under in enumerate([case.name, *(_name(classes, m.target) for m in maps[:2])]):
        x = left + slot * (side + gap)
        sheet.text(x, top + side + 20, sheet.fitted(under, 18, side), 18, color=QUIET)


def _choices(case: Case, classes: Sequence[str]) -> str:
    """The label and the class ranked second."""
    label = "no label" if case.label is None else f"label: {_name(classes, case.label)}, {_percent(case.label_prob)}"
    if case.second is None:
        return label
    if case.second == case.label:
        return f"{label} (second)"
    return f"{label} · second: {_name(classes, case.second)}, {_percent(case.second_prob)}"


def _pictures(maps: Sequence[Map], tops: Sequence[float], photograph: bytes | None, side: int) -> list[np.ndarray]:
    """The photograph, and its first two maps laid over it; the longer side has ``side`` pixels."""
    from PIL import Image

    if photograph is None:
        photo = Image.new("RGB", (side, side), "#efefea")
    else:
        photo = Image.open(BytesIO(photograph)).convert("RGB")
    factor = side / max(photo.size)
    photo = photo.resize(tuple(max(1, round(s * factor)) for s in photo.size), Image.Resampling.BICUBIC)
    pixels = np.asarray(photo)
    drawn = [pixels]
    for shown, top in zip(maps[:2], tops, strict=False):
        drawn.append(shown.surface.over(pixels, "none", top))
        if shown.box is not None:
            boxed(drawn[-1], shown.box)
    return drawn


def _key(sheet: Sheet, variant: Variant, left: float, top: float) -> None:
    ramp = bar(1.0, variant.style.signed, 420, 28, variant.style.opacity)
    sheet.picture(ramp, left, top, 420, 28)
    ends = ("−scale", "0", "scale") if variant.style.signed else ("0", "", "scale")
    for share, word in zip((0, 0.5, 1), ends, strict=True):
        sheet.text(
            left + share * 420, top + 52, word, 20, ha=("left", "center", "right")[round(2 * share)], color=QUIET
        )
    told = "above on a light photograph, below on a dark one; each image’s own scale is given above its maps"
    sheet.text(left + 450, top + 22, told, 20, color=QUIET)


def confusion_sheet(audit: Audit, classes: Sequence[str], model: str) -> Sheet:
    """The confusion matrix: counts, mistakes shaded."""
    found = matrix(audit.counts, len(classes))
    dark = shades(found)
    cell = 64 if len(classes) <= 20 else 40
    measure = Sheet(10, 10)
    names = [measure.fitted(c, 22, 260) for c in classes]
    wide = max(measure.span(n, 22) for n in names) + 24
    margin, side = 80, cell * len(classes)
    left, top = margin + wide + 20, 222 + wide
    sheet = Sheet(max(900, left + side + margin), top + side + margin)
    inner = sheet.width - 2 * margin
    sheet.text(margin, 92, sheet.fitted("What is taken for what", 46, inner, "semibold"), 46, "semibold")
    count = f"{plural(audit.labelled, 'labelled image')}, {plural(audit.mistakes, 'mistake')}"
    if model:
        sheet.text(margin, 130, sheet.fitted(model, 24, inner), 24, color=QUIET)
    line = f"{count}; rows: label, columns: prediction"
    sheet.text(margin, 162, sheet.fitted(line, 24, inner), 24, color=QUIET)
    for k, name in enumerate(names):
        sheet.text(left - 14, top + (k + 0.5) * cell, name, 22, ha="right", va="center")
        sheet.text(left + (k + 0.5) * cell, top - 14, name, 22, ha="center", va="bottom", turn=90)
    colours = coloured(dark, 1.0, signed=True)[..., :3] / 255  # from white to red
    for i in range(len(classes)):
        for j in range(len(classes)):
            x, y = left + j * cell, top + i * cell
            sheet.rectangle(x, y, cell, cell, "#efefea" if i == j else tuple(colours[i, j]), FAINT)
            if found[i, j]:
                ink = QUIET if i == j else "#ffffff" if dark[i, j] > 0.75 else INK
                sheet.text(
                    x + cell / 2,
                    y + cell / 2,
                    str(found[i, j]),
                    20 if cell > 40 else 13,
                    ha="center",
                    va="center",
                    color=ink,
                )
    return sheet
