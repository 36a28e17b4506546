"""A run folder that is run again: what changed, was damaged, is full, is locked or is served."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import Bench, command, one_line
from tests.small import digests, draw, write_images


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("again"))


@pytest.fixture(scope="module")
def done(bench):
    """A finished run over images of its own: (bench, images, digests)."""
    images = write_images(bench.folder / "own", per_class=4)
    assert bench.did("again", OWN) == [
        "extract (fit)", "index", "extract", "doubt (fit)", "doubt", "measures (fit)", "measures",
        "reduce (fit)", "reduce", "grid", "attribute",
        "names", "validity (fit)", "validity", "moments", "render (fit)", "render", "report",
    ]  # fmt: skip
    return bench, images, digests(bench.folder / "again")


OWN = "images.path=own"


@pytest.mark.slow
def test_changed_removed_and_added_images(done):
    bench, images, before = done
    target = images / "stripes/0.png"
    kept = target.read_bytes()
    os.utime(target)
    assert bench.did("again", OWN) == ["index"]  # read again, found the same
    draw("blobs", 99).save(target)
    plan = command("plan", bench.config, "--out", bench.folder / "again", "--set", OWN)[1]
    assert "index                            would run 1 of 3 shards" in plan
    assert bench.did("again", OWN)[:5] == ["index", "extract", "doubt (fit)", "measures (fit)", "reduce (fit)"]
    target.write_bytes(kept)
    bench.did("again", OWN)
    assert digests(bench.folder / "again") == before
    removed = {path: path.read_bytes() for path in (images / "stripes").iterdir()}
    for path in removed:
        path.unlink()
    bench.did("again", OWN)
    store = bench.store("again")
    assert {store.parts(t) for t in store.tables() if store.parts(t) > 1} == {2}  # the third part went
    assert store.rows("images") == store.rows("predictions") == 8
    for path, data in removed.items():
        path.write_bytes(data)
    bench.did("again", OWN)
    assert digests(bench.folder / "again") == before
    assert not bench.did("again", OWN)


@pytest.mark.slow
def test_what_was_pruned_is_made_again(done):
    bench, images, before = done
    folder, store = bench.folder / "again", bench.store("again")
    pages = (folder / "site/index.html").read_bytes()
    assert command("prune", folder, "--keep", "icons", "--dry-run")[1].count("\n") == 3
    assert command("prune", folder, "--free", "1e-9", "--dry-run")[1].count("\n") == 2
    assert digests(folder) == before
    aside = (images / "stripes/0.png").rename(images.parent / "aside.png")
    one_line(command("prune", folder), f"{images}/stripes/0.png is gone")
    aside.rename(images / "stripes/0.png")
    size = sum(store.size(t) for t in ("activations/second", "moments/second", "icons/all"))
    code, said, _ = command("prune", folder)
    assert code == 0 and said.splitlines()[-1].startswith(f"{size / 2**20:.1f} MiB freed")
    assert not {"activations/second", "moments/second", "icons/all"} & {*store.tables()}
    assert {"predictions", "layouts/all", "cells/all", "doubts"} <= {*store.tables()}
    assert (folder / "site/index.html").read_bytes() == pages
    assert bench.did("again", OWN) == ["extract", "moments", "render"]
    assert digests(folder) == before and (folder / "site/index.html").read_bytes() == pages
    assert not bench.did("again", OWN)


@pytest.mark.slow
def test_only_what_a_change_touches_runs_again(done):
    bench, _, _ = done
    made = ["reduce (fit)", "reduce", "grid", "attribute", "names", "validity (fit)", "validity"]
    later = [*made, "render (fit)", "render", "report"]
    assert bench.did("again", OWN, "atlases.0.reduce.components=4") == later
    assert bench.did("again", OWN) == later
    assert bench.did("again", OWN, "report.thumbnails=2") == ["report"]
    assert not bench.did("again", OWN, "report.thumbnails=2", words=("--until", "render"))
    assert bench.did("again", OWN, words=("--redo", "reduce")) == ["reduce (fit)", "reduce", "report"]
    assert bench.did("again", OWN, "extract.batch=3") == ["report"]  # the page shows the configuration
    assert bench.did("again", OWN) == ["report"]


@pytest.mark.slow
def test_what_is_damaged_is_made_again(done):
    bench, _, before = done
    out = bench.folder / "again"
    for path in ("layouts/all/part-00000.parquet", "images/part-00001.parquet"):
        whole = (out / path).read_bytes()
        for left in (whole[:-30], b""):
            (out / path).write_bytes(left)
            one_line(command("status", out), "cannot be read")
            assert len(bench.did("again", OWN)) == 1
    for path in ("state/extract.npz", "state/reduce/all.npz", "state/render/all.npz"):
        whole = (out / path).read_bytes()
        for left in (b"", whole[: len(whole) // 2], b"x" * len(whole)):
            (out / path).write_bytes(left)
            assert len(bench.did("again", OWN)) == 1
        (out / path).unlink()
        assert len(bench.did("again", OWN)) == 1
    for path in ("site/index.html", "state/report.files.json"):
        (out / path).unlink()
        assert bench.did("again", OWN) == ["report"]
    assert digests(out) == before


@pytest.mark.slow
@pytest.mark.parametrize("junk", ["no JSON", "[1]"])
def test_records_that_are_damaged_cost_nothing_but_time(done, junk):
    bench, _, before = done
    out = bench.folder / "again"
    for record in ("run.json", "cache/stamps.jsonl", "cache/hashes.json", "state/report.files.json"):
        (out / record).write_text(junk)
        assert command("status", out)[0] == 0
        assert set(bench.did("again", OWN)) <= {"index", "report"}
    assert digests(out) == before


@pytest.mark.slow
def test_the_lock_of_a_run(done):
    bench, _, _ = done
    lock = bench.folder / "again/run.lock"
    with open(lock, "a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        one_line(bench.run("again", OWN), "is in use by process")
        assert command("status", lock.parent)[0] == 0
    lock.write_text("process 1 on elsewhere\n")
    assert not bench.did("again", OWN)
    lock.unlink()
    assert not bench.did("again", OWN)


def test_folders_that_cannot_be_written(bench):
    one_line(bench.run("config.yaml"), "cannot make")
    one_line(bench.run("images"), "not a run folder")


@pytest.fixture
def disk(tmp_path):
    """A disk of a size that can be chosen; called with None it is read-only."""

    def remount(size: int | None) -> None:
        gc.collect()  # what failed to write may still be held by its exception
        option = "remount,ro" if size is None else f"remount,rw,size={size}k"
        subprocess.run(["mount", "-o", option, tmp_path], check=True)

    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    remount.path = tmp_path
    yield remount
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.slow
def test_a_full_disk_and_one_that_cannot_be_written(done, disk):
    bench, _, before = done
    out = disk.path / "run"
    for size in (4, 12, 60, 250):
        disk(size)
        one_line(bench.run(out, OWN), "no space left writing")
        assert not list(out.rglob(".tmp-*"))
    disk(60_000)
    assert bench.run(out, OWN)[0] == 0 and digests(out) == before
    disk(None)
    one_line(bench.run(out, OWN, "report.thumbnails=2"), "choose another folder with --out")
    assert command("status", out)[0] == command("plan", bench.config, "--out", out)[0] == 0


def test_an_interrupt_is_status_130(bench, monkeypatch):
    from activation_atlas.pipeline.executors import EXECUTORS

    @contextlib.contextmanager
    def interrupted(workers, deaths):
        def run(function, tasks):
            raise KeyboardInterrupt

        yield run

    monkeypatch.setitem(EXECUTORS, "sync", interrupted)
    code, _, said = bench.run("interrupted")
    assert code == 130 and "run the same command again" in said


@pytest.mark.slow
def test_processes_end_without_tracebacks(bench):
    def start(out: str, *settings: str) -> subprocess.Popen:
        words = ["run", bench.config, "--out", bench.folder / out, "--scheduler", "processes", "--workers", "2"]
        return subprocess.Popen(
            [sys.executable, "-m", "activation_atlas", *map(str, words), *settings],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )

    wrong = start("processes", "--set", "atlases.0.layer=secnd")
    said = wrong.communicate(timeout=120)[1]
    assert wrong.returncode == 2 and "did you mean second?" in said and "Traceback" not in said
    long = start("interrupted-too", "--set", "atlases.0.render.steps=100000")
    while not (bench.folder / "interrupted-too/state/render/all.npz").exists():
        assert long.poll() is None
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(long.pid, signal.SIGINT)  # as a terminal does: the workers hear it too
    said = long.communicate(timeout=60)[1]
    assert long.returncode == 130 and "run the same command again" in said and "Traceback" not in said


def test_json_lines_are_json_whatever_happens(bench):
    code, _, said = bench.run("lines", "atlases.0.layer=secnd", words=("--log-format", "json"))
    events = [json.loads(line) for line in said.splitlines()]
    assert code == 2 and events[-1]["level"] == "error" and "did you mean second?" in events[-1]["message"]
