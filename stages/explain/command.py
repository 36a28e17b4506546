"""The options of the command ``explain`` as what :func:`stages.explain.interactive.explain_images` takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from activation_atlas.stages.methods import METHODS, MethodSpec, Options
from activation_atlas.stages.origin import model_spec, origin
from activation_atlas.stages.specs import ImagesSpec, ModelSpec, black_and_white, nearest
from activation_atlas.stages.stage import UserError


def model_of(model: str, **given: Any) -> ModelSpec:
    """``--model`` and what is said of it.

    Raises:
        UserError: it cannot be so; one line.
    """
    try:
        return model_spec(ModelSpec(**origin(model), **{k: v for k, v in given.items() if v is not None}))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "model"
        option = {"channels": "channel-order"}.get(key, key.replace("_", "-"))
        value = first["input"] if first["loc"] else model
        raise UserError(f"--{option} {value}: {first['msg'].removeprefix('Value error, ')}") from None


def methods_of(names: Sequence[str], layer: str | None, given: Sequence[str]) -> list[Options]:
    """``--method``, ``--layer`` and ``--option`` as methods with options; an option goes to all methods that know it.

    Raises:
        UserError: an unknown method or option (the nearest is named), a value that will not do, or one that no
            chosen method takes.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            sections[nearest(name, list(METHODS), "method")] = {"name": name}
        except ValueError as error:
            raise UserError(f"--method: {error}") from None
    if layer is not None:
        at = [name for name in sections if "layer" in METHODS[name].options.model_fields]
        if not at:
            raise UserError(f"--layer {layer}: {', '.join(sections)} explains at the input; leave --layer out")
        for name in at:
            sections[name]["layer"] = layer
    for text in given:
        key, equals, value = text.partition("=")
        known = {k: [n for n in sections if k in METHODS[n].options.model_fields] for k in _keys(sections)}
        if not equals:
            raise UserError(f"--option {text}: write key=value, e.g. patch=24")
        if key not in known:
            try:
                nearest(key, list(known), f"option of {', '.join(sections)}")
            except ValueError as error:
                raise UserError(
                    f"--option: {error}" if known else f"--option: {', '.join(sections)} has none"
                ) from None
        for name in known[key]:
            sections[name][key] = _value(text, value)
    methods = []
    for name, section in sections.items():
        try:
            methods.append(TypeAdapter(MethodSpec).validate_python(section))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(p) for p in first["loc"][1:2])
            raise UserError(f"--option {name}.{place}: {first['msg']} (got {first.get('input')!r})") from None
    return methods


def _keys(names: Iterable[str]) -> list[str]:
    return sorted({k for n in names for k in METHODS[n].options.model_fields} - {"name", "as_"})


def _value(text: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--option {text}: the value cannot be read") from None


def levels_of(levels: tuple[float, float] | None) -> tuple[float, float] | None:
    """``--levels``.

    Raises:
        UserError: they are the same, or not finite.
    """
    try:
        return black_and_white(levels)
    except ValueError as error:
        said = str(error).partition(";")[0]
        raise UserError(f"--levels: {said}; give two values, e.g. --levels 0 4095") from None


def fit_of(**given: Any) -> dict[str, Any]:
    """``--crop``, ``--crop-share``, ``--interpolation``, ``--antialias``.

    Raises:
        UserError: one cannot be so.
    """
    try:
        ImagesSpec(path="", **given)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        option = f"{str(first['loc'][0]).replace('_', '-')} {first['input']}: {said}" if first["loc"] else said
        raise UserError(f"--{option}") from None
    return given
