"""predictions, features, layouts, maps -> slices: images that fail together, and that nobody had named.

Every finder is given the search half of the images and their labels; what it learned there then says which images of
the other half belong to a slice, and it sees no label of those: so that these can test it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.slices.finders import FINDERS
from activation_atlas.stages.slices.images import Finder, Images, Score, joined
from activation_atlas.stages.slices.judging import Held, Judged, judge
from activation_atlas.stages.slices.reading import Halves
from activation_atlas.stages.slices.words import about, reached, traits
from activation_atlas.stages.specs import PositiveInt, Spec, ViewSpec, folder
from activation_atlas.stages.specs.audit import FinderName
from activation_atlas.stages.stage import Inputs, Shard, Shared, Stage, one_shard

LEAST = 20
"""Images that each half needs."""
SURE = 0.05

WANTS = {
    "label": "no image has one label",
    "loss": "no image has a label",
    "features": "there is no atlas whose layer's features are stored",
    "rows": "there is no atlas",
    "maps": "there are no maps; give explain, e.g. explain: {methods: [grad_cam]}",
}


class Params(Spec):
    """Everything the slices depend on."""

    seed: int = 0
    finders: list[FinderName]
    slices: PositiveInt
    view: ViewSpec | None = None
    grid: PositiveInt = 1
    features: str | None = None
    maps: str | None = None


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    section = asked.config.audit
    if section is None or asked.measured:
        return
    values: dict[str, Any] = {"seed": asked.config.run.seed, "finders": section.finders, "slices": section.slices}
    if (atlas := asked.audited) is not None:
        stored = "features" if atlas.layer in asked.pooled else "activations"
        values |= {"view": atlas.view, "grid": asked.audited_grid, "features": f"{stored}/{folder(atlas.layer)}"}
    if asked.config.explain is not None and "spray" in section.finders:
        values["maps"] = f"maps/{asked.config.explain.methods[0].variant}"
    yield "", values


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """All slices of all finders that can be asked, by their rank; none where there are too few images."""
    halves = Halves(inputs, params.seed, params.view, params.grid, params.features, params.maps)
    if halves.copies:
        inputs.note(f"audit: {plural(halves.copies, 'image')} the same file as another: slices count each file once")
    search, held = sum(int(h.sum()) for h in halves.chosen), sum(int(h.sum()) for h in halves.held)
    if min(search, held) < LEAST:
        inputs.note(
            f"audit: no slices are sought: of {search} images to seek them in and {held} to test them on each must be "
            f"at least {LEAST}; give more images"
        )
        return {"slices": tables.slices().empty_table()}
    with _one_thread():
        found = Held(_fitted(inputs, params, halves.search()))
        for images, told in halves.held_parts():
            found.add(images, told)
    whole = joined(found.images)
    judged = judge(found, whole.wrong, whole.confidence)
    made = _table(params, found, judged, whole, inputs.state("extract", "")["classes"])
    if said := _surest(made):
        inputs.note(said)
    return {"slices": made}


def _fitted(inputs: Inputs, params: Params, search: Images) -> list[tuple[Finder, Score]]:
    """The finders that can be asked of these images, fitted."""
    fitted, labels = [], (~np.isnan(search.wrong)).any()
    if labels and not np.nansum(search.wrong):
        inputs.note(f"audit: no slices are sought: of {len(search)} images to seek them in none is got wrong")
        return []
    if not labels:
        inputs.note("audit: no image has a label: slices go by the model's confidence alone, and none can be tested")
    for name in params.finders:
        finder = FINDERS[name]
        if lacking := finder.lacks(search):
            inputs.note(f"audit.finders: {name} is left out: {WANTS[lacking]}")
            continue
        fitted.append((finder, finder.fit(search, params.seed, params.slices)))
    return fitted


def _table(params: Params, held: Held, judged: Judged, images: Images, classes: list[str]) -> pa.Table:
    told = pa.concat_tables(held.told)
    having = traits(images.pred, images.label, classes, told)
    schema = tables.slices()
    rows = []
    for rank, own in enumerate(judged.slice.tolist()):
        members, strengths = judged.members[rank]
        cells = np.zeros(0, np.int64)
        if held.reached is not None:
            cells = reached(held.reached[own], held.cells, len(members), held.count)
        finder, same = held.finders[held.owners[own]][0], int(judged.same_as[rank])
        figures = {name: _plain(values[rank], schema.field(name).type) for name, values in judged.figures.items()}
        rows.append(
            {
                "rank": rank,
                "finder": finder.name,
                "found": held.founds[own],
                **figures,
                "same_as": None if same < 0 else same,
                "about": about(members, having, held.count),
                "atlas": params.view.name if params.view else None,
                "cells": [
                    {"grid": params.grid, "cell_x": k // params.grid, "cell_y": k % params.grid} for k in cells.tolist()
                ],
                "members": images.ids[members].tolist(),
                "strengths": strengths.tolist(),
            }
        )
    return pa.Table.from_pylist(rows, schema=schema)


def _surest(made: pa.Table) -> str | None:
    """One line: how many slices surely fail more than all images, and the surest."""
    tested = [row for row in made.drop_columns(["members", "strengths"]).to_pylist() if row["q_value"] is not None]
    if not tested:
        return None
    sure = [row for row in tested if row["q_value"] < SURE]
    said = f"audit: {len(sure)} of {len(tested)} slices surely fail more than all held-out images (q < {SURE})"
    if not sure:
        return said
    rate, low, high, base = (100 * sure[0][name] for name in ("error_rate", "low", "high", "base_rate"))
    what = f" ({sure[0]['about'].split('; ')[0]})" if sure[0]["about"] else ""
    images = f"{sure[0]['images']:,} images{what}"
    return f"{said}; the surest: {images}, of which {rate:.0f} % [{low:.0f}, {high:.0f}] are wrong, of all {base:.0f} %"


def _plain(value: Any, kind: pa.DataType) -> int | float | None:
    if np.isnan(value):
        return None
    return int(value) if pa.types.is_integer(kind) else float(value)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of BLAS and OpenMP on one thread: their order must not hang on the number of cores."""
    import sklearn.cluster
    import sklearn.mixture
    import sklearn.neighbors  # noqa: F401  what is loaded now is held
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def _reads(params: Params) -> dict[str, Shared]:
    names = ["images", "predictions"]
    if params.view is not None:
        names += [f"layouts/{params.view.name}", params.view.rows_table]
    names += [name for name in (params.features, params.maps) if name is not None]
    return dict.fromkeys(names, "all")


STAGE = Stage(
    name="slices",
    version=3,
    about="predictions, features, layouts, maps -> slices: images that fail together, found in one half, tested on the "
    "other",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: ("slices",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy", "scipy", "scikit-learn", "openTSNE"),
    steps=_steps,
)
