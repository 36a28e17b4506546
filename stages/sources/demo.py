"""``demo:NAME?key=value``: images the project draws itself (``stages/demo/NAME.py``)."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qsl

from activation_atlas.stages import demo
from activation_atlas.stages.caches import cached
from activation_atlas.stages.sources.folder import split_of
from activation_atlas.stages.sources.places import Place
from activation_atlas.stages.sources.rows import Rows
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import ImageError

PREFIX = "demo:"


def list_demo(place: Place, spec: ImagesSpec) -> Rows | None:
    """Asks the module for its ``listing(**query)``: (name, label) pairs."""
    if not place.url.startswith(PREFIX):
        return None
    name, _, query = place.url.removeprefix(PREFIX).partition("?")
    options = {key: int(value) if value.lstrip("-").isdigit() else value for key, value in parse_qsl(query)}
    try:
        pairs = _module(name).listing(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"images.path: {place.url}: {error}") from None
    splits = [split_of(key) for key, _ in pairs]
    unlabelled = (spec.label_column or "").lower() == "none"
    return Rows(
        keys=[key for key, _ in pairs],
        uris=[f"{PREFIX}{name}#{key}" for key, _ in pairs],
        stamps=[_drawn_by()] * len(pairs),
        rejects=[None] * len(pairs),
        labels=None if unlabelled else [label for _, label in pairs],
        labelled_by="demo labels",
        splits=splits if any(splits) else None,
    )


@cached(4096)  # some 15 kB each; drawing one takes longer than all else that is done with it
def draw(uri: str) -> bytes:
    """The PNG bytes of a demo image.

    Raises:
        ImageError: there is no such image.
    """
    name, _, key = uri.removeprefix(PREFIX).partition("#")
    try:
        return _module(name).image(key)
    except (UserError, KeyError, ValueError, IndexError) as error:
        raise ImageError(f"the demo draws no image {key!r} ({error})") from None


def _module(name: str) -> ModuleType:
    full = f"activation_atlas.stages.demo.{name}"
    module = import_module(full) if name.isidentifier() and importlib.util.find_spec(full) else None
    if module is None or not hasattr(module, "listing"):
        raise UserError(f"images.path: there is no demo {name!r}; there is demo:scenes")
    return module


@lru_cache(maxsize=1)
def _drawn_by() -> str:
    """Changes when the code that draws does."""
    code = [path.read_bytes() for path in sorted(Path(demo.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"\0".join(code)).hexdigest()[:16]
