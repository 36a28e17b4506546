"""repair -> the model with its last layer fitted anew, a `.keras` file of the run folder; the old one stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, Spec, slug
from activation_atlas.stages.stage import Inputs, Shard, Stage, one_shard


class Params(Spec):
    """``called``: what the file is called after."""

    model: OpenedModel
    called: str


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if "repair" in asked.written:
        model = asked.model
        called = Path(model.path).stem if model.path else str(model.application or model.preset)
        yield "", {"model": model, "called": slug(called)}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, bytes]:
    """The file; none where nothing was fitted."""
    from activation_atlas.stages.vision.model.last_layer import rewritten

    found = inputs.state("repair", "")
    if found["layer"] is None:
        return {}
    bias = np.asarray(found["bias"]) if found["biased"] else None
    name = f"repaired/{params.called}.keras"
    inputs.note(f"repair: the model with its last layer fitted anew is {name}; values of images are given as before")
    return {name: rewritten(params.model, found["layer"], np.asarray(found["kernel"]), bias)}


STAGE = Stage(
    name="repaired",
    version=1,
    about="the model with its last layer fitted anew, as a file",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {},
    writes=lambda params: [],
    state_of=lambda params: (("repair", ""),),
    libraries=("tensorflow", "keras", "numpy"),
    model=True,
    files=True,
    steps=_steps,
)
