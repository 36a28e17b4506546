"""Which model is meant, however somebody names it. A leaf."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from activation_atlas.stages.specs import ImagesSpec, ModelSpec, meant
from activation_atlas.stages.stage import UserError


def origin(model: str) -> dict[str, str]:
    """A model as the command line names it (a file, application:NAME, preset:NAME) as a field of ModelSpec."""
    kind, colon, name = model.partition(":")
    return {kind: name} if colon and kind in ("application", "preset") else {"path": model}


def shipped(path: str) -> str:
    """What ``demo:`` names among the files of the demo, as a path; any other path, and what it does not have, stays."""
    file = Path(__file__).parent / "demo" / path.removeprefix("demo:")
    return str(file) if path.startswith("demo:") and file.is_file() else path


def shown_images(**given: Any) -> ImagesSpec:
    """The section `images` with the keys that say how they are read; without ``path`` each says where it lies.

    Raises:
        UserError: one cannot be so.
    """
    try:
        return ImagesSpec(**{"path": "", **given})
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        key = str(first["loc"][0]) if first["loc"] else ""
        value = "" if key in ("", "levels") else f" {first['input']!r}"
        raise UserError(f"{key}{value}: {said}" if key else said) from None


def model_spec(model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str]) -> ModelSpec:
    """A model however it was named: as :func:`origin` takes it, as a section ``model``, or as a mapping of its keys.

    Raises:
        UserError: it is none of these, or cannot be so; one line.
    """
    if isinstance(model, ModelSpec):
        files = {name: shipped(given) for name in ("path", "classes") if isinstance(given := getattr(model, name), str)}
        return model.model_copy(update=files)
    try:
        return model_spec(ModelSpec(**(model if isinstance(model, Mapping) else origin(os.fspath(model)))))
    except TypeError:
        known = "give a file, application:NAME, preset:NAME, or a section model"
        raise UserError(f"model: {known}; one that is loaded is saved first: model.save('model.keras')") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(("model", *map(str, first["loc"])))
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            said = f"unknown key; {meant(str(first['loc'][-1]), list(ModelSpec.model_fields))}"
        raise UserError(f"{place}: {said}") from None
