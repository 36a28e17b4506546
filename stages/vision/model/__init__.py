"""Classifiers, opened once per process: :func:`open_model`, :class:`Model`, :func:`freeze`."""

from __future__ import annotations

import os

from activation_atlas.stages.caches import Cache, forget
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
from activation_atlas.stages.vision.model.classifier import LayerInfo, Model
from activation_atlas.stages.vision.model.freezing import freeze
from activation_atlas.stages.vision.model.loading import load

__all__ = ["LayerInfo", "Model", "freeze", "open_model"]

_MODELS: Cache[tuple, Model] = Cache(2, leaving=forget)
"""A model that makes room for another takes with it what was compiled of it."""


def open_model(spec: ModelSpec) -> Model:
    """The classifier that ``spec`` describes; kept, so that a second call costs nothing.

    Raises:
        UserError: it cannot be loaded, followed or understood; one line that says why.
    """
    stat = os.stat(spec.path) if spec.path and os.path.exists(spec.path) else None
    key = (spec.model_dump_json(), stat and (stat.st_mtime_ns, stat.st_size))
    return _MODELS.get(key, lambda: Model(load(spec), spec))
