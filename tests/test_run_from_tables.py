"""A whole run without a model: from written tables to the page."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import activation_atlas as aa
from tests.bench import command
from tests.small import CLASSES, write_images

pytestmark = pytest.mark.slow


def seen(path, weights):
    """A map of 6 x 6 x 12, ReLU of random filters of 8 x 8 blocks; logits linear in its mean."""
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float64) / 127.5 - 1
    blocks = pixels.reshape(8, 4, 8, 4, 3).mean((1, 3))
    windows = np.lib.stride_tricks.sliding_window_view(blocks, (3, 3), (0, 1)).reshape(6, 6, 27)
    deep = np.maximum(windows @ weights[0], 0)
    argued = np.einsum("hwc,ck->hwk", deep, weights[1])
    return argued.mean((0, 1)), {"deep": deep}, {"deep": argued / 36}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(configuration, images) over tables of 24 images that NumPy's own network wrote."""
    folder = tmp_path_factory.mktemp("tables")
    images, rng = write_images(folder / "images"), np.random.default_rng(0)
    weights = rng.normal(size=(27, 12)), rng.normal(size=(12, 3))
    placed = {"deep": {"stride": (4, 4), "offset": (5.5, 5.5), "receptive_field": (12, 12)}}
    with aa.TableWriter(folder / "out", CLASSES, placed, input_size=(32, 32), positions_per_image=9) as writer:
        for path in sorted(images.rglob("*.png")):
            writer.add(path.relative_to(images).as_posix(), *seen(path, weights))
    atlas = {"layer": "deep", "reduce": {"method": "pca", "components": 4}, "grids": [4], "min_count": 2}
    config = {
        "run": {"name": "tables", "shard_images": 9},
        "model": {"tables": str(folder / "out")},
        "images": {"path": str(images)},
        "atlases": [
            {"name": "all", **atlas},
            {"name": "stripes", "class": "stripes", **atlas},
            {"name": "whole", "images": True, **{**atlas, "min_count": 1}},
        ],
        "explain": {"methods": ["grad_cam"]},
        "channels": {},
        "audit": {"finders": ["cells", "domino"]},
        "report": {"poster": 300, "photo": 48},
    }
    return config, folder


def test_a_run_of_tables_makes_all_that_needs_no_model_and_loads_no_tensorflow(exported, tmp_path):
    config, folder = exported
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(config))
    status, said, _ = command("plan", file, "--out", folder / "run")
    assert (
        status == 0
        and "left out, because tables hold no network: channels, render, explain, doubts about value ranges" in said
        and "audit without trials: tables hold no network to try cues on" in said
    )
    asked = (
        f"import sys, activation_atlas as aa; aa.run({str(file)!r}, out={str(folder / 'run')!r}, quiet=True); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = aa.open_run(folder / "run")
    assert len(run.table("predictions")) == 24 and run.classes == CLASSES
    for atlas in ("all", "stripes", "whole"):
        assert {f"{table}/{atlas}" for table in ("layouts", "grids", "cells", "names")} <= set(run.tables)
    assert {"validity/all", "validity/stripes", "measures"} <= set(run.tables)
    assert not [t for t in run.tables if t.split("/")[0] in ("icons", "maps", "channels", "trials")]
    assert {"groups", "slices", "evidence", "spuriosity", "cues"} <= set(run.tables)
    assert set(run.table("cues")["verdict"]) <= {"undecided"} and run.table("cues")["q_value"].isna().all()
    assert "Not known: tables hold no network to try cues on" in (folder / "run/site/audit.html").read_text()
    page = (folder / "run/site/index.html").read_text()
    assert "layer deep of out" in page and (folder / "run/site/errors.html").exists()
    assert (folder / "run/figures/all-04-photographs.jpg").exists()
    assert all(step.done for step in aa.plan(config, out=folder / "run"))


def test_tables_that_changed_are_read_anew_and_others_are_told(exported, tmp_path, capsys):
    config, folder = exported
    config = {**config, "images": {**config["images"], "limit": 20}, "atlases": config["atlases"][:1]}
    aa.run(config, out=tmp_path / "run", until="extract", quiet=True)
    assert "warning: 4 images of model.tables are not used by this run, e.g. " in capsys.readouterr().err
    written = next((folder / "out/features/deep").glob("*.parquet"))
    bytes_of = written.read_bytes()
    try:
        written.write_bytes(bytes_of)
        assert all(s.done for s in aa.plan(config, out=tmp_path / "run") if s.stage in ("index", "extract"))
        written.write_bytes(bytes_of[:-1])
        (step,) = [s for s in aa.plan(config, out=tmp_path / "run") if s.stage == "extract"]
        assert step.reason == "model has changed"
    finally:
        written.write_bytes(bytes_of)


def test_tables_without_attributions_are_audited_without_cues(tmp_path):
    images = write_images(tmp_path / "images", per_class=2)
    with aa.TableWriter(tmp_path / "out", CLASSES, ["deep"], input_size=(32, 32), attributed=[]) as writer:
        for number, path in enumerate(sorted(images.rglob("*.png"))):
            deep = np.random.default_rng(number).gamma(1.0, size=(4, 4, 5))
            writer.add(path.relative_to(images).as_posix(), deep.mean((0, 1))[:3], {"deep": deep})
    config = {"model": {"tables": str(tmp_path / "out")}, "images": {"path": str(images)}, "audit": {"repair": True}}
    config["atlases"] = [{"name": "all", "layer": "deep", "grids": [2], "min_count": 1, "reduce": {"method": "pca"}}]
    said = aa.plan(config, out=tmp_path / "run").left_out
    assert "audit without cues: model.tables hold no attributions; write them, too; audit without repair: " in said
    aa.run(config, out=tmp_path / "run", until="audit", quiet=True)
    assert "Not looked for: model.tables hold no attributions" in (tmp_path / "run/site/audit.html").read_text()
