"""What pydantic finds wrong with a configuration, in one line: where, what, and what may have been meant."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from activation_atlas.stages.specs import near


def one_line(error: ValidationError, top: type[BaseModel]) -> str:
    """One line for pydantic's error: the key below ``top``, what is wrong, and the nearest known key."""
    errors = error.errors()
    # Of the branches of a union, the one that was followed furthest was meant.
    first = min(errors, key=lambda e: (e["type"] != "extra_forbidden", -len(e["loc"])))
    keys, _ = _followed(first["loc"], top)
    place = ".".join(keys) or "the file"
    if first["type"] == "extra_forbidden":
        known = _keys(_followed(first["loc"][:-1], top)[1])
        found = near(str(first["loc"][-1]), known, 1)
        text = f"{place}: unknown key; " + (f"did you mean {found[0]}?" if found else f"known here: {', '.join(known)}")
    elif first["type"] == "model_type":
        known = _keys(_followed(first["loc"], top)[1])
        given = "null" if first["input"] is None else repr(first["input"])
        text = f"{place}: is a section of keys, not {given}; known here: {', '.join(known)}"
    elif first["type"] == "missing":
        text = f"{place}: is missing; give it"
    else:
        text = f"{place}: {first['msg'].removeprefix('Value error, ')}"
        if "input" in first and not isinstance(first["input"], (dict, list)):
            text += f" (got {first['input']!r})"
    others = len({".".join(_followed(e["loc"], top)[0]) for e in errors} - {".".join(keys)})  # branches are one key
    return text + (f" (and {others} more)" if others else "")


def _keys(models: list[type[BaseModel]]) -> list[str]:
    """What the first of the sections that may stand somewhere takes."""
    return [f.alias or name for m in models[:1] for name, f in m.model_fields.items()]


_BRANCH = re.compile(r"int|str|float|((literal|list|tuple|dict|constrained)[-\[].*)", re.DOTALL)


def _followed(location: tuple, top: type[BaseModel]) -> tuple[list[str], list[type[BaseModel]]]:
    """The keys of a location, and the sections that may stand there.

    Pydantic names the branches of a union among the keys: a type, or, of methods, the name. They are left out.
    """
    keys: list[str] = []
    models: list[type[BaseModel]] = [top]
    for step in location:
        if isinstance(step, int):
            keys.append(str(step))
            continue
        named = [m for m in models if "name" in m.model_fields and m.model_fields["name"].default == step]
        of_type = [m for m in models if m.__name__ == step]
        if of_type:
            models = of_type
        elif named and len(models) > 1:
            models = named
        elif not _BRANCH.fullmatch(step):
            keys.append(step)
            fields = [f for m in models for name, f in m.model_fields.items() if step in (name, f.alias)]
            models = _models(fields[0].annotation) if fields else []
    return keys, models


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in getattr(annotation, "__args__", ()) for m in _models(a)]
