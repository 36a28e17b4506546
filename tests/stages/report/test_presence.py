"""How far off the quantities of a cell's photographs are: by hand, and as the atlas page shows it."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from activation_atlas.stages import tables
from activation_atlas.stages.report import STAGE
from activation_atlas.stages.report.evidence import read_atlas
from activation_atlas.stages.report.presence import away, read_presence
from activation_atlas.stages.specs import ViewSpec
from tests.stages.report.browser import opened, written
from tests.stages.report.scene import LAYER, scene
from tests.stages.report.test_report import data_of

NAMES = ["height", "mass of it all"]
IDS = ["a", "b", "c", "d"]
LABELS = [[1.0, 10.0], [2.0, 10.0], [3.0, 10.0], None]
SAID = [[1.5, 10.0], [1.0, 10.25], [3.0, 7.0], [0.0, 0.0]]


def quantities(folder, **report):
    """The plain scene with two quantities: a and b in one cell of the coarse grid, c in another, d without a label in
    both; two positions of each."""
    inputs, params = scene(folder, grids=(1, 2), icon_grids=(), classes=NAMES, labels=False, measured=False, **report)
    inputs.states["extract", ""] |= {"kind": "quantity", "classes": NAMES}
    (cells,) = inputs.tables["cells/all"]
    unknown = {name: pa.nulls(len(cells), pa.float32()) for name in ("error_rate", "label_entropy")}
    for name, column in unknown.items():
        cells = cells.set_column(cells.schema.get_field_index(name), name, column)
    inputs.tables["cells/all"] = [cells]
    pairs = pa.list_(pa.float64())
    said = {"image_id": IDS, "label": pa.array(LABELS, pairs), "pred": pa.array(SAID, pairs)}
    nothing = {"prob": pa.float32(), "label_prob": pa.float32(), "correct": pa.bool_()}
    lists = {"top_classes": pa.list_(pa.int32()), "top_probs": pa.list_(pa.float32())}
    none = {name: pa.nulls(4, kind) for name, kind in (nothing | lists).items()}
    inputs.tables["predictions"] = [pa.table({**said, **none})]
    inputs.states["measures", ""] = {"errors": {"scale": [1.0, 1.0], "least": 3.0}}
    x = np.float32([0.1, 0.2, 0.1, 0.3, 0.8, 0.9, 0.1, 0.8])
    place = {
        "image_id": np.repeat(IDS, 2),
        "row": pa.array([1] * 8, pa.int16()),
        "col": pa.array([1, 2] * 4, pa.int16()),
    }
    inputs.tables["layouts/all"] = [pa.table({**place, "x": x, "y": np.full(8, 0.9, np.float32)}, tables.layouts())]
    return inputs, params


def read(inputs):
    atlas = read_atlas(inputs, ViewSpec(name="all", layer=LAYER), (1, 2), (), 5)
    read_presence(inputs, [atlas])
    return atlas


@pytest.mark.slow
def test_errors_of_a_cell_are_means_over_its_labelled_photographs(tmp_path):
    atlas = read(quantities(tmp_path)[0])
    np.testing.assert_allclose(atlas.mae, [0.5, 3.25 / 3])
    whole, fine = atlas.grids
    np.testing.assert_allclose(whole.away[0, :, 0], atlas.mae)
    cells = {(int(x), int(y)): k for k, (x, y) in enumerate(zip(fine.x, fine.y, strict=True))}
    left, right = (fine.away[:, :, cells[x, 1]] for x in (0, 1))
    np.testing.assert_allclose(left[0], [0.75, 0.125])
    np.testing.assert_allclose(right[0], [0.0, 3.0])
    # Of two photographs .5 and 1: a standard error of .25, and Student's t of one degree of freedom.
    np.testing.assert_allclose(left[1], stats.t.ppf(0.975, 1) * np.array([0.25, 0.125]))
    assert np.isnan(right[1]).all(), "of a single photograph there is no interval"
    assert fine.labelled[cells[0, 1]] == 2 and fine.variety is None and atlas.error_rate is None


def test_an_interval_is_that_of_the_t_test():
    off = np.abs(np.random.default_rng(0).normal(size=(9, 1)))
    mean, half = away(np.stack([off.sum(0), (off**2).sum(0)])[..., None], np.array([9]))[:, 0, 0]
    low, high = stats.t.interval(0.95, 8, off.mean(), stats.sem(off[:, 0]))
    np.testing.assert_allclose([mean - half, mean + half], [low, high])


@pytest.mark.slow
def test_the_map_shows_errors_of_quantities_in_their_unit(browser, tmp_path):
    inputs, params = quantities(tmp_path)
    files = inputs.run(STAGE, params)
    assert data_of(files)["atlases"][0]["mae"] == [0.5, 1.083]
    site = written(files, tmp_path)
    with opened(browser, site / "index.html", "atlas=all&grid=2&heat=errors&cell=2,0,1") as (page, said):
        panel = page.locator("#panel").inner_text()
        first = page.locator("#told").inner_text(), page.locator("#scale").inner_text().split()
        page.locator("#class-input").fill("mass")
        page.keyboard.press("Enter")
        second, address = page.locator("#told").inner_text(), page.evaluate("location.hash")
        choices = page.locator("#of [role=radio]").all_inner_texts()
        spoken = page.locator("#spoken").inner_text()
    assert not said, said
    said_of = " ".join(panel.split())
    assert "mean error of height 0.75 (95 %: 0 to 3.93)" in said_of and "mass of it all 0.125" in said_of
    assert "misclassified" not in panel and choices == ["Quantities", "Errors"]
    assert first[0].startswith("Mean absolute error of height over a cell’s labelled photographs, in its unit")
    assert first[1][0] == "0", "an error is never less"
    assert "Mean absolute error of mass of it all" in second and "the map’s 1.08" in second
    assert "heat=errors" in address and "class=1" in address
    assert "Off by height 0.75, mass of it all 0.125 in the mean." in spoken
