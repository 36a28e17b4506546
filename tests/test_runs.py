"""Whole runs of a small data set, from the command line: the same bytes, however they came about."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import activation_atlas as aa
from activation_atlas.pipeline.serve import server
from activation_atlas.pipeline.store import Store
from tests.bench import command as in_process
from tests.bench import one_line
from tests.small import CLASSES, write_config

ROOT = Path(__file__).parent.parent
TABLES = {
    "images", "rejects/index", "rejects/extract", "predictions", "pixels", "levels", "doubts", "measures",
    "activations/first", "activations/second", "moments/first", "moments/second",
    *(f"{t}/{a}" for t in ("layouts", "grids", "cells", "names", "validity", "icons") for a in ("all", "checks")),
}  # fmt: skip


def command(*words) -> list[str]:
    return [sys.executable, "-m", "activation_atlas", *map(str, words)]


def run(*words, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command("run", *words), capture_output=True, text=True, env=environment, **options)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A finished run: (configuration, run folder, what the command said)."""
    folder = tmp_path_factory.mktemp("small")
    config = write_config(folder)
    status, told, said = in_process("run", config, "--out", folder / "run")
    assert status == 0, said
    return config, folder / "run", told


def test_a_run_leaves_the_tables_and_names_the_page(small):
    _, out, told = small
    assert set(Store(out).tables()) == TABLES
    assert f"open {(out / 'site/index.html').resolve()}" in told
    assert (out / "site/index.html").stat().st_size > 10_000
    guide = (ROOT / "docs/guides/run_folder.md").read_text(encoding="utf-8")
    others = {p.name for p in out.iterdir()} - {table.split("/")[0] for table in TABLES}
    assert {"cache", "site"} < others and not [name for name in others if f"| `{name}" not in guide]
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
    first, *_, last = aa.open_run(out).history
    assert (last["outcome"], last["status"], last["work"], last["images"]) == ("finished", 0, 0, 24)
    assert first["work"] > 20 and first["stages"]["extract"]["seconds"] > 0
    assert first["measures"] == last["measures"] and set(first["measures"]) == {"accuracy"}


def test_the_server_shows_the_site_and_its_figures_and_nothing_else(small):
    _, root, _ = small
    (root / "site/out").symlink_to(root)
    paths = ["/../run.json", "/..%2frun.json", "/%2e%2e/run.json", "/out/run.json", "//etc/passwd", "/%00", "/assets/"]
    paths += ["/figures/", "/figures/../run.json", "/figures/%2e%2e/run.json", "/figures/out/run.json"]
    (root / "figures/out").symlink_to(root)
    drawn = [f"/figures/{path.name}" for path in (root / "figures").glob("*.png")]
    assert drawn, "the page links to figures, so they are served"
    with server(root) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        for path in ["/", *drawn, *paths]:
            asked = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=10)
            asked.request("GET", path)
            assert (path, asked.getresponse().status) == (path, 404 if path in paths else 200)
            asked.close()
        one_line(in_process("serve", root, "--port", site.server_port), "choose another")
        site.shutdown()
    (root / "site/out").unlink()
    (root / "figures/out").unlink()
    one_line(in_process("serve", root, "--port", "99999"), "65535")


def test_rows_are_sorted_by_key(small):
    from activation_atlas.stages.tables import TABLES as ALL

    store = Store(small[1])
    for name in store.tables():
        key = [c for c in ALL[name.split("/")[0]].key]
        for k in range(store.parts(name)):
            # What is of several classes together has no class, and stands before those that it is of.
            rows = [tuple((v is not None, v) for v in r.values()) for r in store.read(name, k, key).to_pylist()]
            assert rows == sorted(rows), name


def test_from_python_it_is_the_same_run(small):
    config, out, _ = small
    planned = aa.plan(config, out=out)
    assert all(step.done and not step.reason for step in planned) and planned.cost is None
    assert [step.name for step in planned][:4] == ["index", "extract", "doubt", "measures"]
    again = aa.plan(config, out=out, settings=["extract.positions_per_image=5"])
    (extract,) = [step for step in again if step.stage == "extract"]
    assert not extract.done and "positions_per_image was 6, is 5" in extract.reason
    done = aa.run(config, out=out, quiet=True)
    assert (done.ran, done.images, done.rejected, done.rejected_share) == (0, 24, 0, 0)
    assert done.page == out / "site/index.html" and not done.too_many_rejected
    assert [doubt.message for doubt in done.doubts] == done.folder.table("doubts")["message"].tolist()


def test_what_a_run_left_opens_in_python(small):
    run = aa.open_run(small[1])
    assert set(run.tables) == TABLES and run.classes == CLASSES and run.finished
    assert run.config["extract"]["positions_per_image"] == 6 and "reduce/all" in run.metrics
    assert run.atlases["checks"] == aa.Atlas("checks", "first", (2,), class_name="checks")
    cells = run.table("cells/all")
    assert len(cells) == run.rows("cells/all") and cells["activation"][0].shape == (12,)
    arrow = run.table("cells/all", ["count", "grid"], format="arrow")
    assert arrow.column_names == ["count", "grid"] and arrow["count"].to_pylist() == cells["count"].tolist()
    assert run.table("cells/all", ["count", "grid"], "arrow") == arrow
    assert list(run.table("cells/all", "grid")) == ["grid"]
    known = run.table("images").iloc[0]
    np.testing.assert_array_equal(run.image(known.image_id), Image.open(known.uri).convert("RGB"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda run: aa.open_run(run.path.parent), "is no run folder: it holds no run.json; give what a run wrote to"),
        (lambda run: run.table(5), "table 5: give its name; there are activations/first, "),
        (lambda run: run.table("cels/all"), "no table 'cels/all'; did you mean cells/all"),
        (lambda run: run.table("cells"), "no table 'cells'; did you mean cells/all or cells/checks?"),
        (lambda run: run.table("images", ["lable"]), "table images has no column 'lable'; did you mean label?"),
        (lambda run: run.table("images", format="polars"), "format 'polars' is not known; choose pandas or arrow"),
        (lambda run: run.image("0"), "no image '0'; the column image_id of the table images has them"),
    ],
)
def test_what_is_not_there_is_one_line_in_python_too(small, wrong, said):
    with pytest.raises(aa.UserError, match=re.escape(said)):
        wrong(aa.open_run(small[1]))


def test_a_run_that_has_begun_and_one_that_is_half_remade(tmp_path):
    (tmp_path / "run.lock").touch()
    with pytest.raises(aa.UserError, match="its run has only begun, no table is finished"):
        aa.open_run(tmp_path)
    store = Store(tmp_path)
    for k, columns in enumerate((("image_id", "uri"), ("image_id", "uri", "label"))):
        store.write("images", k, pa.table({name: ["0"] for name in columns}), {})
    run = aa.open_run(tmp_path)
    with pytest.raises(aa.UserError, match="the parts of table images differ in their columns"):
        run.table("images")
    with pytest.raises(aa.UserError, match="no run.json says how the images are read"):
        run.image("0")


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
    assert process.returncode == 130, said[-2000:]
    assert "Traceback" not in said and "run the same command again" in said
