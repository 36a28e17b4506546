"""The attribution methods by name, and what a configuration says of one: its name, or its name and options.

Each is declared in one file of ``stages/vision/attribution/methods``, by a record that is light to import. ``python -m
activation_atlas.stages.methods README.md`` writes the table of methods into a file that has one.
"""

from __future__ import annotations

import re
import sys
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from activation_atlas.stages.specs import nearest
from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.attribution.methods.method import Method, Options

__all__ = ["METHODS", "RANDOM", "Method", "MethodSpec", "Options", "baseline"]

RANDOM = ("random", "random_pixels")
"""Variants that are no methods: a random map for each image, smooth or of single pixels."""


def baseline(method: Options) -> str:
    """The random map that a method's maps are set against."""
    return RANDOM[METHODS[method.name].grain == "pixels" and not method.inner]


def _named(value: Any) -> Any:
    """``grad_cam`` is short for ``{name: grad_cam}``."""
    value = {"name": value} if isinstance(value, str) else value
    if not isinstance(value, (dict, Options)):
        raise ValueError("write a method's name, or {name: ..., and its options}")
    if isinstance(value, dict):
        if "name" not in value:
            raise ValueError(f"a method needs a name: one of {', '.join(METHODS)}")
        nearest(str(value["name"]), list(METHODS), "method")
    return value


def _tag(value: Any) -> str:
    return value["name"] if isinstance(value, dict) else getattr(value, "name", "")


_any: Any = reduce(or_, (Annotated[method.options, Tag(name)] for name, method in METHODS.items()))

MethodSpec = Annotated[_any, Discriminator(_tag), BeforeValidator(_named)]
"""Any method with its options: an instance of its class of :class:`Options`."""


_HEAD = "| method | what its map is | source |\n"


def table() -> str:
    """The methods as a table in Markdown: name, what its map is, source."""
    return f"{_HEAD}|---|---|---|\n" + "".join(f"| `{m.name}` | {m.about} | {m.source} |\n" for m in METHODS.values())


def written(text: str) -> str:
    """``text`` with :func:`table` in the place of the one it has.

    Raises:
        ValueError: it has none, or several.
    """
    replaced, count = re.subn(rf"^{re.escape(_HEAD)}(\|.*\n)+", lambda _: table(), text, flags=re.M)
    if count != 1:
        raise ValueError(f"{count} tables of methods; there must be one, which begins with {_HEAD.strip()}")
    return replaced


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
