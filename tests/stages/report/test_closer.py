"""The pages looked at: what opens large, what a screen reader and a phone make of them, and what is above the fold."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from activation_atlas.stages.report import STAGE
from tests.stages.report.audit import METHODS, audit
from tests.stages.report.browser import opened, written
from tests.stages.report.scene import scene

pytestmark = pytest.mark.slow

DESK, LAPTOP, PHONE = {"width": 1400, "height": 900}, {"width": 1280, "height": 720}, {"width": 390, "height": 844}
BARRED = "(all) => [...document.querySelectorAll(all)].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)"


@pytest.fixture(scope="module", params=[8, 0], ids=["inlined", "beside"])
def sites(request, tmp_path_factory):
    """The main page and the page of mistakes, as one file each and with their assets beside them; and their inputs."""
    found = []
    for name, made in (("index", scene), ("errors", audit)):
        folder = tmp_path_factory.mktemp(name)
        options = {"methods": METHODS[:2]} if name == "errors" else {"poster": 2400}
        inputs, params = made(folder, inline=request.param, **options)
        found += [written(inputs.run(STAGE, params), folder) / f"{name}.html", inputs]
    return found


def violations(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]


def cell_of(inputs) -> str:
    """The fragment that opens on the first cell of the finer grid."""
    cell = next(c for c in inputs.table("cells/all").to_pylist() if c["grid"] == 4)
    return f"atlas=all&grid=4&class=2&cell=4,{cell['cell_x']},{cell['cell_y']}"


def test_the_photographs_of_a_cell_open_large(browser, sites):
    with opened(browser, sites[0], cell_of(sites[1])) as (page, said):
        dialog, place = page.locator("#closer"), page.locator("#closer .place")
        second = page.locator('.photos [data-close="1"]')
        second.focus()
        page.keyboard.press("Enter")
        assert place.inner_text() == "2 of 2", "the cell has no icon and two photographs"
        shown = dialog.locator("img")
        assert shown.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 24
        frame, box = shown.bounding_box(), dialog.locator(".frame i").bounding_box()
        assert violations(page) == []
        page.keyboard.press("ArrowRight")
        first = [place.inner_text(), dialog.locator(".caption").inner_text()]
        page.keyboard.press("ArrowLeft")
        again = [
            place.inner_text(),
            page.locator("#closer-title").inner_text(),
            dialog.locator(".caption").inner_text(),
        ]
        page.keyboard.press("Escape")
        assert dialog.is_hidden() and second.evaluate("(tile) => tile === document.activeElement")
        page.locator("#map").focus()
        page.keyboard.press("Enter")
        assert dialog.is_visible(), "Enter on the kept cell"
        for _ in range(8):
            page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || document.activeElement.closest('#closer') !== null"
        assert page.evaluate(inside), "what lies below is out of reach"
    assert not said, said
    assert frame["width"] == pytest.approx(240, abs=1), "a picture of 24 pixels is enlarged tenfold and no more"
    # Row 2, column 5 of a layer with stride 3 and offset 1: its centre is at 16.5 and 7.5 of 24 pixels.
    centre = [(box[k] + box[size] / 2 - frame[k]) / frame[size] for k, size in (("x", "width"), ("y", "height"))]
    assert centre == pytest.approx([16.5 / 24, 7.5 / 24], abs=0.02)
    assert first[0] == "1 of 2" and "goldfish 90 %, right" in first[1]
    assert again[:2] == ["2 of 2", "two words.png"] and "taken for goldfish 60 %" in again[2]


def test_a_poster_opens_large_and_pixel_for_pixel(browser, sites):
    with opened(browser, sites[0]) as (page, said):
        poster = page.locator("a[data-closer]").first
        poster.click()
        place = page.locator("#closer .place").inner_text()
        page.wait_for_function("document.querySelector('#closer img').src.includes('/figures/')")
        assert violations(page) == []
        page.set_viewport_size(PHONE)
        page.get_by_role("button", name="Pixel for pixel").click()
        page.wait_for_function(
            "(() => { const i = document.querySelector('#closer img'); return i.width === i.naturalWidth })()"
        )
        assert page.locator("#closer .room").get_attribute("tabindex") == "0" and violations(page) == []
        page.get_by_role("button", name="Close").click()
        page.locator("#closer img").wait_for(state="detached")
    assert not said, said
    assert place == "1 of 3"


def test_a_mistake_opens_large_with_its_map_or_without(browser, sites):
    with opened(browser, sites[2], "pred=1&method=occlusion") as (page, said):
        maps = page.locator('.case canvas[aria-label^="Occlusion for"]')
        maps.first.wait_for()
        page.locator(".case").first.locator("button.frame").nth(1).click()
        canvas, place = page.locator("#closer canvas"), page.locator("#closer .place").inner_text()
        page.locator('#closer canvas[aria-label*="Occlusion for"]').wait_for()
        label, with_map = canvas.get_attribute("aria-label"), canvas.screenshot()
        assert violations(page) == []
        page.locator("#closer [data-kind=photo]").click()
        assert canvas.get_attribute("aria-label") == "Photograph g.png"
        assert page.evaluate("document.activeElement.dataset.kind") == "photo", "focus stays where it was"
        without = canvas.screenshot()
        page.locator("#closer select").select_option("grad_cam")
        page.locator("#closer [data-kind=label]").click()
        page.locator('#closer canvas[aria-label*="Grad-CAM for cat"]').wait_for()
        page.locator("#closer-title").click()
        page.keyboard.press("ArrowRight")
        page.get_by_text("This map: zero everywhere.").wait_for()
        caption = page.locator("#closer .caption").inner_text()
        page.keyboard.press("Escape")
        # Focus goes to the card that was seen last.
        seen = "document.activeElement.closest('.case')?.querySelector('figcaption').textContent === 'a.png'"
        page.wait_for_function(seen)
        chosen = page.get_by_role("radio", name="Grad-CAM").get_attribute("aria-checked")
    assert not said, said
    assert place == "1 of 4" and label.startswith("g.png: Occlusion for")
    assert with_map != without and chosen == "true"
    assert "taken for" in caption and "label: cat" in caption


def test_what_cannot_be_loaded_is_said_in_the_window_too(browser, tmp_path):
    inputs, params = scene(tmp_path, inline=0)
    site = written(inputs.run(STAGE, params), tmp_path)
    for file in [*(site / "assets").glob("photo-*"), *(tmp_path / "figures").iterdir()]:
        file.unlink()
    with opened(browser, site / "index.html", cell_of(inputs)) as (page, _):
        page.locator('.photos [data-close="1"]').click()
        page.locator("#closer .note").get_by_text("could not be loaded").wait_for()
        page.keyboard.press("Escape")
        page.locator("a[data-closer]").first.click()
        page.locator("#closer .note").get_by_text("this is the page’s own, smaller copy").wait_for()


@pytest.mark.parametrize("size", [DESK, LAPTOP, PHONE], ids=["desk", "laptop", "phone"])
def test_the_pages_on_a_screen(browser, sites, size):
    """No serious violation, nothing cut off or beside the screen, the map above the fold and beside its legend."""
    for at, fragment in ((0, cell_of(sites[1])), (2, "")):
        with opened(browser, sites[at], fragment) as (page, said):
            page.set_viewport_size(size)
            page.wait_for_function("(width) => innerWidth === width", arg=size["width"])
            assert violations(page) == []
            wide = f"({BARRED})('body *:not(.scroll *, pre *)').map((e) => e.outerHTML.slice(0, 99))"
            assert page.evaluate(wide) == []
            if at == 0:
                box, scale, panel = (page.locator(f).bounding_box() for f in ("#map", "#scale", "#panel"))
                assert scale["y"] + scale["height"] <= box["y"], "the legend does not cover the map"
                if size is PHONE:
                    assert panel["y"] >= box["y"] + box["height"] and panel["width"] > 300
                    small = page.locator(".zoom button, .choice button, #panel .head button").evaluate_all(
                        "(all) => all.filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)"
                    )
                    assert small == []
                    page.get_by_role("button", name="Let go").click()
                    place = (
                        "(axis) => map.view[axis] + (map.state.grid[axis][0] + 0.5) / map.state.grid.n * map.view.size"
                    )
                    page.locator("#map").click(position={axis: page.evaluate(place, axis) for axis in ("x", "y")})
                    page.get_by_role("button", name="Let go").wait_for()
                    assert page.locator("#closer").is_hidden(), "what comes under the finger is not pressed"
                    assert page.locator("#panel").bounding_box()["y"] < size["height"] - 150, (
                        "the panel comes into view"
                    )
                else:
                    assert box["y"] < 0.4 * size["height"], "the map starts above the fold"
                    assert min(size["height"], box["y"] + box["height"]) - box["y"] > 0.8 * box["height"]
        assert not said, said
