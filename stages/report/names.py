"""Names of cells, as the table ``names`` has them: each inside its cell, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stages.report.evidence import Atlas, Grid
from stages.stage import Inputs

LISTED = 5
"""Names of a cell that the page lists; the table has all."""


@dataclass(frozen=True)
class Name:
    """What a cell may be called.

    Attributes:
        text: the class's or the group's name. group: whether it is a group's.
        class_index: None for a group.
        images: distinct photographs that rank it high there, of which ``expected`` at the map's rate.
        q_value: of that, the multiple testing over cells and names controlled.
        lift: share of the cell's rows from photographs taken for it, over the map's; None where not known.
    """

    text: str
    group: bool
    class_index: int | None
    images: int
    expected: float
    q_value: float
    lift: float | None


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
                        row["images"], row["expected"], row["q_value"], row["lift"],
                    )
                )  # fmt: skip


def drawn(atlas: Atlas, grid: Grid) -> list[tuple[int, Name]]:
    """The cells that are named on a map and their names, those of most photographs first.

    Of neighbours of one name the first alone is named; of a class atlas its own class is what the title says already.
    """
    own = atlas.own_classes if atlas.kind == "class" else []
    offers = [(k, names[0]) for k, names in enumerate(grid.names) if names and names[0].class_index not in own]
    offers.sort(key=lambda o: (-o[1].images, -(o[1].lift or 0), o[0]))
    found: list[tuple[int, Name]] = []
    for k, name in offers:
        beside = (j for j, other in found if (other.group, other.text) == (name.group, name.text))
        if not any(max(abs(grid.x[k] - grid.x[j]), abs(grid.y[k] - grid.y[j])) <= 1 for j in beside):
            found.append((k, name))
    return found


def reason(name: Name) -> str:
    """Why a cell is called so."""
    expected = f"{name.expected:.1f}" if name.expected >= 0.095 else f"{name.expected:.1g}"
    told = f"{name.images} photographs rank it high here, {expected} expected"
    if name.lift is not None:
        told += f"; {name.lift:.1f} times the map’s share of {name.text} photographs"
    q = "< .001" if name.q_value < 0.0005 else "= " + f"{name.q_value:.3f}".removeprefix("0")
    return f"{told}; q {q}"
