"""cues -> repair: the last layer fitted anew so that verified cues no longer tell the class, and what that changes.

Only where it is asked for. The layer is fitted on one half of the run's images and reported on the other, which no cue
was found in either. What comes of it is written by the stage `repaired`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.feed import uris_of
from activation_atlas.stages.repair.known import Known
from activation_atlas.stages.repair.outcome import Told, fits, rows
from activation_atlas.stages.repair.pasting import Patch, lacking, parted, patches, to_fit, to_report
from activation_atlas.stages.repair.refit import Refit, refit
from activation_atlas.stages.repair.telling import losses, metrics, notes
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, ReadImages, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, UserError, one_shard

MOST = 10_000
"""Images of a half, and pastes, at most: more decide little."""
LARGEST = 2e9, 500
"""Images x features x classes that are fitted on, at most, but always so many images, and as many pastes."""
TOO_FEW = 50
"""Fewer images to fit on, or to report on, tell nothing."""
REPORTED = 1_000
"""Held-out images that a cue is pasted on, at most."""


class Params(Spec):
    """Everything the fit depends on."""

    model: OpenedModel
    images: ReadImages
    seed: int
    view: ViewSpec
    batch: PositiveInt = Field(64, exclude=True)


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    section = asked.config.audit
    atlas = asked.audited
    if section is not None and section.repair and atlas is not None and "cues" in asked.written:
        yield "", {"view": atlas.view, "batch": section.batch, **asked.opened}


def _check(inputs: Inputs, params: Params) -> None:
    """Refuses a model without a linear end, before any image is read."""
    if not inputs.parts("images"):
        _refuse(inputs.state("extract", ""))
        from activation_atlas.stages.vision.model import open_model
        from activation_atlas.stages.vision.model.last_layer import last_layer

        last_layer(open_model(params.model))


def _refuse(extract: State) -> None:
    if extract["kind"] != "softmax":
        kind = {"sigmoid": "several labels for an image", "quantity": "quantities"}[extract["kind"]]
        raise UserError(f"audit.repair: is for one class of several; this model tells {kind}; leave it out")


def _cost(asked: Sections, images: int) -> Iterator[str]:
    each = min(MOST, (images + 1) // 2)
    yield f"at most {2 * each:,} images and {each + MOST:,} with a patch pasted on x 1 forward pass, for repair"


def fit(inputs: Inputs, params: Params) -> State:
    """Fits the layer.

    Returns:
        rows: of the table; layer: path of the last layer, None where nothing is fitted, or nothing is better; kernel
        (D, U), bias (U,): its weights; biased: whether it has a bias; metrics.

    Raises:
        UserError: the model has no linear end, or its outputs are no classes of which one holds.
    """
    extract = inputs.state("extract", "")
    _refuse(extract)
    cues = [row for row in inputs.table("cues").sort_by("rank").to_pylist() if row["verdict"] == "verified"]
    nothing: State = {"rows": [], "layer": None, "metrics": {"cues": len(cues)}}
    if not cues:
        inputs.note("repair: no cue is verified, so there is nothing to repair")
        return nothing
    known = Known.of(inputs, params.view, cues, params.seed)
    for half, name in ((~known.held, "to fit on"), (known.held, "to report on")):
        if half.sum() < TOO_FEW:
            inputs.warn(f"repair: {half.sum()} labelled images {name}, {TOO_FEW} are needed; nothing is fitted")
            return nothing
    return _fitted(inputs, params, extract, known, cues)


def _fitted(inputs: Inputs, params: Params, extract: State, known: Known, cues: Sequence[Mapping[str, Any]]) -> State:
    from activation_atlas.stages.repair.passes import Passes

    passes = Passes(params, extract)
    targets = [cue["class"] for cue in cues]
    wanted = {e["image_id"] for cue in cues for e in cue["exemplars"]}
    images = passes.images(uris_of(inputs, sorted(wanted)))
    found = [parted(patches(cue["exemplars"], images)) for cue in cues]
    pairs = [(j, k) for j, k in lacking(known, targets) if found[j][0]]
    made = _refit(passes, known, pairs, [own for own, _ in found])

    chosen = known.some(known.held, MOST)
    pasted = to_report(known, targets, chosen, [own for _, own in found], max(1, min(REPORTED, MOST // len(cues))))
    read = passes.read({k: known.uris[k] for k in chosen.tolist()}, pasted)
    whole = Told(known.label[read.row], *(at.logits(read.features).argmax(1) for at in (passes.layer, made.layer)))
    plain = read.cue < 0
    as_it_was = dict(zip(read.row[plain].tolist(), whole.before[plain].tolist(), strict=True))
    changed = []
    for j in range(len(cues)):
        own = read.cue == j
        changed.append((whole.some(own), np.array([as_it_was[k] for k in read.row[own].tolist()], np.int64)))
    classes = np.unique(known.label).tolist()
    ways = [(cue["candidate"], cue["class"], fits(pairs, classes, j, cue["class"])) for j, cue in enumerate(cues)]
    table = rows(whole.some(plain), known.cues[read.row[plain]], changed, ways)
    for line in notes(table, cues, extract["classes"]):
        inputs.note(line)
    for line in losses(table, cues, extract["classes"]):
        inputs.warn(line)
    better = made.layer is not passes.layer
    if not better:
        inputs.warn("repair: no fit does better than the last layer as it is; it stays, and no model is written")
    weights = {"kernel": made.layer.kernel, "bias": made.layer.bias, "biased": made.layer.biased}
    return {
        "rows": table,
        "layer": passes.path if better else None,
        **weights,
        "metrics": metrics(table, made, cues, extract["classes"]),
    }


def _refit(passes: Any, known: Known, pairs: list[tuple[int, int]], found: Sequence[Sequence[Patch]]) -> Refit:
    """The layer fitted on one half: images as they are, and with patches where a class lacks the cue."""
    most = int(min(MOST, max(LARGEST[0] / passes.layer.kernel.size, LARGEST[1])))
    chosen = known.some(~known.held, most, first=np.any(known.cues, axis=1))
    pasted = to_fit(known, pairs, chosen, found, most)
    read = passes.read({k: known.uris[k] for k in chosen.tolist()}, pasted)
    cues = known.cues[read.row]
    cues[read.cue >= 0] = False
    cues[read.cue >= 0, read.cue[read.cue >= 0]] = True
    return refit(passes.layer, read.features, known.label[read.row], cues, known.fold[read.row])


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """What ``fit`` found, as a table."""
    found = inputs.state()["rows"]
    found.sort(
        key=lambda row: tuple(-1 if row[k] is None else row[k] for k in ("candidate", "class")) + (row["shown"],)
    )
    return {"repair": pa.Table.from_pylist(found, schema=tables.repair())}


STAGE = Stage(
    name="repair",
    version=2,
    about="the last layer fitted anew so that verified cues no longer tell the class, and what that changes",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {},
    writes=lambda params: ["repair"],
    fit=fit,
    fit_reads=lambda params: ("cues", "images", "predictions", f"layouts/{params.view.name}", params.view.rows_table),
    state_of=lambda params: (("extract", ""),),
    check=("extract", _check),
    libraries=("tensorflow", "keras", "pillow", "numpy", "scipy"),
    model=True,
    steps=_steps,
    cost=_cost,
)
