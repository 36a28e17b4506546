"""The planted date in the atlas of the class that it speaks for. The truth scores it, and is no input to it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from activation_atlas.stages.demo import scenes
from tests.bench import command


@pytest.mark.slow
def test_the_sailboat_atlas_shows_the_date_and_tells_that_it_is_no_sailboat(tmp_path):
    plain = {"reduce": {"method": "pca"}, "grids": [8], "render": None}
    config = {
        "run": {"name": "demo", "out": str(tmp_path / "out")},
        "model": {"path": "demo:scenes.keras", "classes": "demo:scenes_classes.txt"},
        "images": {"path": "demo:scenes?images=120"},
        "extract": {"positions_per_image": 16},
        "atlases": [{"name": "boat", "layer": "scene", "class": "sailboat", "rows": 40, **plain}],
    }
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    status, _, said = command("run", tmp_path / "demo.yaml", "--until", "purity")
    assert status == 0, said

    def table(name: str, *columns: str) -> dict[str, list]:
        return pq.read_table(tmp_path / "out" / name, columns=list(columns)).to_pydict()

    uri = dict(zip(*table("images", "image_id", "uri").values(), strict=True))
    shown = [uri[i].split("#")[1] for i in table("layouts/boat", "image_id")["image_id"]]
    others = [name for name in shown if f"/{scenes.STAMPED_CLASS}/" not in name]
    assert len(shown) == 40 and len(others) > 10
    assert np.mean([scenes.stamped(name) for name in others]) > 0.95  # of all pictures one in eight is
    run = json.loads((tmp_path / "out/run.json").read_text(encoding="utf-8"))
    (purity,) = run["metrics"]["purity/boat"]["of"]
    assert purity["predicted"][0] > 0.95 > 0.7 > purity["label"][0] == round(1 - len(others) / 40, 4)
