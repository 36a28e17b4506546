"""Sizes, boxes, intervals, regions and colours, by hand."""

import json

import numpy as np
import pytest

from activation_atlas.stages.drawing import overlays
from activation_atlas.stages.drawing.pages import safe_json
from activation_atlas.stages.report import heatmaps, tiles
from activation_atlas.stages.report.evidence import Atlas, Grid, full_count, read_atlas
from activation_atlas.stages.report.geometry import WHOLE, patch_box, patch_side
from activation_atlas.stages.specs import ViewSpec
from tests.stages.report.scene import scene

LAYER = {"receptive_field": [219, 219], "stride": [16, 16], "offset": [8.0, 8.0]}


def grid_of(attribution, xy, count=None, n=4) -> Grid:
    attribution = np.asarray(attribution, np.float32)
    size = len(attribution)
    x, y = np.array(xy).T
    count = np.full(size, 10) if count is None else np.array(count)
    argues = [[(int(j), float(a[j])) for j in np.argsort(-a)[:5]] for a in attribution]
    nothing = np.full(size, np.nan)
    return Grid(
        n, x, y, count, count, nothing, nothing, [[]] * size, attribution, argues, [[]] * size, [None] * size, {}
    )


def atlas_of(grid: Grid, classes: int, **view) -> Atlas:
    spec = ViewSpec(name="a", layer="l", **view)
    return Atlas(spec, 5, [f"c{k}" for k in range(classes)], list(range(classes)), {}, (8, 8), {}, [grid])


def test_area_follows_the_count():
    grid = grid_of(np.zeros((4, 1)), [(0, 0), (1, 0), (2, 0), (3, 0)], [4, 25, 100, 400])
    assert full_count(grid, 5) == 100
    assert tiles.sides(grid, 5).tolist() == [0.0, 0.5, 1.0, 1.0]


def test_patch_spans_what_the_icon_does():
    assert patch_side(LAYER, (224, 224), 96, None) == 96
    assert patch_side(LAYER, (224, 224), None, None) == pytest.approx(89.6)
    assert patch_side({**LAYER, "receptive_field": [50, 50]}, (224, 224), 96, None) == 50
    assert patch_side(LAYER, (64, 64), 96, None) == 48
    assert patch_side(LAYER, (224, 224), 96, 32) == 32


def test_patch_box_lies_around_its_position_and_inside_the_input():
    left, top, right, bottom = patch_box(6, 7, 96, LAYER, (224, 224))
    assert ((left + right) / 2 * 224, (top + bottom) / 2 * 224) == pytest.approx((8 + 7 * 16 + 0.5, 8 + 6 * 16 + 0.5))
    assert patch_box(0, 13, 96, LAYER, (224, 224)) == pytest.approx((128 / 224, 0, 1, 96 / 224))
    assert patch_box(-1, -1, 96, LAYER, (224, 224)) == WHOLE


def test_patch_is_cut_from_the_right_place(tmp_path):
    from PIL import Image

    inputs, params = scene(tmp_path, grids=(1,), icon_grids=())
    pixels = np.zeros((48, 96, 3), np.uint8)  # twice the model's height, cropped to its centre: columns 24 to 72
    pixels[:, :24], pixels[:, 72:] = 255, 255
    pixels[8:20, 48:60] = (250, 10, 10)  # in the model's input: rows 4 to 10, columns 12 to 18
    for file in tmp_path.iterdir():
        Image.fromarray(pixels).save(file, "PNG")
    view = params.views[0]
    atlas = read_atlas(inputs, view.view, view.grids, (), 1)
    atlas.layer.update(receptive_field=[6, 6], stride=[1, 1], offset=[-0.5, -0.5])
    atlas.grids[0].exemplars = [[("a", 7, 15)]]
    from activation_atlas.stages.report.evidence import read_photos

    photos = read_photos(inputs, {"a"})
    cut = tiles.cut(inputs, params.images, [atlas], photos, 1, {}, 6, 320, 480)
    patch = np.asarray(cut.patches["all", 1, 0])
    assert patch.shape == (12, 12, 3)
    assert np.abs(patch.astype(int) - (250, 10, 10)).max() <= 3
    assert not (np.asarray(cut.patches["all", 1, 0]) == 255).all(-1).any()


def test_heat_scale_is_symmetric_and_white_at_zero():
    assert overlays.scale(np.array([-0.123, 0.05]), signed=True) == pytest.approx(0.13)
    assert overlays.scale(np.zeros(3), signed=True) == 1.0
    low, middle, high = heatmaps.colours(np.array([-2.0, 0.0, 2.0]), 1.0)
    assert min(middle[:3]) > 0.95 and low[2] > low[0] and high[0] > high[2]
    pale = heatmaps.colours(np.array([2.0]), 1.0, np.array([False]))[0]
    assert np.abs(pale - middle).max() < 0.3 * np.abs(high - middle).max()


def test_default_heat_maps_differ():
    rng = np.random.default_rng(1)
    base = rng.normal(size=(16, 1))
    values = np.hstack([base * 3, base * 2.9, rng.normal(size=(16, 4))])
    grid = grid_of(values, [(k % 4, k // 4) for k in range(16)])
    chosen = heatmaps.chosen_classes(atlas_of(grid, 6), grid, [])
    assert chosen[0] == 0 and 1 not in chosen


def test_json_is_safe_in_html():
    text = safe_json({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"a": "</script><!--&\u2028"}
