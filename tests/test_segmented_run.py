"""A whole run whose methods are given segments: maps of these, what does not fit, and the same maps again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.bench import Bench, one_line

METHODS = [{"name": "occlusion_segments", "masks": "segments"}, {"name": "kernel_shap", "segments": 4, "samples": 14}]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("segmented"))
    config = yaml.safe_load(made.config.read_text())
    config |= {
        "atlases": [],
        "extract": {"attribution": "none", "max_rejects": 0.5},
        "explain": {"images": "all", "methods": METHODS},
    }
    config["evaluate"] = {"steps": 2, "limit": 5, "randomization": {"images": 3, "depths": 2}}
    made.config.write_text(yaml.safe_dump(config))
    thirds = (np.arange(32) * 3 // 32 * 40).astype(np.uint8)[None].repeat(32, 0)
    for number, image in enumerate(sorted((made.folder / "images").rglob("*.png"))):
        mask = made.folder / "segments" / image.relative_to(made.folder / "images")
        mask.parent.mkdir(parents=True, exist_ok=True)
        if number:  # the first has none, the second one of another size
            Image.fromarray(thirds[: 32 - (number == 1)]).save(mask)
    return made


@pytest.mark.slow
def test_given_segments_are_what_is_hidden(bench):
    bench.did("first")
    store = bench.store("first")
    images = store.rows("images")
    rows = [r for k in range(2) for r in store.read("maps/occlusion_segments", k).to_pylist()]
    explained = {r["image_id"] for r in rows}
    assert len(explained) == images - 2
    for row in rows:
        values = np.reshape(row["map"], (32, 32))
        assert (values == values[0]).all() and len(np.unique(values)) == 3 and row["fit"] is None
    (lost,) = [r for k in range(2) for r in store.read("rejects/explain-occlusion_segments", k).to_pylist()]
    assert lost["reason"].endswith("has 32 x 31 pixels, the image 32 x 32")
    exact = [r for k in range(2) for r in store.read("maps/kernel_shap", k).to_pylist()]
    assert {r["image_id"] for r in exact} > explained and all(-5 < r["fit"] <= 1 for r in exact)
    assert store.rows("randomization/occlusion_segments") == 2, "segments are the same under shuffled weights"
    assert not bench.did("first")
    # Other segments, other maps.
    path = next(p for p in sorted((bench.folder / "segments").rglob("*.png")))
    Image.fromarray(np.eye(32, dtype=np.uint8)).save(path)
    assert "explain" in bench.did("first", words=("--until", "explain"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ([{"name": "lime", "masks": "nowhere"}], "nowhere is no folder"),
        ([{"name": "lime", "masks": "segments", "segments": 9}], "masks are the segments: leave out superpixels"),
        ([{"name": "lime", "segments": 1}], "segments: Input should be greater than or equal to 2"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(bench, methods, words):
    one_line(bench.run("wrong", f"explain.methods={json.dumps(methods)}"), words)
