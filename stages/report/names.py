"""Names of cells, as the table ``names`` has them: each inside its cell, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activation_atlas.stages.report.evidence import Atlas, Grid
from activation_atlas.stages.stage import Inputs

LISTED = 5
"""Names of a cell that the page lists; the table has all."""

DRAWN = 48
"""Names on a map: more would hide it."""


@dataclass(frozen=True)
class Name:
    """What a cell may be called.

    Attributes:
        text: the class's or the group's name. group: whether it is a group's.
        class_index: None for a group.
        images: distinct photographs that rank it high there, of which ``expected`` at the map's rate.
        q_value: of that, the multiple testing over cells and names controlled.
        lift: share of the cell's rows from photographs taken for it, over the map's; None where not known.
        odds: of its positions there to rank it high, at least so many times the map's.
    """

    text: str
    group: bool
    class_index: int | None
    images: int
    expected: float
    q_value: float
    lift: float | None
    odds: float


def read_names(inputs: Inputs, atlases: Sequence[Atlas]) -> None:
    """:attr:`Grid.names` of each grid: per cell what it may be called, best first; no names where there is no table."""
    for atlas in atlases:
        for grid in atlas.grids:
            grid.names = [[] for _ in range(len(grid))]
        if not inputs.parts(f"names/{atlas.name}"):
            continue
        at = {(g.n, int(x), int(y)): found for g in atlas.grids for x, y, found in zip(g.x, g.y, g.names, strict=True)}
        for row in sorted(inputs.table(f"names/{atlas.name}").to_pylist(), key=lambda r: r["place"]):
            place = at.get((row["grid"], row["cell_x"], row["cell_y"]))
            if place is not None:
                group = row["kind"] == "group"
                place.append(
                    Name(
                        row["name"] if group else atlas.label(row["class"]), group, None if group else row["class"],
                        row["images"], row["expected"], row["q_value"], row["lift"], _odds(row["low"], row["rate"]),
                    )
                )  # fmt: skip


def _odds(low: float, rate: float) -> float:
    return low * (1 - rate) / max(rate * (1 - low), 1e-12)


def drawn(atlas: Atlas, grid: Grid, most: int = DRAWN) -> list[tuple[int, Name]]:
    """The cells that are named on a map and their names, by falling odds.

    Of near cells of one name the best alone is named; of a class atlas its own class is what the title says.
    """
    own = atlas.own_classes if atlas.kind == "class" else []
    offers = [(k, names[0]) for k, names in enumerate(grid.names) if names and names[0].class_index not in own]
    offers.sort(key=lambda o: (-o[1].odds, o[0]))
    near, found = max(1, grid.n // 10), []
    for k, name in offers:
        same = [j for j, other in found if (other.group, other.text) == (name.group, name.text)]
        if all(max(abs(grid.x[k] - grid.x[j]), abs(grid.y[k] - grid.y[j])) > near for j in same):
            found.append((k, name))
    return found[:most]


def listed(found: Sequence[Name]) -> list[list[Any]]:
    """For the page: name (None: the class's), class index, photographs, how many expected, q, lift."""
    return [
        [
            n.text if n.group else None, n.class_index, n.images, float(f"{n.expected:.2g}"), round(n.q_value, 3),
            None if n.lift is None else round(n.lift, 1),
        ]
        for n in found[:LISTED]
    ]  # fmt: skip
