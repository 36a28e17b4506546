"""Paths that a configuration gives, made absolute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from activation_atlas.stages.methods import Options
from activation_atlas.stages.origin import shipped
from activation_atlas.stages.specs.audit import ConceptSpec

C = TypeVar("C", bound=Any)


def absolute(config: C, folder: Path) -> C:
    """Input paths made absolute, relative to the configuration's folder."""
    model, images = config.model, config.images
    if model.path:
        model = model.model_copy(update={"path": rooted(model.path, folder)})
    if model.tables:
        model = model.model_copy(update={"tables": rooted(model.tables, folder)})
    if isinstance(model.classes, str):
        model = model.model_copy(update={"classes": rooted(model.classes, folder)})
    if model.weights and model.weights.endswith((".h5", ".keras")):
        model = model.model_copy(update={"weights": rooted(model.weights, folder)})
    images = images.model_copy(update={"path": rooted(images.path, folder)})
    if images.labels:
        images = images.model_copy(update={"labels": rooted(images.labels, folder)})
    classes = config.classes
    if classes is not None and isinstance(classes.groups, str):
        classes = classes.model_copy(update={"groups": rooted(classes.groups, folder)})
    evaluate = config.evaluate
    if evaluate is not None and evaluate.masks is not None:
        evaluate = evaluate.model_copy(update={"masks": rooted(evaluate.masks, folder)})
    explain = config.explain
    if explain is not None:
        explain = explain.model_copy(update={"methods": [_rooted_masks(m, folder) for m in explain.methods]})
    audit = config.audit
    if audit is not None and audit.concepts:
        audit = audit.model_copy(update={"concepts": [_rooted_folders(c, folder) for c in audit.concepts]})
    changed = {"model": model, "images": images, "classes": classes, "explain": explain, "evaluate": evaluate}
    return config.model_copy(update={**changed, "audit": audit})


def _rooted_masks(method: Options, folder: Path) -> Options:
    masks = getattr(method, "masks", None)
    return method.model_copy(update={"masks": rooted(masks, folder)}) if isinstance(masks, str) else method


def _rooted_folders(concept: ConceptSpec, folder: Path) -> ConceptSpec:
    sides = {"with_": rooted(concept.with_, folder), "without": rooted(concept.without, folder)}
    return concept.model_copy(update=sides)


def rooted(path: str, folder: Path) -> str:
    """``path`` made absolute; URLs stay; ``demo:`` names what ships with the project."""
    if path.startswith("demo:") or "://" in path:
        return shipped(path)
    return os.path.normpath(folder / Path(path).expanduser())
