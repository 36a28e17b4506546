"""How far the heat of a class can be trusted: what ``validity`` measured, in words and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.report.classview import NAMES
from stages.report.evidence import Atlas, Grid
from stages.stage import Inputs

LITTLE = 0.2
"""Correlations below say little; as do those whose interval reaches 0."""

KINDS = {"predicted": "taken for", "label": "labelled", "group": "of the group of"}
"""What the photographs are to the class, by ``validity``'s kinds; the first that was measured is told."""

Row = Mapping[str, Any]


def read_validity(inputs: Inputs, atlases: Sequence[Atlas]) -> None:
    """:attr:`Atlas.validity` of each atlas; empty where it was not measured."""
    for atlas in atlases:
        if inputs.parts(f"validity/{atlas.name}"):
            rows = inputs.table(f"validity/{atlas.name}").to_pylist()
            atlas.validity = [r for r in rows if r["correlation"] is not None and np.isfinite(r["correlation"])]


def _of(atlas: Atlas, n: int, statistic: str) -> list[Row]:
    return [r for r in atlas.validity if r["grid"] == n and r["statistic"] == statistic]


def _medians(rows: Sequence[Row]) -> list[Row]:
    """The rows over all classes, in the order of :data:`KINDS`."""
    whole = [r for r in rows if r["class"] is None and r["group"] is None and r["kind"] in KINDS]
    return sorted(whole, key=lambda r: list(KINDS).index(r["kind"]))


def little(row: Row) -> bool:
    """Whether heat of such a validity says little about where a class's photographs lie."""
    return not row["correlation"] >= LITTLE or not (row["low"] is None or row["low"] > 0)


def sentence(atlas: Atlas, grid: Grid, statistic: str) -> str:
    """What holds over all classes, in plain words; empty where it was not measured."""
    found = _medians(_of(atlas, grid.n, statistic))
    if not found:
        return ""
    row = found[0]
    of = {"predicted": "taken for a class", "label": "labelled as a class", "group": "of a class’s group"}[row["kind"]]
    lie = f"where the photographs {of} lie"
    told = f"median correlation over {row['classes']:,} classes {interval(row)}"
    if little(row):
        return f"this heat says little about {lie}, {told}."
    told = f"{told} with {lie}"
    return (
        f"{told}; the warmest cells hold {row['lift']:.1f} times the map’s share of them."
        if _finite(row["lift"])
        else f"{told}."
    )


def own(atlas: Atlas, grid: Grid, statistic: str) -> dict[str, list[Any]]:
    """class index -> correlation, its bounds, lift, whether that is little, of the classes with a row of their own."""
    found: dict[str, list[Any]] = {}
    rows = [r for r in _of(atlas, grid.n, statistic) if r["class"] is not None]
    for kind in reversed(KINDS):
        for row in (r for r in rows if r["kind"] == kind):
            numbers = [round(row[k], 2) if _finite(row[k]) else None for k in ("correlation", "low", "high", "lift")]
            found[str(row["class"])] = [*numbers, int(little(row)), kind]
    return found


def facts(atlas: Atlas) -> list[dict[str, Any]]:
    """Rows of a table: grid, what the statistic is held against, and of each statistic what was measured."""
    found = []
    for grid in atlas.grids:
        rows = [r for r in atlas.validity if r["grid"] == grid.n and r["class"] is None]
        kinds = {(r["group"] or "", r["kind"]) for r in rows}
        for group, kind in sorted(kinds):
            of = {r["statistic"]: r for r in rows if (r["group"] or "", r["kind"]) == (group, kind)}
            first = next(iter(of.values()))
            found.append(
                {
                    "grid": grid.n,
                    "against": group or {"predicted": "predicted classes", "label": "labels", "group": "groups"}[kind],
                    "classes": first["classes"],
                    "photographs": first["photographs"],
                    "of": {name: _numbers(of.get(name)) for name in NAMES},
                }
            )
    return found


def _numbers(row: Row | None) -> dict[str, str] | None:
    if row is None:
        return None
    lift = f"{row['lift']:.1f}" if _finite(row["lift"]) else ""
    if lift and _finite(row["lift_low"]):
        lift += f" [{row['lift_low']:.1f}, {row['lift_high']:.1f}]"
    return {"correlation": interval(row, "[", ", ", "]"), "lift": lift}


def interval(row: Row, before: str = "(95 %: ", between: str = " to ", after: str = ")") -> str:
    """A correlation with its interval where it has one."""
    told = decimal(row["correlation"])
    if _finite(row["low"]) and _finite(row["high"]):
        told += f" {before}{decimal(row['low'])}{between}{decimal(row['high'])}{after}"
    return told


def decimal(value: float) -> str:
    """A correlation with two digits, a true minus and no zero before the point."""
    text = f"{value:.2f}".replace("-0.", "−.")
    return text[1:] if text.startswith("0.") else "0" if text == "−.00" else text


def _finite(value: Any) -> bool:
    return value is not None and bool(np.isfinite(value))
