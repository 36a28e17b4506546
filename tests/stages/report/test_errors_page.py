"""The page of mistakes in a browser: filters, lazily drawn maps, and that what is drawn is what the table holds."""

import json

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Page

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.overlays import coloured
from activation_atlas.stages.report import STAGE
from activation_atlas.stages.vision.place import enlarged
from tests.stages.report.audit import METHODS, ROWS, audit
from tests.stages.report.browser import opened, written
from tests.stages.report.scene import EVIL
from tests.stages.report.test_errors import data_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    inputs, params = audit(folder, methods=METHODS[:2], inline=0)
    files = inputs.run(STAGE, params)
    return written(files, folder), data_of(files)


def drawn(page: Page, method: str, count: int) -> list[str]:
    """Once ``count`` maps of the method are drawn: what is said of each to those who do not see it."""
    maps = page.locator(f'canvas[aria-label^="{method} for"]')
    page.wait_for_function(
        "([method, count]) => [...document.querySelectorAll('canvas')].filter((canvas) => canvas.width > 1"
        " && canvas.getAttribute('aria-label')?.startsWith(`${method} for`)).length === count",
        arg=[method, count],
    )
    return [found.get_attribute("aria-label") for found in maps.all()]


def test_a_cell_shows_its_mistakes(browser, site):
    with opened(browser, site[0] / "errors.html", "label=0&pred=1") as (page, said):
        maps = drawn(page, "Grad-CAM", 4)
        names = page.locator(".case figure:first-child figcaption").all_inner_texts()
        status, cases = page.locator("#status").inner_text(), page.locator(".case").all_inner_texts()
        marked = page.locator('[data-cell][aria-current="true"]')
        current = marked.evaluate_all("(all) => all.map((e) => e.dataset.cell)")
        document = page.content()
    assert not said, said
    assert names == ["g.png", "a.png"]
    assert "2 of 7 photographs on this page · the run has 2 mistakes of cat taken for" in status
    assert "Grad-CAM for cat: strongest in the middle" in maps
    assert ", up to 2" in cases[0] and ", up to 1" in cases[0]
    assert cases[1].count("zero everywhere") == 2
    assert current == ["0,1"], "the cell is marked"
    assert EVIL not in document.split('id="data"')[0], "a class name stays text"


def test_all_are_there_without_a_filter_and_methods_switch(browser, site):
    with opened(browser, site[0] / "errors.html", "method=occlusion&order=pred&smooth=no") as (page, said):
        assert page.locator(".case").count() == sum(map(len, ROWS))
        headings = page.locator("#cases h2").evaluate_all("(all) => all.map((e) => e.firstChild.textContent)")
        first = page.locator(".case").first
        first.scroll_into_view_if_needed()
        first.locator('canvas[aria-label^="Occlusion for cat"]').wait_for()
        assert "without interpolation" in page.locator("#reading").text_content()
        page.get_by_role("radio", name="Grad-CAM").click()
        first.locator('canvas[aria-label^="Grad-CAM for cat"]').wait_for()
        assert "method" not in page.url and "order=pred" in page.url, "the address leads back to what is shown"
        page.get_by_role("radio", name="Smooth").click()
        assert "bilinear" in page.locator("#reading").text_content()
    assert not said, said
    assert headings[0] == f"Taken for {EVIL}" and headings[1:3] == ["Taken for cat", "Taken for $horse & co"]
    assert headings[3:] == ["Explained, and no mistakes", "Explained, without a label"]


def test_filters_follow_the_reader(browser, site):
    with opened(browser, site[0] / "errors.html") as (page, said):
        cases = page.locator(".case")
        page.locator('[data-cell="0,1"]').click()
        page.wait_for_function("document.querySelectorAll('.case').length === 2")
        assert page.locator("#label").input_value() == "0" and page.locator("#pred").input_value() == "1"
        page.go_back()
        page.wait_for_function("(all) => document.querySelectorAll('.case').length === all", arg=sum(map(len, ROWS)))
        page.locator("#text").fill("a.png")
        assert cases.locator("figure:first-child figcaption").all_inner_texts() == ["a.png"]
        page.locator("#text").fill("nowhere")
        assert cases.count() == 0 and "No photograph on this page" in page.locator("#cases").inner_text()
        page.get_by_role("button", name="Show all").click()
        assert cases.count() == sum(map(len, ROWS)) and page.locator("#reset").is_hidden()
        page.locator("#pred").select_option("2")
        assert cases.count() == 1 and "c.png" in cases.text_content()
    assert not said, said


def test_what_is_drawn_equals_the_pictures_of_the_command(browser, site):
    """The browser's interpolation and colours against those of :mod:`stages.drawing.overlays`."""
    rng, size = np.random.default_rng(3), (21, 30)
    cases = []
    for signed in (True, False):
        for smooth in (True, False):
            levels = rng.integers(-127 if signed else 0, 128, (5, 7))
            cases.append((signed, smooth, levels))
    axes = [[0.5 / n, 1 / n, 0, 1] for n in (5, 7)]  # evenly: the first middle, the pitch, from where to where
    asked = [{"signed": s, "smooth": m, "levels": v.ravel().tolist()} for s, m, v in cases]
    script = f"""() => {json.dumps(asked)}.map(({{ signed, smooth, levels }}) => {{
        const entry = {{ levels: Int8Array.from(levels), width: 7, height: 5 }};
        const canvas = painted(entry, {size[1]}, {size[0]}, {{ signed, step: [1, 1], axes: {axes} }}, smooth, true);
        return [...canvas.getContext("2d").getImageData(0, 0, {size[1]}, {size[0]}).data];
      }})"""
    with opened(browser, site[0] / "errors.html") as (page, said):
        found = page.evaluate(script)
    assert not said, said
    for (signed, smooth, levels), pixels in zip(cases, found, strict=True):
        values = enlarged(levels.astype(np.float32), size, "bilinear" if smooth else "nearest")
        expected = coloured(values, 127, signed)[..., :3].astype(int)
        got = np.array(pixels).reshape(*size, 4)[..., :3]
        assert np.abs(got - expected).max() <= 6, "one step of the 256 colours, at most"


def test_windows_are_smoothed_over_one_step(browser, site):
    script = """() => [
      [...along(Int8Array.from([0, 0, 120, 120, -128]), 1, 5, 2, 1)],
      [...along(Int8Array.from([0, 7, 120, 7, 60, 7]), 2, 3, 3, 2)],
    ]"""
    with opened(browser, site[0] / "errors.html") as (page, _):
        row, column = page.evaluate(script)
    assert row == [0, 30, 90, 120, -128], "a step becomes a line; what is lost stays and counts for nothing"
    assert column == [60, 7, 60, 7, 90, 7]


def test_where_a_map_is_strongest_is_said_of_its_values_not_of_their_levels(browser, site):
    maps = [
        {"most": 0.001, "peak": 2, "levels": [0] * 9},  # beside a map of the same image that reaches far more
        {"most": 9, "peak": 8, "levels": [127] * 9},  # beyond the end of the scale at several places
        {"most": 0, "peak": 0, "levels": [0] * 8 + [-127]},
    ]
    axes = [[0.5 / 3, 1 / 3, 0, 1]] * 2
    script = f"() => {json.dumps(maps)}.map((map) => strongest({{ ...map, width: 3, height: 3 }}, {axes}))"
    with opened(browser, site[0] / "errors.html") as (page, _):
        found = page.evaluate(script)
    assert found == ["strongest at the upper right", "strongest at the lower right", "nowhere above zero"]


def test_maps_come_in_several_scripts_and_what_is_lost_is_said(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("activation_atlas.stages.report.errors.payload.CHUNK", 3)
    inputs, params = audit(tmp_path, methods=METHODS[:1], inline=0)
    site = written(inputs.run(STAGE, params), tmp_path)
    fourth = "text=a.png"  # the first case of the second script
    with opened(browser, site / "errors.html", fourth) as (page, said):
        drawn(page, "Grad-CAM", 2)
    assert not said, said
    for photograph in site.rglob("mistake-*"):
        photograph.unlink()
    with opened(browser, site / "errors.html", fourth) as (page, _):
        drawn(page, "Grad-CAM", 2)
        page.get_by_role("alert").get_by_text("Pictures could not be loaded").wait_for()
    next(site.rglob("maps-grad_cam-001*")).unlink()
    with opened(browser, site / "errors.html", fourth) as (page, _):
        page.get_by_role("alert").get_by_text("Maps could not be loaded").wait_for()


def test_mistakes_without_maps(browser, tmp_path):
    inputs, params = audit(tmp_path)
    files = inputs.run(STAGE, params.model_copy(update={"explain": None}))
    with opened(browser, written(files, tmp_path) / "errors.html") as (page, said):
        names = page.locator(".case figcaption").all_text_contents()
        tools = [page.locator(f"#{name}").is_visible() for name in ("method", "view", "opacity", "smooth")]
        maps = page.locator(".case canvas").count()
        page.locator('[data-cell="0,1"]').click()  # it leads to an address, which the page answers in its own time
        page.wait_for_function("document.querySelectorAll('.case').length === 2")
        page.wait_for_function("[...document.querySelectorAll('.case img')].every((image) => image.naturalWidth > 0)")
        kept, status = page.locator(".case figcaption").all_text_contents(), page.locator("#status").inner_text()
    assert not said, said
    assert names == ["c.png", "d.png", "g.png", "a.png"] and kept == ["g.png", "a.png"]
    assert tools == [False] * 4 and maps == 0
    assert "2 of 4 photographs on this page · the run has 2 mistakes of cat taken for" in status


def gains(tmp_path, **of):
    """A run whose ``evaluate`` gave these gains."""
    inputs, params = audit(tmp_path, methods=METHODS[:2])
    rows = [
        {"variant": name, "kind": "predicted", "measure": "gain", "mean": mean, "low": mean - 0.1, "high": mean + 0.1}
        | {"n": 40, "left_out": 0, "better": 0.9, "against": "random"}
        for name, mean in of.items()
    ]
    inputs.tables["trust"] = [pa.Table.from_pylist(rows, schema=tables.trust())]
    pair = {"variant": "grad_cam", "other": "occlusion", "mean": 0.077, "low": 0.0, "high": 0.1, "n": 40, "left_out": 0}
    inputs.tables["agreement"] = [pa.Table.from_pylist([pair], schema=tables.agreement())]
    measured = params.explain.model_copy(update={"measured": ["trust", "agreement"]})
    return inputs.run(STAGE, params.model_copy(update={"explain": measured}))


def test_the_page_opens_on_the_method_that_stands_up_best(browser, tmp_path):
    site = written(gains(tmp_path, grad_cam=0.3, occlusion=0.6), tmp_path)
    with opened(browser, site / "errors.html") as (page, said):
        shown = page.locator('#method [aria-checked="true"]').inner_text()
        words, address = page.locator("#standing").inner_text(), page.evaluate("location.hash")
        page.get_by_role("radio", name="Grad-CAM").click()
        other, changed = page.locator("#standing").inner_text(), page.evaluate("location.hash")
    assert not said, said
    assert shown == "Occlusion" and address == "" and changed == "#method=grad_cam"
    assert "Occlusion gains most over a random map in deletion and insertion together, 0.600 [0.500, 0.700]" in words
    assert words.endswith("Rank correlation with Grad-CAM: 0.08 on average.")
    assert other == "Rank correlation with Occlusion: 0.08 on average."
    with opened(browser, site / "errors.html", "method=grad_cam") as (page, _):
        assert page.locator('#method [aria-checked="true"]').inner_text() == "Grad-CAM"
