"""The base of all sections."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]


class Spec(BaseModel):
    """Base of all sections: frozen, no unknown keys, values checked on assignment."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _paths(cls, given: Any) -> Any:
        """Paths of Python become text, as YAML has them."""
        if not isinstance(given, Mapping):
            return given
        return {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}


def listed(given: Any) -> list[Any]:
    """One, or several: a text, a path, a mapping or a section is one."""
    one = isinstance(given, (str, os.PathLike, Mapping, BaseModel)) or not isinstance(given, Iterable)
    return [given] if one else list(given)
