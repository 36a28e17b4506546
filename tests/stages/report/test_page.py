"""The page in a browser: it starts without an error, and a cell's panel tells what is known of it."""

import re

import pytest

from stages.report import STAGE
from tests.stages.report.browser import opened, written
from tests.stages.report.scene import EVIL, scene


@pytest.mark.slow
@pytest.mark.parametrize("inline", [8, 0])
def test_a_cell_is_explained(browser, tmp_path, inline):
    inputs, params = scene(tmp_path, inline=inline)
    site = written(inputs.run(STAGE, params), tmp_path)
    cells = inputs.table("cells/all").to_pylist()
    cell = next(c for c in cells if c["grid"] == 4)
    fragment = f"atlas=all&grid=4&class=2&cell=4,{cell['cell_x']},{cell['cell_y']}"
    with opened(browser, site / "index.html", fragment) as (page, said):
        page.locator("#panel").get_by_text("Shown on the map").wait_for()
        document, panel = page.content(), page.locator("#panel").inner_html()
    assert not said, said
    assert f"Column {cell['cell_x'] + 1}, row {cell['cell_y'] + 1} of 4 × 4" in panel
    assert "Argues for" in panel and "two words.png" in panel and "Shown on the map" in panel
    shown = re.search(r'Shown on the map</h3>.*?class="value">([^<]*)<', panel).group(1)
    assert float(shown.replace("−", "-")) == pytest.approx(cell["attribution"][2], abs=0.02)
    assert EVIL not in document.split('id="data"')[0], "a class name stays text"
    assert "<img src=" + "x" not in document


@pytest.mark.slow
def test_what_is_lost_is_said(browser, tmp_path):
    """And the rest of the page works."""
    inputs, params = scene(tmp_path, inline=0)
    site = written(inputs.run(STAGE, params), tmp_path)
    for file in (site / "assets").iterdir():
        file.unlink()
    both = re.compile("^(Pictures and attributions|Attributions and pictures) could not be loaded")
    for lost, fragment in [("Pictures could not be loaded", "show=photographs"), (both, "show=photographs&class=2")]:
        with opened(browser, site / "index.html", f"atlas=all&grid=4&{fragment}") as (page, _):
            page.get_by_role("alert").get_by_text(lost).wait_for()
            assert page.locator("#measures").inner_text()
