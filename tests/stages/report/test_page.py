"""The page in a browser: it starts without an error, and a cell's panel tells what is known of it."""

import re
import shutil
import subprocess

import pytest

from stages.report import STAGE
from tests.stages.report.scene import EVIL, scene

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser():
    found = next((b for b in map(shutil.which, BROWSERS) if b), None)
    if found is None:
        pytest.skip(f"no browser to open the page in: none of {', '.join(BROWSERS)} is installed")
    return found


def opened(browser: str, folder, page, fragment: str) -> tuple[str, str]:
    """The document as it stands after the scripts have run, and what they said on the console."""
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += " --disable-component-update --disable-sync --virtual-time-budget=4000 --enable-logging=stderr"
    command = [browser, *options.split(), f"--user-data-dir={folder}", "--dump-dom", f"{page.as_uri()}#{fragment}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.slow
@pytest.mark.parametrize("inline", [8, 0])
def test_a_cell_is_explained(browser, tmp_path, inline):
    inputs, params = scene(tmp_path, inline=inline)
    for name, content in inputs.run(STAGE, params).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    cells = inputs.table("cells/all").to_pylist()
    cell = next(c for c in cells if c["grid"] == 4)
    fragment = f"atlas=all&grid=4&class=2&cell=4,{cell['cell_x']},{cell['cell_y']}"
    document, console = opened(browser, tmp_path / "profile", tmp_path / "site/index.html", fragment)
    assert not console, console
    panel = document[document.index('<aside id="panel"') : document.index("</aside>")]
    assert f"Column {cell['cell_x'] + 1}, row {cell['cell_y'] + 1} of 4 × 4" in panel
    assert "Argues for" in panel and "two words.png" in panel and "Shown on the map" in panel
    shown = re.search(r'Shown on the map</h3>.*?class="value">([^<]*)<', panel).group(1)
    assert float(shown.replace("−", "-")) == pytest.approx(cell["attribution"][2], abs=0.02)
    assert EVIL not in document.split('id="data"')[0], "a class name stays text"
    assert "<img src=" + "x" not in document
