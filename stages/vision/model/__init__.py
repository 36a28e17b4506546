"""Classifiers, opened once per process: :func:`open_model`, :class:`Model`, :func:`freeze`."""

from __future__ import annotations

import os
import threading

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
from activation_atlas.stages.vision.model.classifier import LayerInfo, Model
from activation_atlas.stages.vision.model.freezing import freeze
from activation_atlas.stages.vision.model.loading import load

__all__ = ["LayerInfo", "Model", "freeze", "open_model"]

_opened: dict[tuple, Model] = {}
_lock = threading.Lock()


def open_model(spec: ModelSpec) -> Model:
    """The classifier that ``spec`` describes; kept, so that a second call costs nothing.

    Raises:
        UserError: it cannot be loaded, followed or understood; one line that says why.
    """
    stat = os.stat(spec.path) if spec.path and os.path.exists(spec.path) else None
    key = (spec.model_dump_json(), stat and (stat.st_mtime_ns, stat.st_size))
    with _lock:
        if key not in _opened:
            _opened[key] = Model(load(spec), spec)
        return _opened[key]
