"""The reference has every key, command, option, table, column, method, stage and public name, each with its meaning."""

import json
import re
from pathlib import Path

import pytest
import typer
import yaml

import activation_atlas
from activation_atlas import stages
from activation_atlas.pipeline.cli import app
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.tables import TABLES
from docs.reference import PAGES

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "configs" / "schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pages() -> dict[str, dict[str, dict[str, list[str]]]]:
    """Of each page, by anchor, the rows of the tables there: first cell to the others."""
    return {path: parsed(page()) for path, page in PAGES.items() if path != "reference/python.md"}


def parsed(text: str) -> dict[str, dict[str, list[str]]]:
    found, rows = {}, {}
    for line in text.splitlines():
        if heading := re.match(r"#+ .*\{ #(\S+) \}$", line):
            rows = found.setdefault(heading.group(1), {})
        elif line.startswith("| ") and not line.startswith(("| ---", "| key ")):
            first, *others = re.split(r" (?<!\\)\| ", line.strip("| "))
            if first.strip():
                rows[first.strip()] = [cell.strip() for cell in others]
    return found


def sections(path: str, section: dict) -> dict[str, dict]:
    """Dotted path of every section of the configuration, as the JSON Schema has them."""
    found = {path or "file": section}
    for name, value in section["properties"].items():
        for ref in re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps({**value, "oneOf": None})):
            inner = SCHEMA["$defs"][ref]
            if "properties" in inner and "const" not in inner["properties"].get("name", {}):
                found |= sections(f"{path}.{name}" if path else name, inner)
    return found


def test_every_key_of_the_configuration_has_its_row(pages):
    found = sections("", SCHEMA)
    assert {"file", "model", "atlases.render", "evaluate.randomization"} <= set(found)
    page = pages["reference/configuration.md"]
    assert set(page) == set(found)
    for anchor, section in found.items():
        known = [name for name, value in section["properties"].items() if not value.get("deprecated")]
        assert list(page[anchor]) == [f"`{name}`" for name in known], anchor
        for key, (kind, default, meaning) in page[anchor].items():
            assert kind and default and meaning, f"{anchor}: {key} lacks its kind, default or meaning"


def test_every_command_and_option_has_its_row(pages):
    page = pages["reference/commands.md"]
    commands = typer.main.get_command(app).commands
    assert [anchor for anchor in page if anchor in commands] == list(commands)
    for name, command in commands.items():
        for parameter in command.params:
            if parameter.name != "help":
                first = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar
                row = next((cells for key, cells in page[name].items() if f"`{first}`" in key), None)
                assert row and row[-1], f"{name} {first} is not told"


def test_every_table_and_column_has_its_row(pages):
    page = pages["reference/tables.md"]
    assert list(page) == list(TABLES)
    for name, table in TABLES.items():
        assert set(page[name]) == {"column", *(f"`{column}`" for column in table.columns)}
        assert all(kind and meaning for kind, meaning in page[name].values()), name
    assert page["predictions"]["`logits`"][0] == "float32[K]"
    assert page["cells"]["`exemplars`"][0].startswith("list of {image_id: string")


def test_every_method_has_its_formula_source_and_options(pages):
    page, text = pages["reference/methods.md"], PAGES["reference/methods.md"]()
    assert list(page) == list(METHODS)
    for name, method in METHODS.items():
        assert page[name]["source"] == [method.source] and page[name]["map"] and f"\n    {method.formula}\n" in text
        options = {field.alias or key for key, field in method.options.model_fields.items()} - {"name", "as"}
        assert {f"`{option}`" for option in options} <= set(page[name])
        assert all(cells[-1] for cells in page[name].values()), name


def test_every_stage_has_its_place(pages):
    assert tuple(pages["reference/stages.md"]) == stages.ORDER


def test_every_public_name_is_told():
    told = re.findall(r"^::: activation_atlas\.(\w+)$", PAGES["reference/python.md"](), re.M)
    assert told == [name for name in activation_atlas.__all__ if not name.startswith("_")]
    for name in told:
        assert (getattr(activation_atlas, name).__doc__ or "").strip(), name


def test_a_page_that_is_written_by_hand_is_in_the_site():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    site = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    named = set(re.findall(r"[\w/]+\.md", json.dumps(site["nav"])))
    written = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert named == written | set(PAGES)
