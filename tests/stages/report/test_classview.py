"""What is shown for a class: shares and means with their intervals, in 8 bits, in words; names inside their cells."""

import base64
import json
import zlib

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.report import captions, classview, heatdata, lettering, names, validity
from activation_atlas.stages.report.assets import Assets
from activation_atlas.stages.report.evidence import read_atlas
from activation_atlas.stages.report.posters import place_names
from activation_atlas.stages.report.presence import variety
from activation_atlas.stages.tasks import assigned
from tests.stages.report.scene import scene
from tests.stages.report.test_numbers import atlas_of, grid_of


def measured(share, error, images, count=None):
    """A grid of one class whose mean is its share."""
    share = np.asarray(share, np.float32)[:, None]
    grid = grid_of(share, [(k, 0) for k in range(len(share))], count)
    grid.images = np.asarray(images)
    error = np.asarray(error, np.float32)[:, None]
    grid.measured = {"top_share": share, "top_share_se": error, "attribution_se": error, "relative_se": error}
    return grid


def test_a_share_is_held_against_the_map_and_photographs_are_what_counts():
    grid = measured([0.4, 0.0, 0.0, 0.4], [0.05, 0.0, 0.0, np.nan], [40, 2, 400, 1], [100, 100, 1000, 100])
    found = classview.shown(grid, "top_share")
    assert found.rate == pytest.approx([80 / 1300])
    # .4 * .6 / .05^2 = 96 positions, of 40 photographs: t of 39 degrees of freedom is 2.0227.
    assert found.spread[0, 0] == pytest.approx(96 * (1.959964 / 2.0227) ** 2, rel=1e-3)
    low, high = wilson(0.4 * found.spread[0, 0], found.spread[0, 0])
    assert low == pytest.approx(0.305, abs=0.005) and high == pytest.approx(0.503, abs=0.005)
    # None in two photographs says nothing, in four hundred something; of a single photograph nothing follows.
    assert found.sure[:, 0].tolist() == [True, False, True, False]
    assert found.reach(np.ones(4, bool)) == pytest.approx(0.4 - 80 / 1300)


def test_a_mean_is_sure_where_its_interval_lies_beside_the_map():
    grid = measured([0.5, 0.2, 0.1], [0.1, 0.1, 0.001], [9, 9, 9])
    found = classview.shown(grid, "mean")
    assert found.rate == pytest.approx([0.8 / 3]) and found.sure[:, 0].tolist() == [True, False, True]
    assert found.spread[0, 0] == pytest.approx(0.1 * 2.306, rel=1e-3), "t of 8 degrees of freedom"
    del grid.measured["attribution_se"]
    assert classview.shown(grid, "mean").sure.all(), "where no error is known nothing is paler"


def test_correlations_in_two_digits():
    assert [validity.decimal(v) for v in (0.5, -0.25, 1.0, -1.0, 0.0, -0.0, 0.004)] == [
        ".50", "−.25", "1.00", "−1.00", "0", "0", "0",
    ]  # fmt: skip


def test_relative_to_the_classes():
    grid = grid_of([[3.0, 1.0], [1.0, 1.0]], [(0, 0), (1, 0)])
    assert classview.shown(grid, "relative").values.tolist() == [[1.0, -1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("classes", "listed", "words"),
    [
        (1000, False, ("share of its positions that rank ", " among their top 50 of 1,000")),
        (12, False, ("share of its positions that argue for ", " before any other class")),
        (1000, True, ("share of its positions that argue for ", " before any other of their image's 20 likeliest")),
    ],
)
def test_shares_in_words(classes, listed, words):
    atlas = atlas_of(grid_of(np.zeros((1, classes)), [(0, 0)]), classes)
    atlas.listed = listed
    assert classview.worded(atlas, "top_share") == words


def test_what_is_shown_first():
    grid = measured([0.1, 0.3], [0.1, 0.1], [5, 5])
    atlas = atlas_of(grid, 2)
    atlas.attributed, atlas.softmax = [0, 1], True
    assert classview.possible(atlas, grid) == ["top_share", "relative", "mean"]
    atlas.statistic = "relative"
    assert classview.possible(atlas, grid)[0] == "relative"
    atlas.statistic, grid.measured["top_share"] = None, np.array([[0.97, 0.0]] * 2, np.float32)
    one = atlas_of(grid, 2, class_="c0")
    one.softmax = True
    assert classview.possible(one, grid)[0] == "relative", "where nearly all rows are the class's, shares tell nothing"
    several = atlas_of(grid, 3)
    several.attributed, several.softmax = [0, 1], True
    assert classview.possible(several, grid) == ["top_share", "mean"], "of some classes the mean is not that of all"
    assert classview.worded(several, "top_share")[1] == " before any other of 2 extracted classes"
    grid.measured = {}
    assert classview.possible(atlas, grid) == ["mean", "relative"], "an old run folder"


def test_heat_data_round_trips():
    rng = np.random.default_rng(0)
    grid = grid_of(rng.normal(size=(6, 3)), [(k, 0) for k in range(6)], n=8)
    grid.measured = {name: rng.random((6, 3)).astype(np.float32) for name in ("attribution_se", "relative_se")}
    grid.measured |= {"top_share": rng.random((6, 3)).astype(np.float32), "top_share_se": np.full((6, 3), 0.1, "f4")}
    assets = Assets()
    found = heatdata.scripts("x", "a/8", grid, assets)

    def read(part):
        text = assets.files[found[part]["src"]].decode()
        told = json.loads("[" + text[len("activationAtlasData(") : -2] + "]")[1]
        return told, np.frombuffer(zlib.decompress(base64.b64decode(told["packed"])), np.uint8).reshape(-1, 6, 3)

    told, (levels, spread) = read("share")
    share = classview.shown(grid, "top_share")
    assert np.allclose((levels / 255) ** 2, share.values, atol=1 / 255) and np.allclose(told["rate"], share.rate, 1e-4)
    assert np.allclose(2 ** (spread / 8) - 1, share.spread, rtol=0.1, atol=0.1)
    told, (levels, spread, other) = read("mean")
    assert np.allclose(levels.view(np.int8) / 127 * told["scale"], grid.attribution, atol=np.max(told["scale"]) / 127)
    for statistic, level in (("mean", spread), ("relative", spread + other)):
        half = 2 ** ((level.astype(float) - 128) / 8) * told["scale"]
        assert np.allclose(half, classview.shown(grid, statistic).spread, rtol=0.05)


def test_variety_of_labels_is_that_of_as_many_photographs():
    def of(labels, sizes):
        return variety(assigned(pa.array(labels)), np.arange(len(labels)), np.array(sizes))

    different = of(np.arange(64, dtype=np.int32), [1, 7, 64])
    assert np.allclose(different, np.log2([1, 7, 64])), "all labels differ, so they do in every draw"
    mean, low, high = of(np.repeat(np.int32([0, 1]), 50), [2, 100])
    # Two of fifty and fifty: alike with 49 of 99, else one bit.
    assert mean == pytest.approx([50 / 99, 1.0], abs=0.1) and low[0] == 0.0 and high[0] == pytest.approx(1.0)
    assert of(pa.array([None], pa.int32()), [0]) is None
    # Of several labels each counts, as in the cells: of two for all, one bit; of one more for half of them 1.52.
    pairs = pa.array([[0, 1], [0, 1, 2]] * 4, pa.list_(pa.int32()))
    mean, low, high = of(pairs, [1, 8])
    assert low[0] == 1 and high[0] == pytest.approx(np.log2(3)) and mean[1] == pytest.approx(1.5219, abs=1e-3)
    assert of(pa.array([[], []], pa.list_(pa.int32())), [1]) is None


def test_how_far_heat_is_to_be_trusted_is_said_plainly(tmp_path):
    inputs, params = scene(tmp_path)
    atlas = read_atlas(inputs, params.views[0].view, params.views[0].grids, (), 1)
    validity.read_validity(inputs, [atlas])
    told = validity.sentence(atlas, atlas.grids[0], "top_share")
    assert told == (
        "median correlation over 5 classes .50 (95 %: .42 to .58 with very many photographs) with where the "
        "photographs taken for a class lie; the warmest cells hold 2.1 times the map’s share of them."
    )
    little = [0.1, 0.02, 0.18, 2.1, 1, "predicted"]
    assert validity.own(atlas, atlas.grids[0], "top_share") == ({2: little}, {})
    table = validity.facts(atlas)
    assert (table["grid"], table["shown"], table["more"]) == (2, "top_share", 0)
    (row,) = table["rows"]
    assert (row["against"], row["lift"]) == ("predicted classes", "2.1 [1.6, 2.6]")
    assert set(row["of"].values()) == {".50 [.42, .58]"}
    for row in atlas.validity:
        row.update(low=-0.01, kind="group")
    told = validity.sentence(atlas, atlas.grids[0], "top_share")
    assert told.startswith("this heat may say little about where the photographs of a class’s group lie, median")
    for row in atlas.validity:
        row.update(correlation=None)
    assert validity.sentence(atlas, atlas.grids[0], "top_share") == ""
    assert set(validity.facts(atlas)["rows"][0]["of"].values()) == {""}
    assert [validity.decimal(v) for v in (-0.004, 0.3, -0.31, 1.0)] == ["0", ".30", "−.31", "1.00"]


def test_purity_stands_beside_that_of_the_layer():
    atlas = atlas_of(grid_of([[0.0]], [(0, 0)]), 1, class_="c0")
    assert captions.purity(atlas) == ""
    side = {"class": "c0", "predicted": [0.424, 0.35, 0.5], "base": 0.083, "label": None, "label_base": None}
    atlas.purity = [side]
    assert captions.purity(atlas) == (
        "42 % (95 %: 35 to 50 %) of its rows are of photographs taken for c0, 8.3 % of all of the layer’s"
    )
    atlas.purity = [side | {"label": [0.2, 0.1, 0.3], "label_base": 0.083}]
    assert captions.purity(atlas).endswith("8.3 % of all of the layer’s; 20 % (10 to 30 %) of those labelled so")
    atlas.purity = [side, side | {"class": "c1", "predicted": None, "label": [0.1, 0.0, 0.2], "label_base": 0.2}]
    assert captions.purity(atlas).endswith(
        ";  10 % (95 %: 0 to 20 %) on the side of c1 are of photographs labelled it, 20 % of all of the layer’s"
    )


def test_names_stand_inside_their_cells_whole(tmp_path):
    inputs, params = scene(tmp_path)
    atlas = read_atlas(inputs, params.views[0].view, params.views[0].grids, (), 1)
    names.read_names(inputs, [atlas])
    grid = atlas.grids[1]
    drawn = names.drawn(atlas, grid)
    assert drawn and drawn[0][1].lift is not None and drawn[-1][1].lift is None, "the surest comes first"
    name = drawn[0][1]
    assert names.listed([name]) == [[None, name.class_index, 4, 0.31, 0.002, 3.1]]
    sheet = Sheet(1000, 1000)
    rects = place_names(sheet, atlas, grid, 20, 20, 200, 1.0)
    inside = [(20 + 200 * grid.x[k], 20 + 200 * grid.y[k]) for k, _ in drawn]
    boxes = [sheet.box(text) for text in sheet.axes.texts]
    assert rects and len(sheet.axes.texts) >= len(rects)
    for x0, y0, x1, y1 in [*rects, *boxes]:
        assert any(x <= x0 and y <= y0 and x1 <= x + 200 and y1 <= y + 200 for x, y in inside)


def test_a_name_that_does_not_fit_is_not_cut():
    assert lettering.fitted("goldfish", 100, 10, 20)[1] == ["goldfish"]
    assert lettering.fitted("black-and-tan coonhound", 90, 10, 20)[1] == ["black-and-", "tan", "coonhound"]
    assert lettering.fitted("donaudampfschifffahrtsgesellschaft", 60, 10, 20) is None


def test_of_neighbours_of_one_name_one_is_named():
    grid = grid_of(np.zeros((3, 1)), [(0, 0), (1, 0), (3, 3)])
    name = names.Name("cat", False, 0, 5, 1.0, 0.01, 2.0, 4.0)
    grid.names = [[name], [name], [name]]
    assert [k for k, _ in names.drawn(atlas_of(grid, 1), grid)] == [0, 2]
