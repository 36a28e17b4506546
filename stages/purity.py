"""layouts + predictions -> how pure class and pair atlases are: metrics of the run, no table.

A stage of its own, so that labels given anew lay nothing out anew. Rows are chosen by attributions alone: what share
of them comes from photographs that the model takes for the class is a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.intervals import clustered_share
from activation_atlas.stages.keys import find, stored
from activation_atlas.stages.specs import Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Stage, State
from activation_atlas.stages.tasks import Assigned, assigned

LAST = 5
"""One in so many of the rows chosen, the weakest, stand for the last that were."""


class Params(Spec):
    """Everything the purity of an atlas depends on: one of a class, or of a pair."""

    view: ViewSpec


def fit(inputs: Inputs, params: Params) -> State:
    """Who the rows of an atlas come from, beside all rows of its layer.

    Returns:
        ``metrics``: ``of``, a list of one record for a class atlas, and for a pair of two: the rows left of its
        middle for the left class, those right of it for the right one. Each is ``class`` (its name), ``rows``,
        ``photographs``; ``predicted``, [share, lower, upper bound] of rows from photographs predicted as the class,
        with the 95 % interval over photographs of :func:`stages.intervals.clustered_share`, and ``base``, that share of
        all rows of the layer; ``label`` and ``label_base``, the same of those labelled so, among rows of photographs
        with a label. ``predicted`` and ``label`` are None where no row of the layer is of the class: nothing could
        be pure; ``label_base`` also where no photograph has a label.
    """
    view, extract = params.view, inputs.state("extract", "")
    names = [str(name) for name in view.pair or (view.class_,)]
    photographs, sides = _seen(inputs, view, inputs.state("reduce", view.name))
    indices = [class_index(name, extract["classes"], f"atlas {view.name!r}") for name in names]
    return {"metrics": {"of": [_side(*each, photographs) for each in zip(names, indices, sides, strict=True)]}}


@dataclass(frozen=True)
class Photographs:
    """All n that were predicted: what they are taken for, labelled as, and their rows in the layer, (n,)."""

    pred: Assigned
    label: Assigned
    rows: np.ndarray


@dataclass(frozen=True)
class Side:
    """Rows of an atlas: the photograph of each and, where their number was set, how strongly they argue; else empty."""

    photograph: np.ndarray
    argued: np.ndarray


def _seen(inputs: Inputs, view: ViewSpec, chosen: State) -> tuple[Photographs, list[Side]]:
    """The photographs, and the rows of a class atlas, or those on both sides of a pair's middle."""
    count = 2 if view.pair else 1
    parts: list[tuple[pa.ChunkedArray, pa.ChunkedArray, np.ndarray]] = []
    rows: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(count)]
    keys = stored(chosen, "chosen_") if "chosen_argued" in chosen else None
    start = 0
    for part in range(inputs.parts("predictions")):
        said = inputs.part("predictions", part, ["image_id", "pred", "label"])
        layout = inputs.part(f"layouts/{view.name}", part, ["image_id", "row", "col", "x"])
        layer = np.bincount(_places(inputs.part(view.rows_table, part, ["image_id"]), said), minlength=len(said))
        parts.append((said["pred"], said["label"], layer))
        image, x = start + _places(layout, said), layout["x"].to_numpy()
        argued = np.zeros((len(x), 0)) if keys is None else chosen["chosen_argued"][find(layout, keys)]
        for side, within in enumerate([x < 0.5, x > 0.5] if view.pair else [np.ones(len(x), bool)]):
            rows[side].append((image[within], argued[within, side : side + 1].reshape(-1)))
        start += len(said)
    sides = [Side(*(np.concatenate(each) for each in zip(*found, strict=True))) for found in rows]
    pred, label, layers = zip(*parts, strict=True)
    return Photographs(assigned(*pred), assigned(*label), np.concatenate(layers).astype(np.int64)), sides


def _places(rows: pa.Table, said: pa.Table) -> np.ndarray:
    """The photograph of each row as its place among those of the part: both tables are cut alike."""
    found = pc.index_in(rows["image_id"], value_set=said["image_id"].combine_chunks())
    if found.null_count:
        raise ValueError("rows of a layer are of images that were not predicted")
    return found.to_numpy().astype(np.int64)


def _side(name: str, index: int, side: Side, seen: Photographs) -> dict[str, Any]:
    predicted, base = _share(seen.pred.of(index), side, seen.rows, np.ones(len(seen.pred), bool))
    label, label_base = _share(seen.label.of(index), side, seen.rows, seen.label.known)
    return {
        "class": name,
        "rows": len(side.photograph),
        "photographs": len(np.unique(side.photograph)),
        "predicted": predicted,
        "base": base,
        "label": label,
        "label_base": label_base,
    }


def _share(
    hit: np.ndarray, side: Side, layer: np.ndarray, known: np.ndarray
) -> tuple[list[float] | None, float | None]:
    """[share, low, high] of the rows from photographs that are hit, among known ones, and the share of the layer's."""
    if not layer[known].any():
        return None, None
    base = round(float(layer[hit & known].sum() / layer[known].sum()), 5)
    mine = known[side.photograph]
    if not mine.any() or not layer[hit & known].any():
        return None, base
    rows = np.bincount(side.photograph[mine], minlength=len(hit))
    last = None
    if len(side.argued):
        order = np.argsort(side.argued[mine], kind="stable")[: max(1, int(mine.sum()) // LAST)]
        last = float(hit[side.photograph[mine][order]].mean())
    return [round(v, 4) for v in clustered_share(hit[known], rows[known], last)[:3]], base


def _reads(params: Params) -> tuple[str, ...]:
    return f"layouts/{params.view.name}", params.view.rows_table, "predictions"


STAGE = Stage(
    name="purity",
    version=1,
    about="layouts + predictions -> metrics: whose photographs class and pair atlases show",
    params=Params,
    shards=lambda inputs, params: [],
    run=lambda inputs, params, shard: {},
    fit=fit,
    reads=lambda params: {},
    fit_reads=_reads,
    writes=lambda params: (),
    state_of=lambda params: (("extract", ""), ("reduce", params.view.name)),
    libraries=("numpy",),
    steps=lambda asked: [
        (a.name, {"view": a.view}) for a in asked.config.atlases if (a.class_ or a.pair) and not asked.measured
    ],
)
