"""The JSON Schema takes what a run takes, describes every key, and is the one that ships for editors."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from activation_atlas.pipeline.config import Config, load
from activation_atlas.pipeline.record import about
from activation_atlas.pipeline.schema import schema, text
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.stage import UserError

ROOT = Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
README = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
LEAST = {"model": {"path": "m.keras"}, "images": {"path": "images"}}
ATLAS = {"name": "a", "layer": "c"}
VALIDATOR = jsonschema.Draft202012Validator(schema())


def errors(data):
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}"[:300] for e in VALIDATOR.iter_errors(data)]


def accepted(data, tmp_path):
    """Whether a run takes it."""
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(data))
    try:
        return load(str(tmp_path / "c.yaml"))
    except UserError:
        return None


def test_it_is_a_schema_and_the_one_that_ships():
    jsonschema.Draft202012Validator.check_schema(schema())
    shipped = (ROOT / "configs/schema.json").read_text(encoding="utf-8")
    assert shipped == text(), "activation-atlas schema > configs/schema.json"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_configs_validate_as_they_stand_and_name_it_to_editors(path):
    written = path.read_text(encoding="utf-8")
    assert "\n# yaml-language-server: $schema=schema.json\n" in written
    assert not errors(yaml.safe_load(written))


@pytest.mark.parametrize("snippet", README)
def test_snippets_of_the_readme_validate_and_run(snippet, tmp_path):
    data = {**LEAST, **yaml.safe_load(snippet)}
    assert not errors(data) and accepted(data, tmp_path)


ODD = [
    {"run": {"seed": "3", "shard_images": 64.0}},
    {"run": {"seed": "${SEED:-0}"}, "images": {"path": "${PLACE}/images", "resize": "224"}},
    {"images": {"path": "x", "resize": [224, 224], "crop": "pad", "storage_options": {"anon": True}}},
    {"images": {"path": "x", "labels": None, "limit": None}},
    {"model": {"application": "VGG16", "weights": None, "range": [-1, "1e0"]}},
    {"model": {"path": "m.keras", "classes": ["a", "b"], "input_size": 64}},
    {"extract": {"attribution": ["a", "b"], "max_rejects": "1e-3", "dtype": "float32"}},
    {"extract": {"attribution": "none", "decode_threads": None}},
    {"atlases": [{**ATLAS, "class": "x", "rows": 5, "render": None}]},
    {"atlases": [{**ATLAS, "class_": "x", "keep": "winner"}]},
    {"atlases": [{**ATLAS, "pair": ["x", "y"], "grids": ["5", 10], "render": {"grids": [5], "whiten": "1e-3"}}]},
    {"atlases": [{**ATLAS, "images": "yes", "reduce": {"method": "umap", "min_dist": "5e-2"}}]},
    {"explain": {}, "evaluate": {}},
    {"explain": {"methods": list(METHODS), "targets": ["predicted", "rank:2", "top:3", "class:second"]}},
    {"explain": {"methods": [{"name": name} for name in METHODS]}},
    {"explain": {"methods": ["rise", {"name": "rise", "as": "more", "masks": "2000"}, {"name": "rise", "as_": "b"}]}},
    {"explain": {"methods": [{"name": "occlusion", "patch": [8, "4"], "stride": 4, "fill": [0, 0.5, "1e2"]}]}},
    {"explain": {"methods": [{"name": "grad_cam", "layer": None}]}, "evaluate": {"boxes": ["a", "b", "c", "d"]}},
    {"explain": {}, "evaluate": {"deletion": "on", "insertion": 0, "randomization": None, "boxes": "box"}},
    {"explain": None, "evaluate": None},
]


@pytest.mark.parametrize("changes", ODD)
def test_what_a_run_takes_the_schema_takes(changes, tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    data = {**LEAST, **changes}
    config = accepted(data, tmp_path)
    assert config is not None and not errors(data)
    assert not errors(json.loads(json.dumps(about(config)["config"])))  # as the page shows it


def paths(node, at=()):
    """Places of all mappings in a configuration."""
    if isinstance(node, dict):
        yield at
    for key, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from paths(inner, (*at, key))


def test_an_unknown_key_is_refused_by_both_wherever_it_stands(tmp_path):
    whole = {
        **LEAST,
        "run": {"seed": 1},
        "extract": {"edge": 1},
        "atlases": [{**ATLAS, "reduce": {}, "render": {}}],
        "explain": {"methods": [{"name": name} for name in METHODS]},
        "evaluate": {"randomization": {}},
        "report": {},
    }
    assert accepted(whole, tmp_path) and not errors(whole)
    for at in paths(whole):
        data = copy.deepcopy(whole)
        node = data
        for key in at:
            node = node[key]
        node["colour"] = 1
        assert errors(data) and accepted(data, tmp_path) is None, at


@pytest.mark.parametrize(
    "changes",
    [
        {"run": {"seed": "many"}},
        {"run": {"seed": -1}},
        {"images": {"path": "x", "crop": "middle"}},
        {"explain": {"methods": ["gradcam"]}},
        {"explain": {"methods": [{"layer": "a"}]}},
        {"explain": {"methods": [{"name": "rise", "patch": 3}]}},
        {"evaluate": {"deletion": "perhaps"}, "explain": {}},
        {"atlases": [{"name": "a"}]},
        {"model": None},
    ],
)
def test_what_is_plainly_wrong_both_refuse(changes, tmp_path):
    data = {**LEAST, **changes}
    assert errors(data) and accepted(data, tmp_path) is None


def test_every_key_has_a_description():
    found = schema()
    for name, section in {"Config": found, **found["$defs"]}.items():
        for key, value in section.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"
    assert Config.model_fields.keys() == found["properties"].keys()
