"""Whether what is asked of the maps can be, said hours before they are made."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.explain.selection import frame, select
from activation_atlas.stages.explain.targets import check
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.stage import Inputs, UserError
from activation_atlas.stages.tasks import labelled, task_named, task_of


class _Asked(Exception):
    """A method wants to see images: it has nothing against the model."""


def check_asked(inputs: Inputs, params: Any) -> None:
    """Targets must be the model's; a query must name columns there are; the model must do what the method needs.

    Raises:
        UserError: what is asked cannot be, by as much as is known: the classes, the open model, the images.
    """
    extract = inputs.state("extract", "")
    check(params.targets, extract["classes"], measured=task_named(params.model.task).measured)
    if inputs.parts("images"):
        _check_images(inputs, params, extract["classes"])
    if "input_size" not in extract:
        return  # of the model no more is known than its classes
    if 0 < inputs.parts("images") == inputs.parts("predictions"):
        return  # the fit comes at once and says the same: a run with nothing left to do opens no model
    from activation_atlas.stages.vision.model import open_model

    def sample(count: int) -> np.ndarray:
        raise _Asked

    with suppress(_Asked):
        METHODS[params.method.name].configure(open_model(params.model), params.method, sample)


def _check_images(inputs: Inputs, params: Any, classes: list[str]) -> None:
    images = inputs.part("images", 0).slice(0, 0)
    schema = tables.predictions(len(classes), task_of(images.schema.field("label").type))
    empty = schema.empty_table().drop_columns(["logits"]).append_column("severity", pa.array([], pa.float64()))
    select(params.select, frame(images, empty, classes))
    if params.select == "errors" or set(params.targets) == {"label"}:
        if not any(labelled(part["label"]).any() for part in inputs.stream("images", ["label"])):
            needs = "images: errors" if params.select == "errors" else "targets: label"
            other = "explain.images: all" if params.select == "errors" else "another target"
            raise UserError(f"explain.{needs}, but no image has a label; give labels, or {other}")
