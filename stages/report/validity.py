"""How far the heat of a class can be trusted: what ``validity`` measured, in words and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.report.classview import NAMES, possible
from activation_atlas.stages.report.evidence import Atlas, Grid
from activation_atlas.stages.stage import Inputs

LITTLE = 0.2
"""Correlations below say little; those whose interval reaches 0 may."""

KINDS = ("predicted", "label", "group")
"""What makes a photograph one of a class's, the first that was measured told first."""

MOST = 12
"""Rows of a table on the page."""

Row = Mapping[str, Any]


def read_validity(inputs: Inputs, atlases: Sequence[Atlas]) -> None:
    """:attr:`Atlas.validity` of each atlas; empty where it was not measured."""
    for atlas in atlases:
        if inputs.parts(f"validity/{atlas.name}"):
            atlas.validity = inputs.table(f"validity/{atlas.name}").to_pylist()


def _of(atlas: Atlas, grid: Grid, statistic: str) -> list[Row]:
    """What is known of a statistic on a grid: first what it was chosen by, then in the order of :data:`KINDS`."""
    rows = [r for r in atlas.validity if r["grid"] == grid.n and r["statistic"] == statistic]
    first = "group" if atlas.over == "groups" else ""
    known = (r for r in rows if finite(r["correlation"]))
    return sorted(known, key=lambda r: (r["kind"] != first, KINDS.index(r["kind"])))


def little(row: Row) -> int:
    """1 where heat of such a validity says little about where a class's photographs lie, 2 where it may; else 0."""
    return 1 if row["correlation"] < LITTLE else 2 if finite(row["low"]) and row["low"] <= 0 else 0


def sentence(atlas: Atlas, grid: Grid, statistic: str) -> str:
    """What holds over all classes (or groups), in plain words; empty where it was not measured."""
    row = next((r for r in _of(atlas, grid, statistic) if r["class"] is None and r["group"] is None), None)
    if row is None:
        return ""
    whose = {"predicted": "taken for a class", "label": "labelled as a class", "group": "of a class’s group"}
    one, more = ("group", "groups of classes") if row["kind"] == "group" else ("class", "classes")
    over = plural(row["classes"], one, more)
    lie, told = f"where the photographs {whose[row['kind']]} lie", f"median correlation over {over} {interval(row)}"
    if little(row):
        return f"this heat {('says', 'may say')[little(row) - 1]} little about {lie}, {told}."
    warm = f"; the warmest cells hold {row['lift']:.1f} times the map’s share of them" if finite(row["lift"]) else ""
    return f"{told} with {lie}{warm}."


def own(atlas: Atlas, grid: Grid, statistic: str) -> tuple[dict[int, list[Any]], dict[str, list[Any]]]:
    """What is known of single classes (by index) and of groups (by name).

    Each: correlation, its bounds, lift (None where not known), :func:`little`, and the kind.
    """
    classes: dict[int, list[Any]] = {}
    groups: dict[str, list[Any]] = {}
    for row in _of(atlas, grid, statistic):
        numbers = [round(row[k], 2) if finite(row[k]) else None for k in ("correlation", "low", "high", "lift")]
        if row["class"] is not None:
            classes.setdefault(row["class"], [*numbers, little(row), row["kind"]])
        elif row["group"] is not None:
            groups[row["group"]] = [*numbers, little(row), row["kind"]]
    return classes, groups


def facts(atlas: Atlas) -> dict[str, Any] | None:
    """A short table of one grid, the coarsest that was measured; None where none was.

    ``rows``: what the heat is held against, of how many classes, the correlation of each statistic, and the lift of
    the one that is shown, ``shown``. ``more``: further groups, left out.
    """
    grid = next((g for g in atlas.grids if any(r["grid"] == g.n for r in atlas.validity)), None)
    if grid is None:
        return None
    shown, found = possible(atlas, grid)[0], []
    rows = [r for r in atlas.validity if r["grid"] == grid.n and r["class"] is None]
    for group, place in sorted({(r["group"] or "", KINDS.index(r["kind"])) for r in rows}):
        of = {r["statistic"]: r for r in rows if (r["group"] or "", r["kind"]) == (group, KINDS[place])}
        against, row = group or ("predicted classes", "labels", "groups")[place], next(iter(of.values()))
        of = {name: r for name, r in of.items() if finite(r["correlation"])}
        lift = of[shown]["lift"] if shown in of and finite(of[shown]["lift"]) else None
        told = "" if lift is None else f"{lift:.1f}"
        if told and finite(of[shown]["lift_low"]):
            told += f" [{of[shown]['lift_low']:.1f}, {of[shown]['lift_high']:.1f}]"
        correlations = {name: interval(of[name], "[", ", ", "]") if name in of else "" for name in NAMES}
        found.append({"against": against, "classes": row["classes"], "of": correlations, "lift": told})
    return {"grid": grid.n, "shown": shown, "rows": found[:MOST], "more": len(found[MOST:])}


def interval(
    row: Row, before: str = "(95 %: ", between: str = " to ", after: str = " with very many photographs)"
) -> str:
    """A correlation with the interval of what it would be of very many photographs, where that is known."""
    told = decimal(row["correlation"])
    if finite(row["low"]) and finite(row["high"]):
        told += f" {before}{decimal(row['low'])}{between}{decimal(row['high'])}{after}"
    return told


def decimal(value: float) -> str:
    """A correlation with two digits, a true minus and no zero before the point."""
    text = f"{abs(value):.2f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + (text.removeprefix("0") if float(text) else "0")


def finite(value: Any) -> bool:
    return value is not None and bool(np.isfinite(value))
