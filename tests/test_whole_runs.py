"""Whole runs of all that there is: atlases, maps by every kind of method, and what is measured of them.

The same bytes, however they came about.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from activation_atlas.pipeline.store import Store
from tests.bench import command
from tests.leaning import written
from tests.small import digests
from tests.test_runs import ROOT, run

METHODS = [
    "grad_cam",
    {"name": "grad_cam", "layer": "copy", "as": "early"},
    {"name": "smooth_grad", "samples": 3},
    {"name": "expected_gradients", "samples": 3, "background": 3},
    {"name": "integrated_gradients", "steps": 3},
    {"name": "occlusion", "patch": 8, "stride": 8},
    {"name": "rise", "masks": 10, "cells": 4},
]
VARIANTS = {"early", *(m if isinstance(m, str) else m["name"] for m in METHODS)}
EXPLAIN = {"images": "all", "limit": 24, "methods": METHODS, "targets": ["predicted", "label", "second"], "batch": 4}
EVALUATE = {"steps": 2, "limit": 4, "randomization": {"images": 2, "depths": 2}}

TABLES = ("--until", "audit")
"""All tables and states are there; pages and figures are not compared, and drawn by the run that is killed."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run: (configuration, run folder)."""
    folder = tmp_path_factory.mktemp("whole")
    sections = written(folder, 36, explain=EXPLAIN, evaluate=EVALUATE, report={"poster": 200, "photo": 32})
    render = {"grids": [2], "size": 16, "steps": 4, "batch": 4}
    own = {"name": "red", "layer": "copy", "class": "red", "rows": 40, "grids": [2], "min_count": 1, "render": render}
    sections["atlases"][0]["render"] = render
    sections["atlases"].append({**own, "reduce": {"method": "pca", "components": 3}})
    sections["run"]["shard_images"] = 40
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(sections, sort_keys=False))
    code, _, said = command("run", config, "--out", folder / "run", *TABLES)
    assert code == 0, said
    return config, folder / "run"


def test_a_run_leaves_the_maps_of_every_variant(whole):
    store = Store(whole[1])
    assert {t.removeprefix("maps/") for t in store.tables() if t.startswith("maps/")} == VARIANTS
    record = json.loads((whole[1] / "run.json").read_text())
    rows = {record["tables"][f"maps/{name}"]["rows"] for name in VARIANTS}
    assert len(rows) == 1 and 24 * 2 <= rows.pop() <= 24 * 3  # the second class, and predicted and label or both in one
    assert record["metrics"]["explain/early"]["layer"] == "copy"
    assert record["metrics"]["cues"]["verified"] == 1 and store.rows("trials") > 300


def test_a_second_run_does_nothing_and_a_changed_method_runs_alone(whole):
    config, out = whole
    until = ("--until", "explain")
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    for setting in ("run.seed=0", "explain.batch=3"):
        assert "nothing to do" in command("run", config, "--out", out, "--set", setting, *until)[1]
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")} == before
    assert command("run", config, "--out", out, "--set", "explain.methods.4.steps=4", *until)[0] == 0
    changed = {p.parent.name for p in out.rglob("*.parquet") if p.stat().st_mtime_ns != before.get(p)}
    assert changed == {"integrated_gradients", "explain-integrated_gradients"}  # maps, and what could not be read
    assert command("run", config, "--out", out, *until)[0] == 0


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers_write_the_same_bytes(whole, tmp_path, scheduler):
    config, out = whole
    done = run(config, "--out", tmp_path / "run", "--scheduler", scheduler, "--workers", "2", *TABLES)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "run") == digests(out)


def test_killed_at_any_write_it_ends_with_the_same_bytes(whole, tmp_path):
    config, out = whole
    words = ["run", config, "--out", tmp_path / "run", "--quiet"]
    killed = [sys.executable, "-m", "tests.killed", "20", "60", *map(str, words)]
    done = subprocess.run(killed, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 12, "the run ends before it can be killed"
    assert digests(tmp_path / "run") == digests(out)
    assert not list(tmp_path.rglob(".tmp-*"))
    *fell, last = [line["outcome"] for line in Store(tmp_path / "run").lines("history.jsonl")]
    # One that ends before its write comes is the last but one; another may fall once it has its line.
    assert last == "finished" and {*fell} <= {"killed", "finished"} and fell.count("finished") <= 2
    assert 12 <= len(fell) <= int(done.stdout) + 1
