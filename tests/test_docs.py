"""What the documentation says exists, exists."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from activation_atlas import stages
from activation_atlas.pipeline.cli import app
from activation_atlas.stages.tables import TABLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_command_is_documented_and_has_help():
    commands = {c.name or c.callback.__name__ for c in app.registered_commands}
    assert commands == set(re.findall(r"^\| `activation-atlas (\w+)", README, re.M))
    for name in sorted(commands):
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0
        assert len(shown.output.splitlines()) > 4


def test_every_method_is_documented_as_it_describes_itself():
    from activation_atlas.stages.methods import table, written

    assert f"\n{table()}\n" in README.split("## Where it looked")[1].split("\n## ")[0], "make described"
    assert written(README) == README
    with pytest.raises(ValueError, match="0 tables of methods"):
        written("nothing")


def test_every_stage_is_documented_in_running_order():
    table = README.split("## The stages")[1].split("##")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.M)) == stages.ORDER


def test_every_table_that_is_written_is_described():
    table = README.split("## The stages")[1].split("##")[0]
    for names in re.findall(r"\| (`\w+.*)$", table, re.M):
        for name in re.findall(r"`(\w+)(?:/\w+)?`", names.split("|")[-2]):
            assert name in TABLES or name == "figures", name


def test_schemas_and_descriptions_agree():
    from activation_atlas.stages import tables

    sizes = {"predictions": (3,), "features": (4,), "activations": (4, 3), "grids": (4,), "cells": (4, 3)}
    sizes |= {"moments": (4,), "responses": (4,)}
    for name, described in TABLES.items():
        columns = set(getattr(tables, name)(*sizes.get(name, ())).names)
        assert columns == {c for c in described.columns if not c.endswith("*")}, name
        assert set(described.key) <= columns
