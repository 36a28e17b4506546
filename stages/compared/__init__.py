"""Two runs held against each other: where images went, what the model gets right, what it leans on.

Two runs of one model are seen over one layout, the first's: each row of the second is placed by it. Of two models each
keeps its own atlas, and what both have seen links them. Everything is counted by image: the positions of one image are
not independent of one another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from activation_atlas.stages.compared.cues import matched, regions
from activation_atlas.stages.compared.links import Units, linked, units
from activation_atlas.stages.compared.population import SURE, Population, shifted
from activation_atlas.stages.compared.runs import Pairs, Run, argued, pairs, read_rows, read_run
from activation_atlas.stages.compared.sets import Values, changes, turned
from activation_atlas.stages.compared.similarity import Alike, alike, features
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.drawing.written import check_folder
from activation_atlas.stages.specs import ViewSpec

__all__ = ["Compared", "Given", "Layouts", "check_folder", "compared", "pairs", "read_run"]

Layouts = Callable[[], Iterator[pa.Table]]
Photograph = Callable[[int, str], Any]


@dataclass(frozen=True)
class Given:
    """One run to compare.

    Attributes:
        run: its images.
        view: the atlas; None without one.
        grid: cells along a side.
        layouts: the atlas's own layout, part by part; None where the run has none.
    """

    run: Run
    view: ViewSpec | None = None
    grid: int = 20
    layouts: Layouts | None = None


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        names: of both runs.
        images: of either that have a prediction. shared: of these in both. changed: images of one id that are not the
            same any more.
        tables: by name: ``sets`` always; ``cells`` over one layout, ``links`` between two; ``cues`` where both runs
            were audited. Every column is described in :mod:`.described`.
        population: of one layout. alike, units: of two models.
        margin: by how much a share may fall that counts as no worse.
        notes: what could not be compared, and why.
    """

    names: tuple[str, str]
    images: tuple[int, int]
    shared: int
    changed: int
    tables: dict[str, pa.Table]
    population: Population | None = None
    alike: Alike | None = None
    units: Units | None = field(default=None, repr=False)
    grids: tuple[int, int] = (0, 0)
    margin: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def worse(self) -> list[str]:
        """What surely got worse, a sentence each: accuracy of all, of classes, groups and slices, and findings."""
        from activation_atlas.stages.compared.wording import worse

        return worse(self)

    @property
    def shifted(self) -> list[str]:
        """How the images have surely changed, a sentence each: all cells together, and the shares of classes and
        groups."""
        from activation_atlas.stages.compared.wording import composition, population

        found = self.population
        return ([population(self)] if found and found.p_value < SURE else []) + composition(self)

    def lines(self) -> list[str]:
        """What was found, for a terminal."""
        from activation_atlas.stages.compared.wording import said

        return said(self)

    def write(self, out: str | os.PathLike[str], photograph: Photograph = lambda which, image_id: None) -> list[str]:
        """Writes the page (``compare.html``), the figure and the tables into a folder; their names.

        Args:
            photograph: (0 or 1, image_id) -> an image of that run for the page, None where it cannot be read.

        Raises:
            UserError: it is no folder, and cannot become one.
        """
        from activation_atlas.stages.compared.page import written

        check_folder(folder := Path(out))
        folder.mkdir(parents=True, exist_ok=True)
        files = written(self, photograph)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return list(files)


def compared(
    first: Given,
    second: Given,
    shared: Pairs,
    *,
    placed: tuple[Layouts, Layouts] | None = None,
    positions: bool = False,
    margin: float = 0.0,
    notes: Sequence[str] = (),
) -> Compared:
    """Two runs.

    Args:
        placed: the rows of both runs by the first's layout, all placed alike; None of two models.
        positions: of two models, whether a place in the one layer's map is the same place in the other's.
        margin: by how much a share may fall that counts as no worse, in [0, 1).
        notes: what could not be compared, and why.
    """
    one, two = first.run, second.run
    notes = (*notes, *_remarks(one, two, shared))
    values = _values(first, second)
    tables = {"sets": changes(one, two, shared, values)}
    if len(shared) and values.predicted is not None:
        tables["images"] = turned(one, two, shared, values.predicted)
    found: dict[str, Any] = {"grids": (first.grid, second.grid)}
    if first.view is not None and second.view is not None and first.layouts is not None:
        rows = read_rows(one, first.layouts)
        own = read_rows(two, second.layouts) if second.layouts is not None else None
        there = read_rows(two, placed[1]) if placed is not None else None
        if placed is not None and there is not None:
            found["population"] = shifted(one, two, read_rows(one, placed[0]), there, shared, first.grid)
            tables["cells"] = found["population"].table
        elif own is not None and len(shared):
            grids = first.grid, second.grid
            found["units"] = units(rows, own, shared, grids, positions)
            tables["links"] = linked(found["units"], grids)
        if own is not None and one.inputs.parts("cues") and two.inputs.parts("cues"):
            # Over one layout both audits are of what the second run holds; of two models, of the images they share.
            seen = [(there, there.codes()), (own, own.codes())] if there is not None else []
            seen = seen or [
                (some, some.codes(mine, positions)) for some, mine in ((rows, shared.one), (own, shared.two))
            ]
            audits = [
                regions(given.run, given.view.name, code, some)
                for given, (some, code) in zip((first, second), seen, strict=True)
                if given.view is not None
            ]
            tables["cues"] = matched(*audits)
    if placed is None and first.view is not None and second.view is not None and len(shared):
        found["alike"] = alike(*features(one, two, (first.view.layer, second.view.layer), shared))
    return Compared(
        (one.name, two.name), (len(one), len(two)), len(shared), shared.changed, tables,
        margin=margin, notes=notes, **found,
    )  # fmt: skip


def _remarks(one: Run, two: Run, shared: Pairs) -> list[str]:
    """What else has to be known."""
    said = []
    if one.measured or two.measured:
        said.append("answers are numbers: neither accuracy nor predictions are compared")
    other = int((one.labels()[shared.one] != two.labels()[shared.two]).sum())
    if other:
        said.append(f"{plural(other, 'shared image has', 'shared images have')} another label in the second run")
    return said


def _values(first: Given, second: Given) -> Values:
    one, two = first.run, second.run
    mine = argued(one, first.view) if first.view is not None else None
    theirs = argued(two, second.view) if second.view is not None else None
    both = (mine, theirs) if mine is not None and theirs is not None else None
    measured = one.measured or two.measured
    return Values((one.correct, two.correct), both, None if measured else (one.predictions(), two.predictions()))
