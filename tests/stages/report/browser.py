"""A page opened in a browser: waited for until it shows something, not for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 120_000
"""Milliseconds: for machines that do other work beside. A wait ends as soon as it is over."""


@contextmanager
def opened(browser: str, page: Path, fragment: str = "") -> Iterator[tuple[Page, list[str]]]:
    """The page at a file, and what it says on the console, errors included, in a list that grows.

    The browser lives as long as the block: playwright's event loop would be in the way of other tests.
    """
    said: list[str] = []
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=browser, args=["--no-sandbox"], timeout=PATIENCE)
        try:
            shown = started.new_page(viewport={"width": 1400, "height": 1600}, reduced_motion="reduce")
            shown.set_default_timeout(PATIENCE)
            shown.on("console", lambda message: said.append(message.text))
            shown.on("pageerror", lambda error: said.append(str(error)))
            shown.goto(f"{page.as_uri()}#{fragment}")
            yield shown, said
        finally:
            started.close()


def written(files: dict[str, bytes], folder: Path) -> Path:
    """The files of a report in a folder; its ``site``."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "site"
