"""images, predictions -> doubts: what says that the whole set-up cannot be right, before anything is built on it.

Accuracy at chance, one class for everything, another order of the classes or another value range that would be far
better. Each is told only where it is not chance itself: of a run that is right, nothing is said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages import tables
from activation_atlas.stages.doubt.chance import Agreement
from activation_atlas.stages.doubt.finding import LEAST, Doubt, Seen, read
from activation_atlas.stages.doubt.judging import judged
from activation_atlas.stages.doubt.ranges import MOST, Trial
from activation_atlas.stages.doubt.sample import Sample
from activation_atlas.stages.doubt.wording import figures_of
from activation_atlas.stages.specs import OpenedModel, ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, one_shard


class Params(Spec):
    model: OpenedModel
    images: ReadImages
    seed: int = 0


def fit(inputs: Inputs, params: Params) -> State:
    """All doubts, told as warnings.

    Returns:
        doubts: kind, message, remedy, figures of each; metrics: what was measured, doubts or not.
    """
    from activation_atlas.stages.vision.model import open_model
    from activation_atlas.stages.vision.model.scaling import contradiction

    seen, model = read(inputs, inputs.state("extract", "")["classes"], params.seed), open_model(params.model)
    told = seen.labelled if len(seen.labelled) >= LEAST else seen
    sample = Sample(model, params.images, _uris(inputs, told.ids[: 2 * MOST]))
    found, trial = judged(seen, sample, contradiction(model, params.model), params.seed)
    for doubt in found:
        inputs.warn(str(doubt))
    return {"doubts": [asdict(d) for d in found], "metrics": _metrics(seen.labelled, trial, found)}


def _uris(inputs: Inputs, ids: list[str]) -> list[str]:
    """Where the images are read from, in the order of their ids here."""
    wanted, found = pa.array(ids, pa.string()), {}
    for part in inputs.stream("images", ["image_id", "uri"]):
        for row in part.filter(pc.is_in(part["image_id"], value_set=wanted)).to_pylist():
            found[row["image_id"]] = row["uri"]
    return [found[i] for i in ids]


def _metrics(labelled: Seen, trial: Trial | None, found: Sequence[Doubt]) -> dict[str, Any]:
    metrics: dict[str, Any] = {"labelled": len(labelled), "right": labelled.right}
    if len(labelled):
        dealt = Agreement(labelled.label, labelled.pred).expected
        metrics["right by chance"] = round(dealt, 2)
    if trial is not None:
        metrics["ranges"] = {t.name: figures_of(t) for t in trial.tried}
    said = ("kind", "message", "remedy")
    return metrics | {"doubts": [{name: getattr(d, name) for name in said} for d in found]}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """What ``fit`` found, as a table."""
    rows = [
        {"place": k, **doubt, "figures": json.dumps(doubt["figures"], ensure_ascii=False)}
        for k, doubt in enumerate(inputs.state()["doubts"])
    ]
    return {"doubts": pa.Table.from_pylist(rows, schema=tables.doubts())}


STAGE = Stage(
    name="doubt",
    version=2,
    about="what says that the whole set-up cannot be right: accuracy at chance, another order or range that would be",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {},
    writes=lambda params: ("doubts",),
    fit=fit,
    fit_reads=lambda params: ("images", "predictions"),
    state_of=lambda params: (("extract", ""),),
    libraries=("tensorflow", "keras", "pillow", "numpy"),
    model=True,
    steps=lambda asked: [] if asked.measured else [("", asked.opened)],
    doubts="doubts",
)
