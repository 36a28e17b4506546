"""activations + cells -> evidence: regions of the atlas that speak for a class, and which of them look like shortcuts.

What images of other classes hold for a class is foreign evidence. An object's own parts are found in its own images;
what speaks for a class wherever it is found, and is found in the images of many, is a candidate for a shortcut. So is
what a class's own images alone have, where it is at one place in all of them, or outside the object: so is a
photographer's mark, and no part of a thing. They are no more than that: an unseen patch argues for something in any
network, and :mod:`stages.trials` tells them apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.audited import rows_of
from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.evidence.occurrences import Exemplars, Occurrences, constancy, distinct
from activation_atlas.stages.evidence.outside import outside
from activation_atlas.stages.evidence.regions import Region, regions, strength
from activation_atlas.stages.evidence.sums import Side, Sums
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.sources.boxes import columns_of
from activation_atlas.stages.sources.masks import listed
from activation_atlas.stages.specs import PositiveInt, ReadImages, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Stage, one_shard

FOREIGN, OWN = 4, 3
"""Regions of a class that are kept: of what other classes' images hold for it, and of what its own do."""
CONSTANT, APART = 0.4, 0.9
"""From which constancy of its place, or share outside the object, on a region of a class's own images alone is tested;
of every so many candidates at most one is such."""
OWN_SHARE = 4
SAMPLED = 200
"""Positions of a region of which it is asked whether they lie outside the object."""


class Params(Spec):
    """Everything the evidence depends on."""

    view: ViewSpec
    grid: PositiveInt
    candidates: PositiveInt
    exemplars: PositiveInt
    seed: int = 0
    images: ReadImages | None = Field(None, description="read only where boxes or masks say where the things are")
    boxes: tuple[str, ...] = ()
    masks: str | None = Field(None, exclude=True)
    masks_stamp: str | None = None


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    section, atlas = asked.config.audit, asked.searched
    if section is not None and atlas is not None:
        values = {"candidates": section.candidates, "exemplars": section.exemplars, "seed": asked.config.run.seed}
        if (told := asked.config.evaluate) is not None and (told.boxes is not None or told.masks is not None):
            stamps = sorted(listed(told.masks, "evaluate.masks").items()) if told.masks is not None else None
            stamp = hashlib.sha256(json.dumps(stamps).encode()).hexdigest() if stamps else None
            values |= {"images": asked.images, "boxes": columns_of(told.boxes), "masks": told.masks}
            values["masks_stamp"] = stamp
        yield "", {"view": atlas.view, "grid": asked.audited_grid, **values}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """All regions of one atlas, the most suspicious first."""
    extract, view = inputs.state("extract", ""), params.view
    table = inputs.table(f"grids/{view.name}", ["grid", "cell_x", "cell_y"])
    table = table.filter(pa.array(table["grid"].to_numpy() == params.grid)).combine_chunks()
    columns, grids = [int(k) for k in extract["attributed"]], Grids(table)
    layer = extract["layers"][view.layer]
    if extract["top"]:
        inputs.note("audit: of each image the attributions of few classes are known; for all others they count as 0")
    size = layer["height"], layer["width"]
    sums, sampled = Sums(len(table), len(columns)), np.zeros(size, np.int64)
    wrong = labelled = images = 0
    of_class = np.zeros(len(columns), np.int64)
    for rows in rows_of(inputs, view, extract, grids, params.seed):
        sums.add(rows)
        searched = ~rows.images.held[rows.image]
        np.add.at(sampled, (rows.row[searched], rows.col[searched]), 1)
        there = np.unique(rows.image)
        images += len(there)
        of_class += rows.images.own[there].sum(0)
        known = rows.images.labelled & rows.images.held
        labelled += int(known[there].sum())
        wrong += int((rows.images.wrong & known)[there].sum())
    own, foreign = sums.sides()
    x, y = (table[name].to_numpy().astype(np.int64) for name in ("cell_x", "cell_y"))
    found = distinct(
        sorted(regions(strength(foreign), x, y, FOREIGN, True), key=lambda r: -r.strength)
        + regions(strength(own), x, y, OWN, False)
    )
    seen = [Occurrences(region, len(table), size, SAMPLED if params.images else 0) for region in found]
    for rows in rows_of(inputs, view, extract, grids, params.seed):
        for each in seen:
            each.add(rows, params.seed)
    away: list[float | None] = [None] * len(seen)
    if params.images is not None:
        members = [each.bearing.members for each in seen]
        away = outside(inputs, extract, layer, params.images, params.boxes, params.masks, members)
    places = [_known(constancy(each.places, sampled)) for each in seen]
    order, count = chosen(found, places, away, params.candidates)
    lent = {k: Exemplars(found[k], len(table)) for k in order[:count]}
    for rows in rows_of(inputs, view, extract, grids, params.seed):
        for kept in lent.values():
            kept.add(rows, params.seed)
    cells = [{name: table[name][k].as_py() for name in ("grid", "cell_x", "cell_y")} for k in range(len(table))]
    made = []
    for k, place in enumerate(order):
        one, tried = seen[place], lent.get(place)
        region, column = one.region, one.region.column
        near = list(region.cells)
        mean, error, won = _pooled(foreign, near, column)
        others = images - int(of_class[column])
        base = wrong / labelled if labelled else 0
        made.append(
            {
                "candidate": k,
                "class": columns[column],
                "origin": "foreign" if region.foreign else "own",
                "atlas": view.name,
                "cells": [cells[c] for c in near],
                "rows": int(sums.rows[near].sum()),
                "images": one.images,
                "own_images": one.own,
                "other_images": one.images - one.own,
                "foreign_rows": int(foreign.rows[near, column].sum()),
                "suspicion": region.strength if region.foreign else None,
                "foreign": mean,
                "foreign_se": error,
                "won": won,
                "own": _pooled(own, near, column)[0],
                "own_share": one.own / int(of_class[column]) if of_class[column] else None,
                "other_share": (one.images - one.own) / others if others else None,
                "error_lift": one.wrong / one.labelled / base if one.labelled and base else None,
                "constancy": places[place],
                "outside": away[place],
                "typical": tried.own.median if tried else None,
                "tested": tried is not None,
                "exemplars": _members(tried.own.upper_half(params.exemplars)) if tried else [],
                "others": _members(tried.others.upper_half(OTHERS)) if tried else [],
            }
        )
    return {"evidence": pa.Table.from_pylist(made, schema=tables.evidence())}


OTHERS = 50
"""Positions of other cells that speak for the class, as controls."""


def chosen(
    found: list[Region], places: list[float | None], away: list[float | None], candidates: int
) -> tuple[list[int], int]:
    """The order of the regions, those that are put to the test first, and how many these are.

    Args:
        found: foreign ones first, by falling strength.
        places: constancy of each. away: the share of each that lies outside the object (None: not known).
        candidates: foreign ones that are tested; and a quarter of as many of a class's own.
    """
    odd = [max(place or 0.0, out or 0.0) for place, out in zip(places, away, strict=True)]
    foreign = [k for k, region in enumerate(found) if region.foreign]
    own = sorted(
        (k for k, region in enumerate(found) if not region.foreign), key=lambda k: (-found[k].strength * odd[k], k)
    )
    able = [k for k in own if (places[k] or 0) >= CONSTANT or (away[k] or 0) >= APART][: candidates // OWN_SHARE]
    tested = foreign[:candidates] + able
    return tested + [k for k in range(len(found)) if k not in set(tested)], len(tested)


def _pooled(side: Side, cells: list[int], column: int) -> tuple[float | None, float | None, float | None]:
    """Mean, standard error and share won over several cells' rows; errors of cells are taken for independent."""
    rows = side.rows[cells, column]
    if not rows.sum():
        return None, None, None
    share = rows / rows.sum()
    mean, won = ((np.nan_to_num(values[cells, column]) * share).sum() for values in (side.mean, side.won))
    error = np.sqrt((np.nan_to_num(side.error[cells, column]) ** 2 * share**2).sum())
    return float(mean), float(error), float(won)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _members(members: list[tuple[str, int, int, float]]) -> list[dict[str, Any]]:
    return [{"image_id": i, "row": r, "col": c} for i, r, c, _ in members]


def _reads(params: Params) -> dict[str, Any]:
    view = params.view
    names = f"grids/{view.name}", f"layouts/{view.name}", view.rows_table, "images", "predictions"
    return dict.fromkeys(names, "all")


STAGE = Stage(
    name="evidence",
    version=2,
    about="regions of an atlas that speak for a class, and which of them may be shortcuts",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: ("evidence",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy", "scipy"),
    steps=_steps,
)
