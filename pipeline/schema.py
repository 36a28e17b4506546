"""The configuration's JSON Schema: it accepts whatever a run accepts, as the text stands in the file.

A schema sees the YAML as it is written: with `${VARIABLES}` not yet filled in, and numbers that YAML 1.1 reads as
texts (`1e-3`), which the configuration reads as numbers all the same.
"""

from __future__ import annotations

import json
from typing import Any

from activation_atlas.pipeline.config import whole

Schema = dict[str, Any]

VARIABLE = r"\$\{\w+(:-[^}]*)?\}"
_WHOLE = rf"^\s*[-+]?\d[\d_]*(\.0*)?\s*$|{VARIABLE}"
_NUMBER = rf"^\s*[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$|{VARIABLE}"
_TRUTH = rf"^(?:[tT]rue|TRUE|[fF]alse|FALSE|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF|[yYnNtTfF01])$|{VARIABLE}"
_TEXTS = {"integer": ("WholeNumber", _WHOLE), "number": ("Number", _NUMBER), "boolean": ("Truth", _TRUTH)}
_KEPT = ("description", "default", "deprecated")


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a configuration."""
    found = _untitled(whole().model_json_schema())
    for section in [found, *found["$defs"].values()]:
        _describe(section)
        section["properties"] = {
            name: _property(value, found["$defs"]) for name, value in section.get("properties", {}).items()
        }
        for alias, own in (("class", "class_"), ("as", "as_")):
            if alias in section["properties"]:  # what Python calls it is taken too
                section["properties"][own] = {**section["properties"][alias], "deprecated": True}
    texts = {**dict(_TEXTS.values()), "Variable": VARIABLE}
    found["$defs"] |= {name: {"type": "string", "pattern": pattern} for name, pattern in texts.items()}
    found["title"] = "A configuration of activation-atlas"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def text() -> str:
    """:func:`schema` as it stands in ``configs/schema.json``."""
    return json.dumps(schema(), indent=1) + "\n"


def _untitled(value: Any) -> Any:
    """Without the titles that only repeat the keys."""
    if isinstance(value, list):
        return [_untitled(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _untitled(item) for key, item in value.items() if key != "title" or not isinstance(item, str)}


def _describe(section: Schema) -> None:
    """A method is known by its name, which its options must therefore have."""
    name = section.get("properties", {}).get("name", {})
    if "const" in name:
        name["description"] = "the method"
        section["required"] = ["name"]


def _property(value: Schema, sections: dict[str, Schema]) -> Schema:
    about = {key: value[key] for key in _KEPT if key in value}
    if "const" in value:
        return value
    loose = _loose({key: item for key, item in value.items() if key not in _KEPT}, sections)
    branches = loose.get("anyOf", [loose])
    if not any(_takes_variables(branch) for branch in branches):
        branches = [*branches, {"$ref": "#/$defs/Variable"}]
    return {**about, **(branches[0] if len(branches) == 1 else {"anyOf": branches})}


def _takes_variables(branch: Schema) -> bool:
    texts = [f"#/$defs/{name}" for name, _ in _TEXTS.values()]
    return (branch.get("type") == "string" and "enum" not in branch) or branch.get("$ref") in texts


def _loose(value: Schema, sections: dict[str, Schema]) -> Schema:
    """A value, or the text that is read as one."""
    if value.get("type") in _TEXTS:
        more = [{"enum": [0, 1]}] if value["type"] == "boolean" else []
        return {"anyOf": [value, *more, {"$ref": f"#/$defs/{_TEXTS[value['type']][0]}"}]}
    if "oneOf" in value:  # of all the unions, the one of the methods
        return {"anyOf": [_names(value, sections), {"oneOf": value["oneOf"]}]}
    if "anyOf" in value:
        branches: list[Schema] = []
        for branch in value["anyOf"]:
            loose = _loose(branch, sections)
            branches += [b for b in loose.get("anyOf", [loose]) if b not in branches]
        return {**value, "anyOf": branches}
    value = dict(value)
    if isinstance(value.get("items"), dict):
        value["items"] = _loose(value["items"], sections)
    if "prefixItems" in value:
        value["prefixItems"] = [_loose(item, sections) for item in value["prefixItems"]]
    return value


def _names(value: Schema, sections: dict[str, Schema]) -> Schema:
    """`grad_cam` is short for `{name: grad_cam}`."""
    methods = [sections[branch["$ref"].rsplit("/", 1)[-1]] for branch in value["oneOf"]]
    return {"enum": [method["properties"]["name"]["const"] for method in methods]}
