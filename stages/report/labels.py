"""Regions of an atlas that argue for the same class: what the class labels stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.report.evidence import Atlas, Grid, full_count

DISTINCT = 1.2
"""Standard deviations of a class's :func:`excess` over the map that a cell must exceed to be named after it."""

CROWDED = 6.0
"""Standardised :func:`crowding` that a name needs; high, for the positions of one photograph are not independent."""


@dataclass(frozen=True)
class Region:
    """Connected cells of one class.

    Attributes:
        class_index: the class they argue for.
        cells: indices into the grid's cells.
        x, y: centre of mass in cells, (0, 0) at the grid's upper left corner.
        weight: what it is ranked by: sum over its cells of :func:`naming` times the square root of the count.
    """

    class_index: int
    cells: tuple[int, ...]
    x: float
    y: float
    weight: float


def _near(grid: Grid, blur: float) -> np.ndarray:
    """(cells, cells): a Gaussian of ``blur`` cells, cut off at two and a half."""
    apart = (grid.x[:, None] - grid.x) ** 2 + (grid.y[:, None] - grid.y) ** 2
    return np.where(apart <= 8, np.exp(-apart / (2 * blur * blur)), 0.0)


def excess(grid: Grid, blur: float = 0.6) -> np.ndarray | None:
    """How much more each cell argues for each class than the atlas as a whole, in logits: (cells, attributed classes).

    A layer's attributions have a part that is the same nearly everywhere (some
    classes gain from almost any activation), which would put a few names all over
    the map; what sets a place apart is the rest. Each cell is averaged with its
    neighbours, weighted by counts, before the count-weighted mean of the atlas is
    taken away. None without attributions.
    """
    if grid.attribution is None or not len(grid):
        return None
    values = grid.attribution.astype(np.float64)
    weight = grid.count.astype(np.float64)
    near = _near(grid, blur) * weight
    return near @ values / near.sum(1, keepdims=True) - weight @ values / weight.sum()


def crowding(grid: Grid, blur: float = 0.6) -> np.ndarray | None:
    """How much denser than chance the photographs of each class lie in each cell: (cells, classes), standardised.

    (rows - expected) / sqrt(expected + 1) over a cell and its neighbours, with
    photographs counted as what the model takes them for. None where unknown.
    """
    if grid.present is None or not len(grid):
        return None
    near = _near(grid, blur)
    rows = near @ grid.present
    expected = rows.sum(1, keepdims=True) * (grid.present.sum(0) / grid.present.sum())
    return (rows - expected) / np.sqrt(expected + 1)


def naming(atlas: Atlas, grid: Grid) -> np.ndarray | None:
    """How well each attributed class names each cell: (cells, attributed classes); 0 where it does not.

    A name must hold twice: the place argues for the class more than the rest of
    the map does (:func:`excess`), and photographs of the class crowd there
    (:func:`crowding`), for a name should fit what is seen. Both must stand out
    (:data:`DISTINCT`, :data:`CROWDED`): better no name than a doubtful one. The score
    is the crowding times the square root of the excess relative to the cell's best.
    Without predictions or with a single cell the excess alone decides.
    """
    values = excess(grid)
    if values is None:
        return None
    if len(grid) == 1:
        return np.maximum(grid.attribution.astype(np.float64), 0.0)
    best = np.maximum(values.max(1, keepdims=True), 1e-12)
    crowd = crowding(grid)
    if crowd is None:
        return np.maximum(values, 0.0)
    crowd = crowd[:, atlas.attributed]
    holds = (crowd >= CROWDED) & (values >= DISTINCT * values.std(0))
    return np.where(holds, crowd * np.sqrt(np.clip(values / best, 0.0, 1.0)), 0.0)


def regions(atlas: Atlas, grid: Grid, share: float = 0.6, top: int = 8, most: int = 400) -> list[Region]:
    """Regions by falling weight; every cell belongs to one at most.

    A cell may speak for any of its ``top`` classes by :func:`naming`, if it
    reaches ``share`` of its best: neighbouring cells that differ in which of two
    close classes comes first are still one region. The heaviest connected region
    of all classes is taken first, its cells are given away, and so on. Cells below
    the atlas's ``min_count``, or of less than a quarter of the rows that fill a
    tile, belong to none: a handful of rows may be one photograph.
    """
    values = naming(atlas, grid)
    if values is None:
        return []
    least = max(atlas.min_count, full_count(grid, atlas.min_count) / 4)
    offers: dict[int, dict[int, float]] = {}
    first = np.argsort(-values, axis=1, kind="stable")[:, :top]
    for k, columns in enumerate(first):
        best = values[k, columns[0]]
        if grid.count[k] < least or not best > 0:
            continue
        for j in columns:
            if values[k, j] >= share * best:
                offers.setdefault(atlas.attributed[j], {})[k] = float(values[k, j] * np.sqrt(grid.count[k]))
    at = {(int(x), int(y)): k for k, (x, y) in enumerate(zip(grid.x, grid.y, strict=True))}
    near = [
        [at[p] for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx or dy) and (p := (int(x) + dx, int(y) + dy)) in at]
        for x, y in zip(grid.x, grid.y, strict=True)
    ]
    best_of = {c: _heaviest(cells, near) for c, cells in offers.items()}
    found: list[Region] = []
    while best_of and len(found) < most:
        index = min(best_of, key=lambda c: (-best_of[c][0], c))
        weight, cells = best_of.pop(index)
        w = np.array([offers[index][k] for k in cells])
        x = float(np.average(grid.x[cells] + 0.5, weights=w))
        y = float(np.average(grid.y[cells] + 0.5, weights=w))
        found.append(Region(index, tuple(cells), x, y, weight))
        taken = set(cells)
        for c in [c for c, offer in offers.items() if not taken.isdisjoint(offer)]:
            offers[c] = {k: v for k, v in offers[c].items() if k not in taken}
            best_of.pop(c, None)
            if offers[c]:
                best_of[c] = _heaviest(offers[c], near)
    return found


def _heaviest(cells: dict[int, float], near: Sequence[Sequence[int]]) -> tuple[float, list[int]]:
    """The connected component of largest weight: (weight, sorted cells)."""
    left, best = set(cells), (0.0, [])
    for start in sorted(cells):
        if start not in left:
            continue
        left.discard(start)
        component, todo = [], [start]
        while todo:
            k = todo.pop()
            component.append(k)
            for j in near[k]:
                if j in left:
                    left.discard(j)
                    todo.append(j)
        component.sort()
        weight = float(sum(cells[k] for k in component))
        if weight > best[0]:
            best = (weight, component)
    return best


def worth_naming(found: Sequence[Region], grid: Grid, most: int = 48) -> list[Region]:
    """The regions a poster names: large ones, and each class in two places at most.

    On fine grids a single cell is not a region; on coarse ones (up to 12 cells a side) it may be.
    """
    least = 1 if grid.n <= 12 else 2
    chosen: list[Region] = []
    for region in found:
        same = [r for r in chosen if r.class_index == region.class_index]
        apart = all(np.hypot(r.x - region.x, r.y - region.y) > grid.n / 4 for r in same)
        if len(region.cells) >= least and len(same) < 2 and apart:
            chosen.append(region)
        if len(chosen) == most:
            break
    return chosen


Rect = tuple[float, float, float, float]


def clashes(rect: Rect, others: Sequence[Rect]) -> bool:
    """Whether a rectangle (left, top, right, bottom) overlaps one of the others."""
    return any(rect[0] < o[2] and o[0] < rect[2] and rect[1] < o[3] and o[1] < rect[3] for o in others)


def wrapped(name: str, width: int = 16, lines: int = 2) -> str:
    """A class name over at most ``lines`` lines of about ``width`` characters, the rest cut to an ellipsis."""
    words, rows = " ".join(name.replace("_", " ").split()).split(" "), [""]
    for word in words:
        if rows[-1] and len(rows[-1]) + 1 + len(word) > width:
            rows.append("")
        rows[-1] = (rows[-1] + " " + word).strip()
    rows = [r if len(r) <= width + 6 else r[: width + 5] + "…" for r in rows]
    if len(rows) > lines:
        rows = rows[:lines]
        rows[-1] = rows[-1].rstrip("…")[: width + 5] + "…"
    return "\n".join(rows)
