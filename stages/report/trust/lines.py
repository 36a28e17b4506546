"""The drawings of the sheet: maps of a model that forgets, the curves of ROAD, and how far methods agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.drawing.sheet import FAINT, INK, PAPER, QUIET, Sheet
from activation_atlas.stages.report.heatmaps import colours
from activation_atlas.stages.report.trust.measured import RANDOM, fewer, number, span

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a67c00", "#56b4e9", "#7a4bb5", "#555555")
"""Of the lines (Okabe & Ito 2008, its yellow darkened and two added); beyond them the lines are dashed."""

CHANCE = {"random": (0, (1, 1.5)), "random_pixels": (0, (5, 1.5, 1, 1.5))}
"""Dots and dashes of the random maps, which are grey."""

WIDTH = 680
"""Of one drawing, in pixels."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of a table by the variant they are of."""


def style(names: Sequence[str], name: str) -> tuple[str, Any]:
    """Colour and dashes of a variant's line."""
    if name in RANDOM:
        return QUIET, CHANCE[name]
    place = names.index(name)
    return COLOURS[place % len(COLOURS)], None if place < len(COLOURS) else (0, (4, 2))


@dataclass(frozen=True)
class _Plot:
    """A drawing of ``height`` pixels: shares across, values from ``floor`` to 1 up."""

    sheet: Sheet
    left: float
    top: float
    height: float
    floor: float = 0.0

    def at(self, share: float, value: float) -> tuple[float, float]:
        up = (1 - value) / (1 - self.floor)
        return self.left + share * WIDTH, self.top + 20 + up * (self.height - 40)

    def frame(self, title: str, about: str, ticks: Mapping[float, str], across: str) -> None:
        self.sheet.text(self.left - 60, self.top - 40, title, 28, "semibold")
        self.sheet.text(self.left - 60, self.top - 10, about, 21, color=QUIET)
        for value in np.arange(np.ceil(5 * self.floor) / 5, 1.01, 0.2):
            y = self.at(0, value)[1]
            self.sheet.line([self.left, self.left + WIDTH], [y, y], INK if abs(value) < 1e-9 else FAINT, 1)
            self.sheet.text(self.left - 12, y + 7, number(value, 1), 20, ha="right", color=QUIET)
        below = self.top + self.height
        for share, words in ticks.items():
            self.sheet.text(self.left + share * WIDTH, below + 14, words, 20, ha="center", color=QUIET)
        self.sheet.text(self.left + WIDTH / 2, below + 42, across, 20, ha="center", color=QUIET)

    def band(self, shares: Sequence[float], low: Sequence[float], high: Sequence[float], color: str) -> None:
        """An interval that goes with a line."""
        ends = [[self.at(0, value)[1] for value in end] for end in (low, high)]
        self.sheet.band([self.at(share, 0)[0] for share in shares], *ends, color)

    def line(self, points: Sequence[tuple[float, float]], color: str, dashes: Any) -> None:
        self.sheet.line([p[0] for p in points], [p[1] for p in points], color, 3, dashes)

    def bar(self, x: float, low: float, high: float, color: str) -> None:
        self.sheet.line([x, x], [self.at(0, low)[1], self.at(0, high)[1]], color, 1.5)

    def cross(self, x: float, y: float, color: str) -> None:
        for up in (-6, 6):
            self.sheet.line([x - 6, x + 6], [y - up, y + up], color, 2.5)


def legend(sheet: Sheet, names: Sequence[str], shown: Sequence[str], left: float, top: float, columns: int = 2) -> None:
    """The lines of the variants ``shown``, among ``names``, which give them their colours."""
    wide = WIDTH / 2
    for place, name in enumerate(shown):
        color, dashes = style(names, name)
        x, y = left + place % columns * wide, top + 30 * (place // columns)
        sheet.line([x, x + 34], [y - 7, y - 7], color, 4, dashes)
        words = sheet.fitted(RANDOM.get(name, name), 21, wide - 60)
        sheet.text(x + 44, y, words, 21, color=QUIET if name in RANDOM else INK)


def forgetting(
    sheet: Sheet, cascades: Rows, chance: Rows, names: Sequence[str], left: float, top: float, height: float
) -> None:
    """Rank correlation with the model's own maps as more and more layers are shuffled."""
    images = span([row["images"] for rows in cascades.values() for row in rows])
    known = [row for rows in (*cascades.values(), *chance.values()) for row in rows if row["mean"] is not None]
    least = min([0, *(row["mean"] if row["low"] is None else row["low"] for row in known)])
    plot = _Plot(sheet, left, top, height, min(-0.2, np.floor(10 * least) / 10))
    about = f"rank correlation with the model's own maps, {images}"
    across = "layers shuffled, from the logits down; bars: 95 % intervals"
    plot.frame("Maps of a model that forgets", about, {0: "none", 0.5: "half", 1: "all"}, across)
    if any(fewer(row) for rows in cascades.values() for row in rows):
        marks = "hollow: maps without ranks (of one value, or not finite) are left out; cross: all are"
        sheet.text(left + WIDTH / 2, top + height + 68, marks, 20, ha="center", color=QUIET)
    for name, (row,) in chance.items():
        if row["mean"] is not None:
            color, dashes = style(names, name)
            plot.line([plot.at(share, row["mean"]) for share in (0, 1)], color, dashes)
            if row["low"] is not None:
                plot.band([0, 1], [row["low"]] * 2, [row["high"]] * 2, color)
    for place, (name, rows) in enumerate(cascades.items()):
        color, dashes = style(names, name)
        aside = (place - (len(cascades) - 1) / 2) * min(5, 40 / len(cascades))  # bars side by side
        points, hollow = [plot.at(0, 1.0)], []
        for row in sorted(rows, key=lambda r: r["depth"]):
            x, y = plot.at(row["depth"] / row["layers"], plot.floor if row["mean"] is None else row["mean"])
            if row["mean"] is None:
                plot.cross(x + aside, y, color)
                continue
            points.append((x + aside, y))
            hollow += [points[-1]] if fewer(row) else []
            if row["low"] is not None:
                plot.bar(x + aside, row["low"], row["high"], color)
        plot.line(points, color, dashes)
        sheet.dots([p[0] for p in points[1:]], [p[1] for p in points[1:]], 5, color)
        sheet.dots([p[0] for p in hollow], [p[1] for p in hollow], 2.5, PAPER)
    legend(sheet, names, [*cascades, *chance], left, top + height + above_legend(cascades))


def above_legend(cascades: Rows) -> float:
    """Pixels from the drawing to the first line of its legend: the marks are explained where there are any."""
    return 112 if any(fewer(row) for rows in cascades.values() for row in rows) else 84


ORDERS = {"morf": "ROAD, highest first", "lerf": "ROAD, lowest first"}


def removal(sheet: Sheet, curves: Rows, names: Sequence[str], kind: str, lefts: Sequence[float], top: float) -> None:
    """ROAD: the share of images that are still of the class, as more and more pixels are filled in; two drawings.

    Intervals are bars, of the random maps bands.
    """
    images = span([row["n"] for rows in curves.values() for row in rows])
    for (by, title), left in zip(ORDERS.items(), lefts, strict=True):
        plot = _Plot(sheet, left, top, 400)
        about = f"share still of the class; {'low' if by == 'morf' else 'high'} is good, {images}"
        ticks = {share / 100: f"{share} %" for share in (0, 20, 40, 60, 80, 100)}
        plot.frame(title, about, ticks, "pixels filled in; bars and bands: 95 % intervals")
        methods = [name for name in curves if name not in RANDOM]
        for name, rows in curves.items():
            color, dashes = style(names, name)
            rows = sorted(rows, key=lambda r: r["percent"])
            shares = [row["percent"] / 100 for row in rows]
            # Nothing is filled in: of the predicted class all are, of any other the table does not tell.
            points = [plot.at(0, 1.0)] if kind == "predicted" else []
            if name in RANDOM:
                plot.band(shares, *([row[f"{by}_{end}"] for row in rows] for end in ("low", "high")), color)
                aside = 0.0
            else:
                aside = (methods.index(name) - (len(methods) - 1) / 2) * min(5, 40 / len(methods))
            for share, row in zip(shares, rows, strict=True):
                x, y = plot.at(share, row[by])
                points.append((x + aside, y))
                if name not in RANDOM:
                    plot.bar(x + aside, row[f"{by}_low"], row[f"{by}_high"], color)
            plot.line(points, color, dashes)
            own = points[-len(rows) :]
            if name not in RANDOM:
                sheet.dots([p[0] for p in own], [p[1] for p in own], 5, color)
    legend(sheet, names, list(curves), lefts[0], top + 484, 4)


def matrix(sheet: Sheet, pairs: list, names: Sequence[str], left: float, top: float, space: float) -> None:
    """The matrix of rank correlations, a number in every cell; below it, each method's with a random map."""
    values = {(row["variant"], row["other"]): row["mean"] for row in pairs}
    chance = {row["variant"]: row["mean"] for row in pairs if row["other"] in RANDOM}
    images = span([row["n"] for row in pairs])
    sheet.text(left, top - 40, "Agreement of methods", 28, "semibold")
    words = f"mean rank correlation of maps of one image and class, {images}"
    sheet.text(left, top - 10, words, 21, color=QUIET)
    labels = min(230, max(sheet.span(name, 20) for name in (*names, _CHANCE)) + 20)
    cell = min(100.0, (space + 230 - labels) / len(names), (space - 6) / (len(names) + bool(chance)))
    size = float(np.clip(cell * 0.36, 12, 24))

    def show(j: int, y: float, value: float | None) -> None:
        color = tuple(colours(np.array(0.0 if value is None else value), 1.0))
        sheet.rectangle(left + labels + j * cell, y, cell, cell, color, "#ffffff")
        ink = "#ffffff" if value is not None and abs(value) > 0.65 else INK
        said = "–" if value is None else number(value, 2)
        sheet.text(left + labels + (j + 0.5) * cell, y + cell / 2 + 0.35 * size, said, size, color=ink, ha="center")

    bottom = top + 20 + len(names) * cell + (cell + 6 if chance else 0)
    for i, name in enumerate(names):
        y = top + 20 + i * cell
        sheet.text(left + labels - 12, y + cell / 2 + 7, sheet.fitted(name, 20, labels - 12), 20, ha="right")
        column = sheet.fitted(name, 20, 210)
        x = left + labels + i * cell
        sheet.text(x + cell / 2 + 7, bottom + 12, column, 20, ha="right", va="top", turn=45)
        for j, other in enumerate(names):
            if i == j:
                sheet.rectangle(x, y, cell, cell, FAINT, "#ffffff")
            else:
                show(j, y, values.get((name, other), values.get((other, name))))
        if name in chance:
            show(i, bottom - cell, chance[name])
    if chance:
        words = sheet.fitted(_CHANCE, 20, labels - 12)
        sheet.text(left + labels - 12, bottom - cell / 2 + 7, words, 20, ha="right", color=QUIET)


_CHANCE = "a random map"
