"""From evidence to the page, on images of two colours and a model that leans on a white corner."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import audit, cues, evidence, spuriosity, trials
from activation_atlas.stages.audit.findings import alike, rates
from activation_atlas.stages.audit.pictures import source
from activation_atlas.stages.stage import Stage
from activation_atlas.stages.tables import from_numpy
from tests.memory import MemoryInputs
from tests.stages.cues.test_verdict import PASTES
from tests.stages.cues.test_verdict import _trials as made_trials
from tests.stages.repair.test_repair import images, written

CHAIN: tuple[Stage, ...] = (evidence.STAGE, spuriosity.STAGE, trials.STAGE, cues.STAGE, audit.STAGE)


def audited(folder) -> tuple[MemoryInputs, str]:
    """A run folder with all of its audit, and the page."""
    inputs, given = written(folder, True)
    (said,) = inputs.tables["predictions"]
    right = pa.array(said["label"].to_numpy() == said["pred"].to_numpy())
    inputs.tables["predictions"] = [said.append_column("correct", right)]
    # Other patches of the class, to hold the corner against, speak for it a little.
    _, label, corner = images(True)
    argued = np.stack([np.zeros(len(label)), np.where(corner, 1, np.where(label == 1, 0.1, -1))], 1)
    (rows,) = inputs.tables["activations/deep"]
    changed = rows.set_column(rows.column_names.index("attribution"), "attribution", from_numpy(argued.astype("f4")))
    inputs.tables["activations/deep"] = [changed]
    cells = {"grid": [2, 2], "cell_x": [0, 1], "cell_y": [0, 0]}
    inputs.tables["grids/all"] = [pa.table({name: pa.array(own, pa.int16()) for name, own in cells.items()})]
    layer = {"height": 1, "width": 1, "offset": [1.0, 1.0], "stride": [8, 8]}
    inputs.states["extract", ""] |= {"layers": {"deep": layer}, "thresholds": [0.5, 0.5]}
    view, opened = {"view": given.view, "grid": 2, "seed": 0}, {"model": given.model, "images": given.images}
    values = (
        {**view, "candidates": 5, "exemplars": 8},
        view,
        {**opened, "layer": "deep", "hosts": 60, "seed": 0, "batch": 32},
        {"least": 0.05, "tried": True, "seed": 0},
        {"title": "Corners", "images": given.images, "tables": ("cues",), "tried": True, "least": 0.05},
    )
    for stage, own in zip(CHAIN, values, strict=True):
        files = inputs.run(stage, stage.params(**own))
    return inputs, files["site/audit.html"].decode()


@pytest.mark.slow
def test_the_corner_is_found_verified_and_shown(tmp_path):
    inputs, page = audited(tmp_path)
    (cue,) = inputs.table("cues").to_pylist()
    assert (cue["class"], cue["verdict"], cue["rank"]) == (1, "verified", 0)
    assert cue["flip_rate"] > 0.9 and cue["control_rate"] < 0.6 and cue["removal_low"] > 0
    _, label, corner = images(True)
    for own in cue["exemplars"]:
        assert corner[int(own["image_id"], 16)] and label[int(own["image_id"], 16)] == 0
        assert own["top"] < 3 and own["left"] < 3  # it touches the corner
    held = {row["image_id"] for row in inputs.table("spuriosity").to_pylist() if row["held_out"]}
    assert not held & {own["image_id"] for own in cue["exemplars"]}
    tried = inputs.table("trials").to_pylist()
    pasted = [row for row in tried if row["intervention"] == "paste"]
    assert len(pasted) == cue["images"] and all(label[int(row["image_id"], 16)] == 0 for row in pasted)
    # The page says it, and needs no other file.
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    assert "1 cue is verified" in re.sub(r"\s+", " ", text) and f"Pasted on {cue['images']} images" in text
    assert page.count("data:image/png") >= 6 and not re.search(r'src="(?!data:)', page)
    # And all is the same once more.
    again, once_more = audited(tmp_path)
    assert once_more == page
    for name in ("evidence", "spuriosity", "patches", "trials", "cues"):
        assert again.table(name).equals(inputs.table(name)), name


def test_shares_of_each_kind_are_counted():
    found = {row["kind"]: row for row in rates(made_trials({"paste": 60, "class": 10}, PASTES))}
    assert list(found) == ["paste", "elsewhere", "random", "class", "noise"]
    assert found["paste"]["flips"] == 0.6 and found["class"]["flips"] == 0.1
    assert found["paste"]["change"] == pytest.approx(3, abs=0.05)


def test_small_images_are_enlarged_by_whole_pixels():
    import base64
    import io

    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 1), np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source(pixels).split(",")[1]))))
    np.testing.assert_array_equal(shown[::5, ::5, 0], pixels[..., 0])
    assert shown.shape == (160, 200, 3)


def test_cues_whose_patches_lie_at_one_place_may_be_one():
    """Squares of side 4, a quarter of a side apart: 12 of 20 pixels; one elsewhere, and one of another class."""

    def cue(candidate: int, left: int, image: str, of: int = 1) -> dict:
        place = {"image_id": image, "top": 0, "left": left, "bottom": 4, "right": left + 4}
        return {"candidate": candidate, "class": of, "exemplars": [place]}

    found = alike([cue(0, 0, "a"), cue(1, 1, "a"), cue(2, 9, "b"), cue(3, 0, "a", of=2)])
    assert found == {
        0: [{"candidate": 1, "overlap": 0.6, "shared": 1}],
        1: [{"candidate": 0, "overlap": 0.6, "shared": 1}],
    }
    assert not alike([cue(0, 0, "a"), cue(1, 2, "a")])  # 8 of 24
