"""images, predictions -> doubts: what says that the whole set-up cannot be right, before anything is built on it.

Accuracy at chance, one class for everything, another order of the classes or another value range that would be far
better. Each is told only where it is not chance itself: of a run that is right, nothing is said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.doubt.chance import Agreement
from activation_atlas.stages.doubt.finding import LEAST, Doubt, Seen, read
from activation_atlas.stages.doubt.judging import judged
from activation_atlas.stages.doubt.ranges import MOST, Trial
from activation_atlas.stages.doubt.sample import Sample, Untried
from activation_atlas.stages.doubt.wording import figures_of
from activation_atlas.stages.feed import uris_of
from activation_atlas.stages.specs import ModelSpec, OpenedModel, ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, one_shard

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model


class Params(Spec):
    model: OpenedModel
    images: ReadImages
    seed: int = 0


def fit(inputs: Inputs, params: Params) -> State:
    """All doubts, told as warnings.

    Returns:
        doubts: kind, message, remedy, figures of each; metrics: what was measured, doubts or not.
    """
    seen = read(inputs, inputs.state("extract", "")["classes"], params.seed)
    told = seen.labelled if len(seen.labelled) >= LEAST else seen
    if params.model.tables is not None:
        found, trial = judged(seen, Untried(len(seen.classes)), None, params.seed)
        found = [replace(doubt, remedy=_of_tables(doubt.remedy)) for doubt in found]
        if told is seen:
            inputs.warn(
                "model.tables without labels: nothing here tells whether the network was given the values that it was "
                "trained with, nor whether its classes stand in this order; hold some of its answers against the images"
            )
    else:
        from activation_atlas.stages.vision.model import open_model
        from activation_atlas.stages.vision.model.scaling import contradiction

        model = open_model(params.model)
        sample = Sample(model, params.images, list(uris_of(inputs, told.ids[: 2 * MOST]).values()))
        found, trial = judged(seen, sample, contradiction(model, params.model), params.seed)
        if told is seen and _may_be_numbers(model, params.model):
            inputs.warn(
                f"model {model.name} returns numbers of any size, taken for the logits of {len(model.classes)} classes "
                "that exclude one another: no label and no name says so; where each class stands for itself say "
                "model.task: labels, of numbers (regression) quantities, and else model.output: logits"
            )
    for doubt in found:
        inputs.warn(str(doubt))
    return {"doubts": [asdict(d) for d in found], "metrics": _metrics(seen.labelled, trial, found)}


def _may_be_numbers(model: Model, spec: ModelSpec) -> bool:
    """Whether nothing but their number says what a model's outputs are."""
    told = spec.task != "auto" or spec.returns != "auto" or spec.classes is not None
    return model.ending.reading == "scores" and spec.path is not None and not told


def _of_tables(remedy: str) -> str:
    """A remedy where the keys of a model are not the run's to give."""
    for key, own in (("model.range", "the values that the network was given"), ("model.classes", "its classes")):
        remedy = remedy.replace(key, own)
    return remedy


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
