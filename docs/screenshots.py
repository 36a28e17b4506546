"""Takes the pictures of these pages from a run of the demo: ``python -m docs.screenshots runs/demo``."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1400, "height": 1000}


def main(run: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no Chromium found; on Debian: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = started.new_page(viewport=SIZE, reduced_motion="reduce", color_scheme="light")
        site = run.resolve() / "site"
        page.goto((site / "index.html").as_uri() + "#atlas=mixed&cell=8,2,3")
        page.locator("#measures").get_by_text("rustworth").wait_for()
        _kept(page, "explorer", "#atlases")
        page.locator("#class-input").fill("sailboat")
        page.locator("#class-list li").first.click()
        page.locator("#legend").wait_for()
        _kept(page, "heat", "#atlases")
        page.goto((site / "errors.html").as_uri())
        page.locator("#cases img, #cases canvas").first.wait_for()
        _kept(page, "mistakes", "#confusion")
        _kept(page, "maps", "#cases article >> nth=0")
        page.goto((site / "audit.html").as_uri())
        _kept(page, "audit", "#cues article >> nth=0")
        started.close()


def _kept(page: Page, name: str, place: str) -> None:
    page.locator(place).scroll_into_view_if_needed()
    page.wait_for_timeout(1500)  # tiles are drawn as they come; nothing on the page says that the last one has
    picture = Image.open(io.BytesIO(page.locator(place).screenshot())).convert("RGB")
    picture.save(PICTURES / f"{name}.jpg", quality=82, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
