"""Whole runs that explain, from the command line: the same bytes, however they came about."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import pytest

from activation_atlas.pipeline.store import Store
from tests.small import digests, write_config
from tests.test_runs import ROOT, command
from tests.test_runs import run as whole_run

METHODS = [
    "grad_cam",
    {"name": "grad_cam", "layer": "first", "as": "early"},
    {"name": "smooth_grad", "samples": 3},
    {"name": "expected_gradients", "samples": 3, "background": 3},
    {"name": "integrated_gradients", "steps": 3},
    {"name": "occlusion", "patch": 8, "stride": 8},
    {"name": "rise", "masks": 10, "cells": 4},
]
VARIANTS = {"early", *(m if isinstance(m, str) else m["name"] for m in METHODS)}

pytestmark = pytest.mark.slow


def run(*words) -> subprocess.CompletedProcess:
    """To the maps; the page is tested elsewhere."""
    return whole_run(*words, "--until", "explain")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A finished run: (configuration, run folder)."""
    folder = tmp_path_factory.mktemp("small")
    explain = {"images": "all", "methods": METHODS, "targets": ["predicted", "label", "second"], "batch": 4}
    config = write_config(folder, atlases=[], explain=explain)
    done = run(config, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return config, folder / "run"


def test_a_run_leaves_the_maps_of_every_variant(small):
    store = Store(small[1])
    assert {t.removeprefix("maps/") for t in store.tables() if t.startswith("maps/")} == VARIANTS
    record = json.loads((small[1] / "run.json").read_text())
    rows = {record["tables"][f"maps/{name}"]["rows"] for name in VARIANTS}
    assert len(rows) == 1 and 24 * 2 <= rows.pop() <= 24 * 3  # the second class, and predicted and label or both in one
    assert record["metrics"]["explain/early"]["layer"] == "first"


def test_a_second_run_does_nothing_and_a_changed_method_runs_alone(small, tmp_path):
    config, out = small
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    assert "nothing to do" in run(config, "--out", out).stdout
    assert "nothing to do" in run(config, "--out", out, "--set", "explain.batch=3").stdout
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")} == before
    done = run(config, "--out", out, "--set", "explain.methods.4.steps=4")
    assert done.returncode == 0, done.stderr
    changed = {p.parent.name for p in out.rglob("*.parquet") if p.stat().st_mtime_ns != before.get(p)}
    assert changed == {"integrated_gradients", "explain-integrated_gradients"}  # maps, and what could not be read
    assert run(config, "--out", out).returncode == 0


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers_write_the_same_bytes(small, tmp_path, scheduler):
    config, out = small
    done = run(config, "--out", tmp_path / "run", "--scheduler", scheduler, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "run") == digests(out)


def test_killed_at_random_moments_it_ends_with_the_same_bytes(small, tmp_path):
    config, out = small
    chance, target = random.Random(0), tmp_path / "killed"
    words = (config, "--out", target, "--quiet")
    assert whole_run(*words, "--until", "extract").returncode == 0
    copy = tmp_path / "whole"
    began = time.monotonic()
    assert run(config, "--out", copy, "--quiet").returncode == 0
    whole = time.monotonic() - began
    for _ in range(5):
        process = subprocess.Popen(
            command("run", *words, "--until", "explain"),
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(chance.uniform(0.2, 0.9) * whole)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert run(*words).returncode == 0
    assert digests(target) == digests(copy) == digests(out)
    assert not list(target.rglob(".tmp-*"))
