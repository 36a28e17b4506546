"""Boxes: the largest of two blobs, a square that its colours give away, and where it lies in the photograph."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages import boxes, tables
from activation_atlas.stages.boxes import Params
from activation_atlas.stages.drawing.overlays import boxed
from activation_atlas.stages.vision.attribution.boxes import BoxesSpec, cut, find, largest, overlap, thresholded, way
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.attribution.methods.path import IntegratedGradients
from activation_atlas.stages.vision.place import Place
from tests.bench import Bench, one_line
from tests.memory import MemoryInputs


def _blobs() -> np.ndarray:
    """Two blobs on 12 x 20 pixels: a small one of value 10, a larger one of value 4; a bridge of 2 is too faint."""
    values = np.zeros((12, 20), np.float32)
    values[3:6, 4:11] = 2
    values[1:4, 2:5], values[5:11, 10:18] = 10, 4
    values[11, 0] = -50
    return values


def test_the_box_is_around_the_largest_piece_above_a_fifth_of_the_maximum():
    values = _blobs()
    inside = thresholded(values, 0.2)
    assert inside.sum() == 9 + 48 and not inside[4, 7]  # 2 is no more than 20 % of 10
    assert largest(inside) == ((10, 5, 18, 11), 48 / 240)
    assert largest(thresholded(values, 0.5)) == ((2, 1, 5, 4), 9 / 240)
    values[0] = np.nan  # nothing of the map lies there
    assert largest(thresholded(values, 0.2)) == ((10, 5, 18, 11), 48 / 240)
    assert largest(thresholded(-np.abs(values), 0.2)) is None and largest(thresholded(0 * values, 0.2)) is None
    corners = np.eye(3, dtype=bool)  # pixels that meet at a corner are pieces of their own; the first of equals
    assert largest(corners) == ((0, 0, 1, 1), 1 / 9)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ((0, 0, 4, 4), (0, 0, 4, 4), 1),
        ((0, 0, 4, 4), (2, 2, 6, 6), 4 / 28),
        ((0, 0, 4, 2), (0, 0, 4, 4), 1 / 2),
        ((0, 0, 4, 4), (4, 0, 8, 4), 0),
        ((0, 0, 4, 4), (5, 5, 5, 5), 0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),
    ],
)
def test_overlap_by_hand(one, other, share):
    assert overlap(one, other) == overlap(other, one) == pytest.approx(share)


def test_grabcut_takes_what_has_the_colours_of_the_highest_pixels():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 40, (48, 64, 3)).astype(np.uint8)
    pixels[12:36, 20:50, 0] += 180  # a red thing, of which the map knows the middle
    y, x = np.mgrid[:48, :64]
    values = np.exp(-((y - 24) ** 2 + (x - 35) ** 2) / 100).astype(np.float32)
    spec = BoxesSpec()
    inside = cut(values, pixels, spec)
    box, area = largest(inside)
    assert overlap(box, (20, 12, 50, 36)) > 0.9 and 0.15 < area < 0.3
    assert overlap(largest(thresholded(values, 0.2))[0], (20, 12, 50, 36)) < 0.85
    cut(values[::-1], pixels, spec)  # what runs between changes nothing
    np.testing.assert_array_equal(cut(values, pixels, spec), inside)
    flat = np.ones((48, 64), np.float32)
    assert not cut(flat, pixels, spec).any()
    values[:, :30] = np.nan
    assert not cut(values, pixels, spec)[:, :30].any()


def test_the_way_follows_from_what_a_map_can_tell_apart():
    asked = [Saliency(), GradCam(), IntegratedGradients(), IntegratedGradients(layer="conv")]
    assert [way(BoxesSpec(), one) for one in asked] == ["grabcut", "threshold", "grabcut", "threshold"]
    assert way(BoxesSpec(by="threshold"), Saliency()) == "threshold"
    # Of single pixels that speak for and against, both show where the thing is.
    pixels = np.zeros((16, 16, 1), np.uint8)
    pixels[4:12, 4:12] = 200
    values = np.zeros((16, 16), np.float32)
    values[5:11, 5:11] = np.where(np.indices((6, 6)).sum(0) % 2, 1, -1)
    assert find(BoxesSpec(background=0.5), IntegratedGradients(), values, pixels)[0] == (5, 5, 11, 11)


def test_quantiles_that_cross_are_refused():
    with pytest.raises(ValueError, match="background: 0.97 must be below foreground: 0.95"):
        BoxesSpec(background=0.97)


def test_a_box_is_in_pixels_of_the_upright_photograph(tmp_path):
    # 40 x 80, cut to its middle square, halved and a little more: 2.5 pixels to one of 16.
    Image.fromarray(np.zeros((40, 80, 3), np.uint8)).save(tmp_path / "a.png")
    values = np.zeros((16, 16), np.float32)
    values[4:8, 2:10] = 1
    place, ids = Place.whole((16, 16)).row(), ["00", "01", "02"]
    rows = [
        {"image_id": i, "target": 3, "target_kinds": [], "height": 16, "width": 16, "map": given.ravel().tolist()}
        | {"score": 1.5, "flag": flag} | place
        for i, given, flag in zip(ids, (values, values, -values - 1), (None, "zero", None), strict=True)
    ]  # fmt: skip
    uris = [str(tmp_path / "a.png")] * 3
    images = pa.table({"image_id": ids, "uri": uris})
    maps = pa.Table.from_pylist(rows, schema=tables.maps())
    inputs = MemoryInputs({"images": [images], "maps/saliency": [maps]}, {("extract", ""): {"input_size": [16, 16]}})
    given = Params(images={"path": "x"}, method="saliency", boxes={"by": "threshold"})
    found = inputs.run(boxes.STAGE, given, "saliency")["boxes/saliency"].to_pylist()
    assert found == [
        {"image_id": "00", "target": 3, "by": "threshold", "left": 25, "top": 10, "right": 45, "bottom": 20,
         "input": [2, 4, 10, 8], "area": 0.125, "score": 1.5},
        # Nothing of the last one is positive; of the one that says nothing there is no row.
        {"image_id": "02", "target": 3, "by": "threshold", "left": None, "top": None, "right": None, "bottom": None,
         "input": None, "area": None, "score": 1.5},
    ]  # fmt: skip
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert not inputs.run(boxes.STAGE, given, "saliency")["boxes/saliency"].num_rows and len(inputs.warnings) == 2


@pytest.mark.slow
def test_a_run_finds_boxes_and_draws_them(tmp_path):
    bench = Bench(tmp_path)
    maps = ["atlases=[]", "explain={images: all, methods: [grad_cam, saliency], targets: [predicted]}"]
    bench.did("run", *maps)
    sheets = {p.name: p.read_bytes() for p in (tmp_path / "run" / "figures").glob("errors-*.jpg")}
    assert bench.did("run", *maps, "boxes={}") == ["boxes", "report"]
    store = bench.store("run")
    for variant, by in (("grad_cam", "threshold"), ("saliency", "grabcut")):
        parts = [store.read(f"boxes/{variant}", k) for k in range(store.parts(f"boxes/{variant}"))]
        rows = [row for part in parts for row in part.to_pylist()]
        told = [row for k in range(len(parts)) for row in store.read(f"maps/{variant}", k).to_pylist()]
        assert [row["image_id"] for row in rows] == [row["image_id"] for row in told if row["flag"] is None]
        # Photographs as large as the model's input: the two ways to say it are one.
        assert all(row["by"] == by and row["input"] == [row[s] for s in SIDES] for row in rows)
    again = {p.name: p.read_bytes() for p in (tmp_path / "run" / "figures").glob("errors-*.jpg")}
    assert again.keys() == sheets.keys() and all(again[name] != sheets[name] for name in sheets)
    one_line(bench.run("run", "boxes={}"), "boxes: there are no maps; give explain too")
    one_line(bench.run("run", *maps, "boxes={threshold: 2}"), "boxes.threshold")


SIDES = ("left", "top", "right", "bottom")


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (0.25, 0.5, 0.75, 0.9)])
def test_a_frame_is_white_and_lies_in_the_picture(box):
    pixels = np.full((100, 100, 3), 90, np.uint8)
    boxed(pixels, box)
    white = np.argwhere((pixels == 255).all(2))
    top, left = white.min(0)
    bottom, right = white.max(0)
    sides = np.array([left, top, right + 1, bottom + 1]) / 100
    assert np.abs(sides - box).max() <= 0.03
    assert (pixels[60:80, 40:60] == 90).all()  # within it the map is as it was
