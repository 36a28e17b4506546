"""The page in a browser: it starts without an error, and a cell's panel tells what is known of it."""

import re

import pytest

from activation_atlas.stages.report import STAGE
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
    shown = re.search(r'Shown on the map.*?class="value">([^<]*) %<', panel).group(1)
    assert float(shown) == pytest.approx(100 * cell["top_share"][2], abs=1)
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


@pytest.mark.slow
def test_what_is_shown_is_chosen_and_kept_in_the_address(browser, tmp_path):
    inputs, params = scene(tmp_path)
    site = written(inputs.run(STAGE, params), tmp_path)
    cell = next(c for c in inputs.table("cells/all").to_pylist() if c["grid"] == 4)
    place = f"atlas=all&grid=4&class=2&cell=4,{cell['cell_x']},{cell['cell_y']}"
    with opened(browser, site / "index.html", place) as (page, said):
        panel, told = page.locator("#panel"), page.locator("#told")
        panel.get_by_text("Shown on the map").wait_for()
        share = told.inner_text().replace("\u00a0", " ")
        named = panel.locator(".named li").all_inner_texts()
        page.get_by_role("radio", name="Share").focus()
        page.keyboard.press("ArrowLeft")
        panel.get_by_text("mean attribution, logits").wait_for()
        mean, logits = told.inner_text(), panel.locator("dd .value").inner_text()
        kept = page.evaluate("location.hash")
        page.get_by_role("radio", name="Mistakes").click()
        page.locator("#told").get_by_text("misclassified").wait_for()
        measure = page.evaluate("location.hash")
        page.reload()
        page.locator("#told").get_by_text("misclassified").wait_for()
        again = page.get_by_role("radio", name="Mistakes").get_attribute("aria-checked")
        # The middle of the scale is as light as light pages, and as dark as dark ones.
        light = "((rgb) => Math.max(...heatColour(0).match(/[0-9]+/g).map(Number)))()"
        middle = {
            theme: page.evaluate(f"document.documentElement.dataset.theme = '{theme}', {light}")
            for theme in ("light", "dark")
        }
        sizes = page.evaluate(
            "[30, 60, 90, 160, 300].flatMap((room) => RUN.classes.map((name) => [room, lettered(name, false, room)]))"
        )
        spans = "(all) => all.map(([size, line]) => (context.font = NAMES.font(size), context.measureText(line).width))"
        widths = page.evaluate(spans, [[f["size"], line] for _, f in sizes if f for line in f["lines"]])
    assert not said, said
    assert share.startswith("Share of its positions that argue for </script>") and "map’s " in share
    assert "this heat says little about where the photographs taken for it lie, correlation .10 (95 %:" in share
    assert len(named) == 2 and named[0].startswith("fish a group of classes; 4 photographs rank it high here")
    assert mean.startswith("Mean attribution to ") and float(logits.replace("−", "-")) == pytest.approx(
        cell["attribution"][2], abs=0.02
    )
    assert "by=mean" in kept and "class=2" in kept and "heat=errors" in measure and again == "true"
    assert middle["light"] > 240 and middle["dark"] < 45
    rooms = [room for room, f in sizes if f for _ in f["lines"]]
    assert rooms and all(width <= room for width, room in zip(widths, rooms, strict=True)), "names stand in their cells"
    assert all(f is None or "…" not in "".join(f["lines"]) for _, f in sizes)
