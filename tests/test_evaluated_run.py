"""A whole run whose maps are evaluated: its tables, what a second run does, what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.bench import Bench, one_line
from tests.small import digests

EXPLAIN = {"images": "all", "methods": ["grad_cam", {"name": "occlusion", "patch": 8, "stride": 8}]}
EVALUATE = {
    "steps": 4,
    "limit": 5,
    "road": True,
    "masks": "masks",
    "randomization": {"images": 3, "depths": 2, "smooth": 2},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("evaluated"))
    config = yaml.safe_load(made.config.read_text())
    config |= {"atlases": [], "extract": {"attribution": "none"}, "explain": EXPLAIN, "evaluate": EVALUATE}
    made.config.write_text(yaml.safe_dump(config))
    for image in sorted((made.folder / "images").rglob("*.png")):
        mask = made.folder / "masks" / image.relative_to(made.folder / "images")
        mask.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((32, 32), np.uint8)
        pixels[8:24, 8:24] = 255
        Image.fromarray(pixels).save(mask)
    return made


@pytest.mark.slow
def test_a_run_that_is_evaluated_is_resumed_and_ends_the_same(bench):
    steps = bench.did("first")
    assert [s for s in steps if s.startswith(("evaluate", "sanity"))] == [
        "evaluate (fit)", "evaluate", "sanity (fit)", "sanity", "sanity (fit)", "sanity"
    ]  # fmt: skip
    store = bench.store("first")
    for variant in ("grad_cam", "occlusion", "random"):
        rows = [r for k in range(2) for r in store.read(f"faithfulness/{variant}", k).to_pylist()]
        assert len({r["image_id"] for r in rows}) == 5
        assert all(0 <= r["deletion"] <= 1 and r["area"] == 0.25 for r in rows if r["flag"] is None)
        assert store.rows(f"road/{variant}") == 7 * sum(r["flag"] is None for r in rows) > 0
    assert [r["depth"] for r in store.read("randomization/occlusion", 0).to_pylist()] == [1, 3]
    assert store.rows("agreement") == 3 and store.rows("trust") > 0
    assert store.rows("road_curves") > 0 and store.rows("randomization/random") == 1
    before = digests(bench.folder / "first")
    assert not bench.did("first")
    store.part_path("faithfulness/occlusion", 1).unlink()
    shutil.rmtree(bench.folder / "first/state/sanity")
    assert set(bench.did("first")) <= {"evaluate", "sanity (fit)", "sanity", "report"}
    assert digests(bench.folder / "first") == before


@pytest.mark.slow
def test_a_mask_that_changes_is_seen(bench):
    bench.did("masked", words=("--until", "evaluate"))
    mask = next((bench.folder / "masks").rglob("*.png"))
    pixels = mask.read_bytes()
    try:
        Image.fromarray(np.full((32, 32), 255, np.uint8)).save(mask)
        assert bench.did("masked", words=("--until", "evaluate")) == ["evaluate (fit)", "evaluate"]
    finally:
        mask.write_bytes(pixels)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("explain=null", "evaluate: there are no maps; give explain too"),
        ("evaluate.masks=nowhere", "nowhere is no folder"),
        ("evaluate.boxes=[a, b, c, d]", "give boxes or masks, not both"),
        ("evaluate.step=3", "did you mean steps?"),
        ("evaluate.steps=0", "evaluate.steps: "),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(bench, setting, words):
    one_line(bench.run("wrong", setting), words)


def test_boxes_of_columns_that_are_not_there_are_refused_before_any_map_is_made(bench):
    settings = ("evaluate.masks=null", "evaluate.boxes=[x0, y0, x1, y1]")
    one_line(bench.run("early", *settings), "unknown column 'x0': the images have none")
    assert not bench.store("early").parts("maps/grad_cam")
