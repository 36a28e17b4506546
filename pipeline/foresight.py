"""What a model file's own description tells to be wrong in a configuration, before the model is opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.plan import Step
from activation_atlas.stages import saved
from activation_atlas.stages.extract import attributed
from activation_atlas.stages.specs import meant
from activation_atlas.stages.stage import State, UserError

CHECKED = ("reduce", "names", "validity", "explain", "report")
"""Stages whose checks ask for the model's classes and for nothing that only the open model tells."""


class Foreseen:
    """The :class:`stages.stage.Inputs` of a run of which no more is there than the classes of its model."""

    def __init__(self, state: State):
        self._state = state

    def state(self, stage: str | None = None, label: str | None = None) -> State:
        return self._state

    def parts(self, table: str) -> int:
        return 0


def foresee(config: Config, steps: Sequence[Step]) -> None:
    """Refuses what the description of the model is enough to know; where it does not tell, nothing is said.

    Raises:
        UserError: a file that cannot be opened here, a layer or a class that is not the model's.
    """
    spec = next((step.params.model for step in steps if step.stage.name == "extract"), None)
    if spec is not None and spec.path and Path(spec.path).is_dir():
        raise UserError(f"model.path: {spec.path} {saved.folder(spec.path)}")
    found = saved.description(spec.path) if spec is not None and spec.path else None
    if found is not None and (obstacle := saved.obstacle(found)):
        raise UserError(f"model.path: {found.path} {obstacle}")
    if found is not None:
        _check_layers(config, found)
    names = list(spec.classes) if spec is not None and spec.classes is not None else None
    count = saved.outputs(found.config) if found is not None else None
    if names is None and count is None:
        return
    if names is not None and count is not None and len(names) != count:
        told = f"{len(names)} names for model {Path(found.path).name}, which returns {count} classes"
        raise UserError(f"model.classes: {told}; give one name per class")
    names = names or [f"class {k}" for k in range(count)]
    state = {"classes": names, "attributed": attributed(config.extract.attribution, names), "layers": {}}
    for step in steps:
        if step.stage.name in CHECKED and step.stage.check:
            step.stage.check[1](Foreseen(state), step.params)


def _check_layers(config: Config, found: saved.Saved) -> None:
    known = saved.layers(found.config)
    if known is None:
        return
    known = [name.replace("/", "_") if "/" in name else name for name in known] if found.old else known
    asked = [*(a.layer for a in config.atlases), *config.extract.layers]
    asked += [layer for m in (config.explain.methods if config.explain else ()) if (layer := getattr(m, "layer", None))]
    for layer in asked:
        # conv#1 is the second call of conv, at whatever depth.
        if not {layer, re.sub(r"#\d+(?=/|$)", "", layer)} & set(known):
            where = f"layer {layer} of model {Path(found.path).name}"
            raise UserError(f"{where}: there is none; {meant(layer, known)}")
