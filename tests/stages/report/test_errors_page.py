"""The page of mistakes in a browser: filters, lazily drawn maps, and that what is drawn is what the table holds."""

import json
import re

import numpy as np
import pytest

from stages.report import STAGE
from stages.vision.overlays import coloured, enlarged
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


def cards(document: str) -> list[str]:
    return re.findall(r'<article class="case".*?</article>', document, re.DOTALL)


def test_a_cell_shows_its_mistakes(browser, site, tmp_path):
    document, console = opened(browser, tmp_path, site[0] / "errors.html", "label=0&pred=1")
    assert not console, console
    found = cards(document)
    assert [re.search(r"<figcaption>(.*?)<", c)[1] for c in found] == ["g.png", "a.png"]
    assert "2 of 7 photographs on this page · the run has 2 mistakes of cat taken for" in document
    maps = re.findall(r"<canvas[^>]*>", found[0])
    assert len(maps) == 2 and "Grad-CAM for cat: strongest in the middle" in maps[1]
    assert all(int(re.search(r'width="(\d+)"', c)[1]) > 1 for c in maps), "drawn"
    assert ", up to 2<" in found[0] and ", up to 1<" in found[0]
    assert found[1].count("zero everywhere</em>") == 2
    current = re.findall(r'data-cell="([^"]*)"[^>]*aria-current="true"', document)
    assert current == ["0,1"], "the cell is marked"
    assert EVIL not in document.split('id="data"')[0], "a class name stays text"


def test_all_are_there_without_a_filter_and_methods_switch(browser, site, tmp_path):
    document, console = opened(browser, tmp_path, site[0] / "errors.html", "method=occlusion&order=pred&smooth=no")
    assert not console, console
    assert len(cards(document)) == sum(map(len, ROWS))
    headings = re.findall(r"<h2>(.*?)<small>", document[document.index('id="cases"') :])
    assert headings[0].startswith("Taken for &lt;/script") and headings[1:3] == [
        "Taken for cat",
        "Taken for $horse &amp; co",
    ]
    assert headings[3:] == ["Explained, and no mistakes", "Explained, without a label"]
    assert "hidden" not in re.search(r'<div class="choice" id="method"[^>]*>', document)[0]
    assert "Occlusion for cat" in document and "without interpolation" in document


def test_what_is_drawn_equals_the_pictures_of_the_command(browser, site, tmp_path):
    """The browser's interpolation and colours against those of :mod:`stages.vision.overlays`."""
    rng, size = np.random.default_rng(3), (21, 30)
    cases = []
    for signed in (True, False):
        for smooth in (True, False):
            levels = rng.integers(-127 if signed else 0, 128, (5, 7))
            cases.append((signed, smooth, levels))
    asked = [{"signed": s, "smooth": m, "levels": v.ravel().tolist()} for s, m, v in cases]
    script = f"""<script>
      const found = {json.dumps(asked)}.map(({{ signed, smooth, levels }}) => {{
        const entry = {{ levels: Int8Array.from(levels), width: 7, height: 5 }};
        const canvas = painted(entry, {size[1]}, {size[0]}, {{ signed, step: [1, 1] }}, smooth, true);
        return [...canvas.getContext("2d").getImageData(0, 0, {size[1]}, {size[0]}).data];
      }});
      document.body.append(make("pre", {{ id: "found" }}, JSON.stringify(found)));
    </script></body>"""
    page = site[0] / "drawn.html"
    page.write_text((site[0] / "errors.html").read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    document, console = opened(browser, tmp_path, page, "")
    assert not console, console
    drawn = json.loads(re.search(r'<pre id="found">(.*?)</pre>', document)[1])
    for (signed, smooth, levels), pixels in zip(cases, drawn, strict=True):
        values = enlarged(levels.astype(np.float32), size, "bilinear" if smooth else "nearest")
        expected = coloured(values, 127, signed)[..., :3].astype(int)
        got = np.array(pixels).reshape(*size, 4)[..., :3]
        assert np.abs(got - expected).max() <= 6, "one step of the 256 colours, at most"


def test_windows_are_smoothed_over_one_step(browser, site, tmp_path):
    script = """<script>document.body.append(make("pre", { id: "found" }, JSON.stringify([
      [...along(Int8Array.from([0, 0, 120, 120, -128]), 1, 5, 2, 1)],
      [...along(Int8Array.from([0, 7, 120, 7, 60, 7]), 2, 3, 3, 2)],
    ])));</script></body>"""
    page = site[0] / "smoothed.html"
    page.write_text((site[0] / "errors.html").read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    document, _ = opened(browser, tmp_path, page, "")
    row, column = json.loads(re.search(r'<pre id="found">(.*?)</pre>', document)[1])
    assert row == [0, 30, 90, 120, -128], "a step becomes a line; what is lost stays and counts for nothing"
    assert column == [60, 7, 60, 7, 90, 7]


def test_maps_come_in_several_scripts_and_one_that_is_lost_is_said(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.report.errors.payload.CHUNK", 3)
    inputs, params = audit(tmp_path, methods=METHODS[:1], inline=0)
    page = written(inputs.run(STAGE, params), tmp_path) / "errors.html"
    fourth = "text=a.png"  # the first case of the second script
    document, console = opened(browser, tmp_path, page, fourth)
    assert not console and len(cards(document)) == 1
    assert cards(document)[0].count("Grad-CAM for") == 2
    next(page.parent.rglob("maps-grad_cam-001*")).unlink()
    document, _ = opened(browser, tmp_path, page, fourth)
    assert "Maps could not be loaded" in re.search(r'id="status"[^>]*>([^<]*)', document)[1]
