"""Boxes and fits on the page of mistakes: what the tables say reaches the page, and a switch takes the boxes away."""

import base64

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.report import STAGE
from activation_atlas.stages.report.errors.asked import Explained
from activation_atlas.stages.report.errors.maps import FINEST, pooled, read_variant
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.lime import Lime
from tests.stages.report.audit import SIZE, audit
from tests.stages.report.browser import opened, written
from tests.stages.report.test_errors import data_of, maps_of

METHODS = [GradCam(), Lime(segments=2, samples=8)]
FITS = {"c": 0.83, "g": 0.31}


def framed(folder, **report):
    """Boxes of grad_cam in c and g, given ones in c and a, and fits of the maps of lime."""
    inputs, params = audit(folder, methods=METHODS, **report)
    boxes = [("c", 0, [6, 6, 18, 24]), ("c", 2, [0, 0, 12, 6]), ("g", 0, None), ("g", 1, [0, 0, 24, 24])]
    rows = [{"image_id": i, "target": t, "by": "threshold", "input": box, "score": 1.0} for i, t, box in boxes]
    inputs.tables["boxes/grad_cam"] = [pa.Table.from_pylist(rows, tables.boxes())]
    held = [{"image_id": "c", "target": 2, "iou": 0.25}, {"image_id": "g", "target": 1, "iou": None}]
    inputs.tables["faithfulness/grad_cam"] = [pa.Table.from_pylist(held, tables.faithfulness())]
    given = {"c": "[12, 0, 24, 12]", "a": "[40, 40, 50, 50]"}  # that of a lies beside what the model was shown
    inputs.tables["images"] = [
        part.append_column("meta.box", pa.array([given.get(i) for i in part["image_id"].to_pylist()], pa.string()))
        for part in inputs.tables["images"]
    ]
    parts = [part.to_pylist() for part in inputs.tables["maps/lime"]]
    for row in (row for part in parts for row in part):
        halves = np.repeat([[1.0, -0.5]], 72, 0).repeat(36, 1)
        row |= {"height": 72, "width": 72, "map": halves.ravel().tolist(), "fit": FITS.get(row["image_id"], 0.9)}
        row |= {"stride": [1 / 3, 1 / 3], "offset": [-1 / 3, -1 / 3], "flag": None}
    inputs.tables["maps/lime"] = [pa.Table.from_pylist(part, tables.maps()) for part in parts]
    asked = {"boxed": ["boxes/grad_cam", "faithfulness/grad_cam"], "boxes": ["meta.box"]}
    return inputs, params.model_copy(update={"explain": params.explain.model_copy(update=asked)})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("framed")
    inputs, params = framed(folder)
    files = inputs.run(STAGE, params)
    return files, data_of(files), folder


@pytest.mark.slow
def test_boxes_and_fits_are_those_of_the_tables(made):
    files, data, _ = made
    names = [case["name"] for case in data["cases"]]
    cam, lime = (maps_of(data, files, variant)["maps"] for variant in data["variants"])
    of = {(name, m[0]): m[7:] for name, maps in zip(names, cam, strict=True) for m in maps}
    assert of["c.png", 2] == [[0, 0, 0.5, 0.25], 0.25, None] and of["c.png", 0] == [[0.25, 0.25, 0.75, 1], None, None]
    assert of["g.png", 0][0] is None and of["g.png", 1] == [[0, 0, 1, 1], None, None]
    given = {case["name"]: case["boxes"] for case in data["cases"] if "boxes" in case}
    assert given == {"c.png": [[0.5, 0, 1, 0.5]]}
    fits = {name: maps[0][9] for name, maps in zip(names, lime, strict=True)}
    assert (fits["c.png"], fits["g.png"], fits["b.png"]) == (0.83, 0.31, 0.9)
    assert [variant["boxed"] for variant in data["variants"]] == [True, False]
    assert data["variants"][0]["fit"] == "" and "below 0.5" in data["variants"][1]["fit"]
    head = files["site/errors.html"].decode().split("<main>")[0]
    assert "2 of 11 maps of lime are sums that do not describe the model there" in head


@pytest.mark.slow
def test_boxes_of_another_run_are_not_read(tmp_path):
    inputs, _ = framed(tmp_path)
    told = [
        {m.target: (m.box, m.iou) for m in read_variant(inputs, METHODS[0], ["c"], SIZE, boxed=boxed).maps["c"]}
        for boxed in ((), ["boxes/grad_cam"])
    ]
    assert told == [
        {0: (None, None), 2: (None, None)},
        {0: ((0.25, 0.25, 0.75, 1), None), 2: ((0, 0, 0.5, 0.25), None)},
    ]


def test_what_is_asked_of_boxes_is_read_and_no_more():
    asked = Explained(methods=METHODS, boxed=["boxes/lime", "faithfulness/lime"], measured=["trust", "agreement"])
    assert asked.found == ["lime"] and "boxes" not in asked.model_dump()
    assert asked.reads[-4:] == ["trust", "agreement", "boxes/lime", "faithfulness/lime"]


def test_cells_of_segments_are_of_one():
    odd = np.repeat([[1.0, -1.0]], 75, 0).repeat([37, 38], 1)
    assert set(np.unique(pooled(odd, how="nearest"))) == {1, -1} != set(np.unique(pooled(odd)))
    assert pooled(odd, how="nearest").shape == (FINEST, FINEST)
    assert np.array_equal(pooled(odd[:5, 35:40], how="nearest"), odd[:5, 35:40]), "coarse ones stay"


@pytest.mark.slow
def test_segments_keep_their_values(made):
    files, data, _ = made
    lime = data["variants"][1]
    assert lime["segmented"] and lime["shape"] == [FINEST, FINEST] and "a value for each segment" in lime["placement"]
    levels = np.frombuffer(base64.b64decode(maps_of(data, files, lime)["levels"]), np.int8)
    # Of 72 columns 56 cells: by means one would lie across the border.
    assert set(np.unique(levels)) == {127, round(-0.5 * 127)}


@pytest.mark.slow
def test_frames_are_drawn_and_a_switch_takes_them_away(browser, made):
    files, _, folder = made
    site = written(files, folder)
    with opened(browser, site / "errors.html", "text=c.png") as (page, said):
        page.wait_for_function("document.querySelectorAll('.case .box.found').length === 2")
        boxes = page.locator(".case canvas + .box, .case .box").evaluate_all(
            "(all) => all.map((e) => [e.className, e.style.left, e.style.top, e.style.width, e.style.height])"
        )
        caption = page.locator(".case figcaption").all_inner_texts()
        page.get_by_role("radio", name="No boxes").click()
        hidden, address = page.locator(".case .box:visible").count(), page.evaluate("location.hash")
        assert "Solid frame" not in page.locator("#meaning").inner_text()
        page.get_by_role("radio", name="LIME").click()
        page.locator('canvas[aria-label^="LIME for"]').first.wait_for()
        smooth = page.get_by_role("radio", name="Smooth").is_disabled()
        page.locator(".case button.frame").nth(1).click()
        page.locator('#closer canvas[aria-label*="LIME for"]').wait_for()
        page.locator("#closer [data-kind=boxes]").click()
        page.locator("#closer .box.given").wait_for()
        large = page.locator("#closer .colours").inner_text()
        page.keyboard.press("Escape")
        kept = page.get_by_role("radio", name="Boxes", exact=True).get_attribute("aria-checked")
    assert not said, said
    given = ["box given", "50%", "0%", "50%", "50%"]
    assert boxes.count(given) == 3, "over the photograph and both maps"
    assert ["box found", "0%", "0%", "50%", "25%"] in boxes and ["box found", "25%", "25%", "50%", "75%"] in boxes
    assert "IoU\u00a0.25" in caption[1] and "IoU" not in caption[2] and "fit" not in caption[1]
    assert hidden == 0 and "boxes=no" in address and smooth and kept == "true"
    assert "fit\u00a0.83" in large and "low" not in large
    with opened(browser, site / "errors.html", "text=g.png&method=lime&boxes=no") as (page, said):
        page.locator(".fit.low").first.wait_for()
        assert page.locator(".fit.low").first.inner_text() == "low fit\u00a0.31"
        assert page.get_by_role("radio", name="No boxes").get_attribute("aria-checked") == "true"
        segments = page.get_by_role("radio", name="Segments").get_attribute("aria-checked")
    assert not said and segments == "true"
