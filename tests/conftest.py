"""Fixtures that many tests use."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from activation_atlas.stages.caches import clear_all

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Of how often it traces a function in one process TensorFlow warns by what ran before: no test's own.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real images and models, where they are at hand: ``ATLAS_DATA``, or ``shared`` beside the project."""
    found = Path(os.environ.get("ATLAS_DATA") or ROOT.parent / "shared")
    if not (found / "models").is_dir():
        pytest.skip(f"no real images at {found}: set ATLAS_DATA to the folder that holds data/ and models/")
    return found.resolve()


@pytest.fixture(autouse=True, scope="module")
def _nothing_kept():
    """What one file of tests opened and compiled is not held while the next one runs."""
    yield
    clear_all()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Small models get the same weights at every run: some need not be sound (dead units, a gate that hardly acts)."""
    if (keras := sys.modules.get("keras")) is not None:
        keras.utils.set_random_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Notebooks first, then whole runs: what takes minutes and begins last leaves the other cores idle."""
    items.sort(key=lambda item: (item.path.parent != ROOT / "tests", not item.path.name.startswith("test_notebooks")))
