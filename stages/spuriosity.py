"""evidence + activations -> spuriosity: how much each image depends on each cue that is put to the test.

A class's images in this order, from those that lean on the cue to those that do without, are its spuriosity ranking
(Moayeri, Wang, Singla & Feizi 2023), by attribution instead of activation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.audited import Rows, part_of
from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import PositiveInt, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Stage, aligned_shards


class Params(Spec):
    """Everything the ranking depends on."""

    view: ViewSpec
    grid: PositiveInt
    seed: int = 0


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if (atlas := asked.searched) is not None:
        yield "", {"view": atlas.view, "grid": asked.audited_grid, "seed": asked.config.run.seed}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The images of one part."""
    extract = inputs.state("extract", "")
    grid = inputs.table(f"grids/{params.view.name}", ["grid", "cell_x", "cell_y"])
    grid = grid.filter(pa.array(grid["grid"].to_numpy() == params.grid)).combine_chunks()
    cues = inputs.table("evidence", ["candidate", "class", "cells", "tested"])
    places = zip(*(grid[name].to_pylist() for name in ("cell_x", "cell_y")), strict=True)
    number = {place: k for k, place in enumerate(places)}
    column = {kind: k for k, kind in enumerate(extract["attributed"])}
    rows = part_of(inputs, params.view, extract, Grids(grid), params.seed, shard.index)
    made = []
    for cue in cues.to_pylist():
        if cue["tested"] and rows is not None:
            within = np.zeros(len(grid), bool)
            within[[number[cell["cell_x"], cell["cell_y"]] for cell in cue["cells"]]] = True
            made += list(_of(cue, rows, within, column[cue["class"]]))
    made.sort(key=lambda row: (row["image_id"], row["candidate"]))
    return {"spuriosity": pa.Table.from_pylist(made, schema=tables.spuriosity())}


def _of(cue: dict[str, Any], rows: Rows, within: np.ndarray, column: int) -> Iterator[dict[str, Any]]:
    """The images that have one cue, and all those of its class."""
    inside = np.flatnonzero(within[rows.cell])
    image, values = rows.image[inside], rows.values[inside, column]
    dependence = np.bincount(image, values, len(rows.images.ids))
    order = np.lexsort((rows.col[inside], rows.row[inside], -values, image))
    there, first = np.unique(image[order], return_index=True)
    strongest = dict(zip(there.tolist(), inside[order[first]].tolist(), strict=True))
    images = rows.images
    for k in np.flatnonzero(np.isin(np.arange(len(images.ids)), there) | images.own[:, column]).tolist():
        at = strongest.get(k)
        yield {
            "image_id": images.ids[k],
            "candidate": cue["candidate"],
            "class": cue["class"],
            "dependence": float(dependence[k]),
            "strongest": None if at is None else float(rows.values[at, column]),
            "row": None if at is None else int(rows.row[at]),
            "col": None if at is None else int(rows.col[at]),
            "own": bool(images.own[k, column]),
            "held_out": bool(images.held[k]),
            "correct": not images.wrong[k] if images.labelled[k] else None,
        }


STAGE = Stage(
    name="spuriosity",
    version=3,
    about="how much each image depends on each cue",
    params=Params,
    shards=aligned_shards("images"),
    run=run,
    reads=lambda params: {
        "images": "part",
        "predictions": "part",
        params.view.rows_table: "part",
        f"layouts/{params.view.name}": "part",
        f"grids/{params.view.name}": "all",
        "evidence": "all",
    },
    writes=lambda params: ("spuriosity",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy",),
    steps=_steps,
)
