"""Every key of a configuration: what it may be, its default, its meaning; from the models that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from activation_atlas.pipeline.config import whole
from docs.reference.markdown import anchored, code, table

Schema = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """One key: dotted ``path`` (``atlases[].render.size``), Markdown ``kind`` and ``default``, ``about``."""

    path: str
    kind: str
    default: str
    about: str


@dataclass(frozen=True)
class Section:
    """A mapping of the file: its dotted path ("" for the whole), what it is, and its keys."""

    path: str
    about: str
    keys: list[Key]


def page() -> str:
    parts = [
        "# Configuration",
        "One YAML file says what a run does. Input paths in it are relative to the file; `${NAME}` and "
        "`${NAME:-default}` read the environment; `--set key=value` overrides one key. Only `model` and `images` must "
        "be given. An unknown key is an error that names its nearest neighbour. An editor with a YAML language server "
        "completes and checks a file that begins with `# yaml-language-server: $schema=schema.json`, a file that "
        "`activation-atlas schema` prints.",
    ]
    for section in sections():
        title = code(section.path) if section.path else "The file"
        parts += [anchored(2, title, section.path.replace("[]", "") or "file"), section.about]
        rows = [
            (code(key.path.rsplit(".", 1)[-1].removesuffix("[]")), key.kind, key.default, key.about)
            for key in section.keys
        ]
        parts.append(table(("key", "what it may be", "default", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def _row(key: Key) -> tuple[str, str, str, str]:
    return code(key.path.rsplit(".", 1)[-1].removesuffix("[]")), key.kind, key.default, key.about


def rows_of(model: type[BaseModel], leave_out: Sequence[str] = ()) -> list[tuple[str, str, str, str]]:
    """The keys of one section as rows of its table."""
    schema = model.model_json_schema()
    (section, *_) = _sections("", schema, schema.get("$defs", {}))
    return [_row(key) for key in section.keys if key.path not in leave_out]


def sections() -> Iterator[Section]:
    """The file, and every mapping in it, outermost first; methods have a page of their own."""
    file = whole().model_json_schema()
    yield from _sections("", file, file["$defs"])


def _sections(path: str, schema: Schema, known: dict[str, Schema]) -> Iterator[Section]:
    keys, below = [], []
    for name, value in schema["properties"].items():
        own = f"{path}.{name}" if path else name
        inner, many = _mapping(value, known)
        if inner is not None:
            own += "[]" if many else ""
            below.append((own, inner))
        kind = _kind(value, known, own)
        needed = name in schema.get("required", ())
        keys.append(Key(own, kind, "must be given" if needed else _default(value, inner), value.get("description", "")))
    yield Section(path, _first_line(schema), keys)
    for own, inner in below:
        yield from _sections(own, inner, known)


def _mapping(value: Schema, known: dict[str, Schema]) -> tuple[Schema | None, bool]:
    """The section that a value is, if it is one, and whether it is a list of them."""
    for branch in [value, *value.get("anyOf", [])]:
        if "$ref" in branch:
            found = known[branch["$ref"].rsplit("/", 1)[-1]]
            if "properties" in found:
                return found, False
        inner = branch.get("items", {})
        if "$ref" in inner and "properties" in known[inner["$ref"].rsplit("/", 1)[-1]]:
            return known[inner["$ref"].rsplit("/", 1)[-1]], True
    return None, False


def _kind(value: Schema, known: dict[str, Schema], own: str) -> str:
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_kind(branch, known, own) for branch in value["anyOf"]))
    if "oneOf" in value:
        return "[a method](methods.md): its name, or a mapping of `name` and its options"
    if "$ref" in value:
        found = known[value["$ref"].rsplit("/", 1)[-1]]
        return f"[a mapping](#{own.replace('[]', '')})" if "properties" in found else _kind(found, known, own)
    if "const" in value:
        return code(_yaml(value["const"]))
    if "enum" in value:
        return ", ".join(code(_yaml(item)) for item in value["enum"])
    kind = value.get("type")
    if kind == "array":
        return _list(value, known, own)
    if kind == "object":
        return (
            f"a mapping of names to {_kind(value['additionalProperties'], known, own)}"
            if isinstance(value.get("additionalProperties"), dict)
            else "a mapping"
        )
    named = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    named |= {"null": "`null`"}
    return named.get(kind, "any value") + _bounds(value)


def _list(value: Schema, known: dict[str, Schema], own: str) -> str:
    if "prefixItems" in value:
        kinds = [_kind(item, known, own) for item in value["prefixItems"]]
        return "[" + ", ".join(kinds) + "]"
    return f"a list of: {_kind(value['items'], known, own)}" if value.get("items") else "a list"


def _bounds(value: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {value[name]:g}" for name, sign in signs.items() if name in value]
    return f" {', '.join(said)}" if said else ""


def _default(value: Schema, inner: Schema | None) -> str:
    if "default" not in value:
        return "its own defaults" if inner is not None else "–"
    return code(_yaml(value["default"])) if not isinstance(value["default"], dict) else "its own defaults"


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _first_line(schema: Schema) -> str:
    return schema.get("description", "").strip().split("\n\n")[0]
