"""METHODS: every attribution method by its name.

A new one is a function and its :class:`Method` record in a family's file, and a class of options in
:mod:`stages.methods`; the contract test over this dict finds it.
"""

from __future__ import annotations

import hashlib
import json
import threading

import numpy as np

from activation_atlas.stages.methods import Options
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods import (
    cam,
    eigen_cam,
    gradients,
    guided,
    occlusion,
    path,
    rise,
    score_cam,
    smooth_grad,
)
from activation_atlas.stages.vision.attribution.methods.method import Explain, Maps, Method, Setting, Settled
from activation_atlas.stages.vision.model import open_model

FAMILIES = (cam, eigen_cam, score_cam, gradients, smooth_grad, path, guided, occlusion, rise)
METHODS: dict[str, Method] = {m.name: m for family in FAMILIES for m in family.METHODS}

__all__ = ["METHODS", "Explain", "Maps", "Method", "Setting", "Settled", "explainer"]


def explainer(
    spec: ModelSpec,
    options: Options,
    settled: Settled,
    batch: int,
    targets: int,
    seed: int = 0,
    background: np.ndarray | None = None,
) -> Explain:
    """A method ready to work, kept within the process: compiled once for all shards."""
    model = open_model(spec)
    what = hashlib.sha256(json.dumps(settled, sort_keys=True, default=_listed).encode())
    what.update(b"" if background is None else np.ascontiguousarray(background).tobytes())
    key = (model, options.model_dump_json(), what.hexdigest(), batch, targets, seed)
    with _lock:
        if key not in _built:
            while len(_built) >= KEPT:
                del _built[next(iter(_built))]
            setting = Setting(model, options, settled, batch, targets, seed, background)
            _built[key] = METHODS[options.name].build(setting)
        _built[key] = _built.pop(key)  # what was asked for last goes last
        return _built[key]


KEPT = 8
_built: dict[tuple, Explain] = {}
_lock = threading.Lock()


def _listed(value: object) -> object:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)
