"""The browser that pages are opened in."""

import shutil

import pytest

from tests.stages.report.browser import BROWSERS


@pytest.fixture(scope="session")
def browser() -> str:
    found = next((b for b in map(shutil.which, BROWSERS) if b), None)
    if found is None:
        pytest.skip(f"no browser to open the page in: none of {', '.join(BROWSERS)} is installed")
    return found
