"""What a model file's own description tells to be wrong in a configuration, before the model is opened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from activation_atlas.stages import saved
from activation_atlas.stages.extract.elsewhere import known_layers
from activation_atlas.stages.extract.network import read_network
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import meant
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import task_named


def foreseen_classes(asked: Sections) -> list[str] | None:
    """Names of the model's classes; None where neither the configuration nor the model's description tells.

    Raises:
        UserError: a file that cannot be opened here, a layer that is not the model's, names that are not its number.
    """
    spec, task = asked.model, task_named(asked.model.task)
    if spec.tables is not None:
        network = read_network(spec.tables)
        known_layers(network, [*asked.sampled, *(a.layer for a in asked.config.atlases)])
        return network.classes
    if spec.path and Path(spec.path).is_dir():
        raise UserError(f"model.path: {spec.path} {saved.folder(spec.path)}")
    described = saved.description(spec.path) if spec.path else None
    if described is not None and (obstacle := saved.obstacle(described)):
        raise UserError(f"model.path: {described.path} {obstacle}")
    names = list(spec.classes) if spec.classes is not None else None
    count = None
    if described is not None:
        _check_layers(asked.config, described)
        count = saved.outputs(described.config, 1 if task.measured else 2)
        if names is not None and count is not None and len(names) != count:
            many, one = ("numbers", "number") if task.measured else ("classes", "class")
            told = f"{len(names)} names for model {Path(described.path).name}, which returns {count} {many}"
            raise UserError(f"model.classes: {told}; give one name per {one}")
    return names or (None if count is None else task.unnamed(count))


def _check_layers(config: Any, described: saved.Saved) -> None:
    known = saved.layers(described.config)
    if known is None:
        return
    known = [name.replace("/", "_") if "/" in name else name for name in known] if described.old else known
    asked = [
        *(a.layer for a in config.atlases),
        *config.extract.layers,
        *(config.channels.layers if config.channels else ()),
    ]
    asked += [layer for m in (config.explain.methods if config.explain else ()) if (layer := getattr(m, "layer", None))]
    hiding = tuple(name for name in known if name.endswith("/"))
    known = [name for name in known if name not in hiding]
    for layer in asked:
        if layer.startswith(hiding):
            continue
        # conv#1 is the second call of conv, at whatever depth.
        if not {layer, re.sub(r"#\d+(?=/|$)", "", layer)} & set(known):
            where = f"layer {layer} of model {Path(described.path).name}"
            raise UserError(f"{where}: there is none; {meant(layer, known)}")
