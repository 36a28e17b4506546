"""Whole runs of a small data set, from the command line: the same bytes, however they came about."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from activation_atlas.pipeline.store import Store
from tests.small import digests, write_config

ROOT = Path(__file__).parent.parent
TABLES = {
    "images", "rejects/index", "rejects/extract", "predictions", "pixels", "levels", "doubts",
    "activations/first", "activations/second",
    *(f"{t}/{a}" for t in ("layouts", "grids", "cells", "names", "validity", "icons") for a in ("all", "checks")),
}  # fmt: skip


def command(*words) -> list[str]:
    return [sys.executable, "-m", "activation_atlas", *map(str, words)]


def run(*words, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command("run", *words), capture_output=True, text=True, env=environment, **options)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A finished run: (configuration, run folder, what the command said)."""
    folder = tmp_path_factory.mktemp("small")
    config = write_config(folder)
    done = run(config, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return config, folder / "run", done


def test_a_run_leaves_the_tables_and_names_the_page(small):
    _, out, done = small
    assert set(Store(out).tables()) == TABLES
    assert f"open {(out / 'site/index.html').resolve()}" in done.stdout
    assert (out / "site/index.html").stat().st_size > 10_000
    record = json.loads((out / "run.json").read_text())
    assert record["tables"]["images"]["rows"] == 24
    assert record["tables"]["activations/second"]["rows"] == 24 * 6
    assert "trustworthiness" in json.dumps(record["metrics"])


def test_a_second_run_does_nothing(small):
    config, out, _ = small
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    done = run(config, "--out", out)
    assert done.returncode == 0 and "nothing to do" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")} == before


def test_rows_are_sorted_by_key(small):
    from activation_atlas.stages.tables import TABLES as ALL

    store = Store(small[1])
    for name in store.tables():
        key = [c for c in ALL[name.split("/")[0]].key]
        for k in range(store.parts(name)):
            # What is of several classes together has no class, and stands before those that it is of.
            rows = [tuple((v is not None, v) for v in r.values()) for r in store.read(name, k, key).to_pylist()]
            assert rows == sorted(rows), name


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers_write_the_same_bytes(small, tmp_path, scheduler):
    config, out, _ = small
    done = run(config, "--out", tmp_path / "run", "--scheduler", scheduler, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "run") == digests(out)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(small, tmp_path):
    config, out, _ = small
    chance = random.Random(0)
    started = time.monotonic()
    assert run(config, "--out", tmp_path / "whole", "--quiet").returncode == 0
    whole = time.monotonic() - started
    target, kills, rounds = tmp_path / "killed", 0, 0
    while kills < 20:
        rounds += 1
        assert rounds < 60, "the run ends before it can be killed"
        if rounds % 4 == 0:  # start anew now and then, so that late stages are hit as well as early ones
            target = tmp_path / f"killed-{rounds}"
        words = command("run", config, "--out", target, "--quiet")
        anew, started = not target.exists(), time.monotonic()
        process = subprocess.Popen(
            words, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.2, 1.0) * whole)
            whole = time.monotonic() - started if anew else whole  # the machine has less else to do than before
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    for folder in sorted(tmp_path.glob("killed*")):
        assert run(config, "--out", folder, "--quiet").returncode == 0
        assert digests(folder) == digests(out)
        assert not list(folder.rglob(".tmp-*"))


@pytest.mark.slow
def test_an_interrupt_is_resumable_and_says_so(small, tmp_path):
    config, _, _ = small
    process = subprocess.Popen(
        command("run", config, "--out", tmp_path / "run"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "run/images/part-00000.parquet").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said and "run the same command again" in said
