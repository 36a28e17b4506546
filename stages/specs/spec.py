"""The base of all sections."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

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


class Grown(BaseModel):
    """Parameters that have grown: a newer field that is empty leaves no trace in a fingerprint, so that what was made
    before there was such a field is still current.
    """

    newer: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in plain(self).items() if value or name not in self.newer}


def listed(given: Any) -> list[Any]:
    """One, or several: a text, a path, a mapping or a section is one."""
    one = isinstance(given, (str, os.PathLike, Mapping, BaseModel)) or not isinstance(given, Iterable)
    return [given] if one else list(given)
