"""METHODS: every attribution method by its name; light to import.

A new one is one file here, with its options, its functions and its :class:`Method` record, and its name in
:data:`FILES`: whatever lists, checks, draws or tells of methods reads the record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import import_module

import numpy as np

from activation_atlas.stages.caches import Cache
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods.method import (
    Configured,
    Explain,
    Maps,
    Method,
    Options,
    Setting,
)

FILES = (
    "cam",
    "hires_cam",
    "cam_fitted",
    "eigen_cam",
    "score_cam",
    "ablation_cam",
    "attention",
    "gradients",
    "smooth_grad",
    "path",
    "full_grad",
    "guided",
    "occlusion",
    "rise",
    "occlusion_segments",
    "lime",
    "kernel_shap",
)
"""Files of this folder that declare methods as ``METHODS``, in the order in which methods are listed anywhere."""

METHODS: dict[str, Method] = {m.name: m for file in FILES for m in import_module(f"{__name__}.{file}").METHODS}

__all__ = ["METHODS", "Configured", "Explain", "Maps", "Method", "Setting", "explainer"]


def explainer(
    spec: ModelSpec,
    options: Options,
    configured: Configured,
    batch: int,
    targets: int,
    seed: int = 0,
    background: np.ndarray | None = None,
    regions: Callable[[str], np.ndarray] | None = None,
) -> Explain:
    """A method ready to work, kept within the process: compiled once for all shards."""
    from activation_atlas.stages.vision.model import open_model

    model = open_model(spec)
    what = hashlib.sha256(json.dumps(configured, sort_keys=True, default=_listed).encode())
    what.update(b"" if background is None else np.ascontiguousarray(background).tobytes())
    key = (model, options.model_dump_json(), what.hexdigest(), batch, targets, seed, regions)
    setting = Setting(model, options, configured, batch, targets, seed, background, regions)
    return EXPLAINERS.get(key, lambda: METHODS[options.name].build(setting))


EXPLAINERS: Cache[tuple, Explain] = Cache(8)


def _listed(value: object) -> object:
    if isinstance(value, np.ndarray):  # a million weights as text would take a second
        return [str(value.dtype), value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    return value.tolist() if isinstance(value, np.generic) else str(value)
