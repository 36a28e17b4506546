"""activations + cells -> evidence: regions of the atlas that speak for a class, and which of them look like shortcuts.

What images of other classes hold for a class is foreign evidence. An object's own parts are found in its own images;
what speaks for a class wherever it is found, and is found in the images of many, is a candidate for a shortcut. It is
no more than that: an unseen patch argues for something in any network, and :mod:`stages.trials` tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.audited import rows_of
from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.evidence.occurrences import Occurrences, constancy, distinct
from activation_atlas.stages.evidence.regions import regions, strength
from activation_atlas.stages.evidence.sums import Side, Sums
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import PositiveInt, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Stage, one_shard

FOREIGN, OWN = 4, 3
"""Regions of a class that are kept: of what other classes' images hold for it, and of what its own do."""


class Params(Spec):
    """Everything the evidence depends on."""

    view: ViewSpec
    grid: PositiveInt
    candidates: PositiveInt
    exemplars: PositiveInt
    seed: int = 0


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    section, atlas = asked.config.audit, asked.searched
    if section is not None and atlas is not None:
        values = {"candidates": section.candidates, "exemplars": section.exemplars, "seed": asked.config.run.seed}
        yield "", {"view": atlas.view, "grid": asked.audited_grid, **values}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """All regions of one atlas, the most suspicious first."""
    extract, view = inputs.state("extract", ""), params.view
    table = inputs.table(f"grids/{view.name}", ["grid", "cell_x", "cell_y"])
    table = table.filter(pa.array(table["grid"].to_numpy() == params.grid)).combine_chunks()
    columns, grids = [int(k) for k in extract["attributed"]], Grids(table)
    layer = extract["layers"][view.layer]
    size = layer["height"], layer["width"]
    sums, sampled = Sums(len(table), len(columns)), np.zeros(size, np.int64)
    wrong = labelled = images = 0
    of_class = np.zeros(len(columns), np.int64)
    for rows in rows_of(inputs, view, extract, grids, params.seed):
        sums.add(rows)
        np.add.at(sampled, (rows.row, rows.col), 1)
        there = np.unique(rows.image)
        images += len(there)
        of_class += rows.images.own[there].sum(0)
        labelled += int(rows.images.labelled[there].sum())
        wrong += int((rows.images.wrong & rows.images.labelled)[there].sum())
    own, foreign = sums.sides()
    x, y = (table[name].to_numpy().astype(np.int64) for name in ("cell_x", "cell_y"))
    found = distinct(
        sorted(regions(strength(foreign), x, y, FOREIGN, True), key=lambda r: -r.strength)
        + regions(strength(own), x, y, OWN, False)
    )
    tested = [region.foreign and k < params.candidates for k, region in enumerate(found)]
    seen = [Occurrences(region, len(table), size, pools) for region, pools in zip(found, tested, strict=True)]
    for rows in rows_of(inputs, view, extract, grids, params.seed):
        for one in seen:
            one.add(rows, params.seed)
    cells = [{name: table[name][k].as_py() for name in ("grid", "cell_x", "cell_y")} for k in range(len(table))]
    made = []
    for k, one in enumerate(seen):
        region, column = one.region, one.region.column
        near = list(region.cells)
        mean, error, won = _pooled(foreign, near, column)
        others = images - int(of_class[column])
        base = wrong / labelled if labelled else 0
        made.append(
            {
                "candidate": k,
                "class": columns[column],
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
                "constancy": _known(constancy(one.places, sampled)),
                "outside": None,
                "typical": one.foreign.median if one.foreign else None,
                "tested": tested[k],
                "exemplars": _members(one.foreign.upper_half(params.exemplars)) if one.foreign else [],
                "others": _members(one.others.upper_half(OTHERS)) if one.others else [],
            }
        )
    return {"evidence": pa.Table.from_pylist(made, schema=tables.evidence())}


OTHERS = 50
"""Positions of other cells that speak for the class, as controls."""


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
    version=1,
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
