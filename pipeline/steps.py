"""A configuration -> the steps of a run, in running order: each stage says what its steps are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from activation_atlas import stages
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.plan import Step
from activation_atlas.stages.classes import classes_of
from activation_atlas.stages.groups import given
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.stage import Stage, UserError
from activation_atlas.stages.tasks import task_named


def sections(config: Config, about: Mapping[str, Any] | None = None) -> Sections:
    """The sections of a configuration as the stages read them; files of classes and of groups are read.

    Raises:
        UserError: such a file is missing, or of no known form.
    """
    classes = classes_of(config.model.classes)
    names, also = (None, None) if classes is None else (classes.names, classes.also)
    if names is None and task_named(config.model.task).measured and config.images.label_columns:
        names = list(config.images.label_columns)  # a quantity is called as its column
    model = config.model.model_copy(update={"classes": names})
    return Sections(config, model, also, given(config.classes, also), about or {})


def steps(config: Config, about: Mapping[str, Any] | None = None) -> list[Step]:
    """The steps of a run, in running order.

    Raises:
        UserError: what only the stage itself checks of what it is given.
    """
    made: list[Step] = []
    asked = sections(config, about)
    for name in stages.ORDER:
        stage = stages.stage(name)
        asked = replace(asked, written=tuple(t for step in made for t in step.stage.writes(step.params)))
        made += [Step(stage, label, _params(stage, label, values)) for label, values in stage.steps(asked)]
    return made


def _params(stage: Stage, label: str, values: Mapping[str, Any]) -> Any:
    try:
        return stage.params(**values)
    except ValidationError as error:
        about_it = error.errors()[0]["msg"].removeprefix("Value error, ")
        where = f"atlas {label}" if "view" in values else f"{stage.name} {label}".rstrip()
        raise UserError(f"{where}: {about_it}") from None
