"""A configuration -> the steps of a run, in running order: each stage says what its steps are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from activation_atlas import stages
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.plan import Step
from activation_atlas.stages.audit.lacking import lacking
from activation_atlas.stages.classes import classes_of
from activation_atlas.stages.extract.network import read_network
from activation_atlas.stages.groups import given
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.stage import Stage, UserError
from activation_atlas.stages.tasks import task_named


def sections(config: Config, about: Mapping[str, Any] | None = None) -> Sections:
    """The sections of a configuration as the stages read them; files of classes and of groups are read.

    Raises:
        UserError: such a file is missing, or of no known form.
    """
    argued = True
    if config.model.tables is not None:
        argued = bool(read_network(str(config.model.tables)).attributed)
        config = without_model(config)
    classes = classes_of(config.model.classes)
    names, also = (None, None) if classes is None else (classes.names, classes.also)
    if names is None and task_named(config.model.task).measured and config.images.label_columns:
        names = list(config.images.label_columns)  # a quantity is called as its column
    model = config.model.model_copy(update={"classes": names})
    return Sections(config, model, also, given(config.classes, also), about or {}, argued=argued)


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
        if config.model.tables is None or name not in _needing():
            made += [Step(stage, label, _params(stage, label, values)) for label, values in stage.steps(asked)]
    return made


def left_out(config: Config) -> str | None:
    """What is asked for and cannot be: for want of a model, where tables stand in its place, and of an audit what has
    nothing to go by; None where all can."""
    said = []
    if config.model.tables is not None:
        asked = {"render": any(atlas.render is not None for atlas in config.atlases)}
        names = [name for name in stages.ORDER if asked.get(name, getattr(config, name, None)) and name in _needing()]
        said.append(f"left out, because tables hold no network: {', '.join([*names, 'doubts about value ranges'])}")
    said += [f"audit without {part}: {why}" for part, why in lacking(sections(config)).items()]
    return "; ".join(said) or None


def _needing() -> set[str]:
    """Stages that open a model, or read what only these make."""
    return {name for name in stages.ORDER if stages.stage(name).model or name in ("boxes", "moments")} - {
        "extract",
        "doubt",
    }


def without_model(config: Config) -> Config:
    """What can be asked of tables that stand in a model's place: no icons, no maps, nothing of single channels.

    Raises:
        UserError: the tables do not say what network they are of.
    """
    network = read_network(str(config.model.tables))
    measured = {"task": "quantities"} if network.kind == "quantity" else {}
    needing = _needing() & set(type(config).model_fields)
    atlases = [atlas.model_copy(update={"render": None}) for atlas in config.atlases]
    model = config.model.model_copy(update={"classes": network.classes, **measured})
    return config.model_copy(update={**dict.fromkeys(needing), "atlases": atlases, "model": model})


def _params(stage: Stage, label: str, values: Mapping[str, Any]) -> Any:
    try:
        return stage.params(**values)
    except ValidationError as error:
        about_it = error.errors()[0]["msg"].removeprefix("Value error, ")
        where = f"atlas {label}" if "view" in values else f"{stage.name} {label}".rstrip()
        raise UserError(f"{where}: {about_it}") from None
