"""The libraries compared with are not needed for anything else: where they are absent, this folder is left out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest

LIBRARIES = ("tf_keras_vis", "tf_explain", "shap", "cv2")

collect_ignore_glob = [] if all(find_spec(name) for name in LIBRARIES) else ["test_*.py"]


@pytest.fixture
def same(record_property: Callable) -> Callable:
    """Asserts that our maps are the peer's within 1e-5 of their largest value; the figure is shown at the end."""

    def check(ours: np.ndarray, peers: np.ndarray, within: float = 1e-5) -> None:
        ours, peers = np.asarray(ours, np.float64), np.asarray(peers, np.float64)
        assert ours.shape == peers.shape
        top = np.abs(peers).max()
        assert np.isfinite(top) and top > 0, "the peer's maps say nothing"
        found = np.abs(ours - peers).max() / top
        record_property("relative difference", f"{found:.1e}")
        assert found < within

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for r in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")]
    figures = [(r.nodeid.split("::")[-1], *p) for r in reports if r.when == "call" for p in r.user_properties]
    if figures:
        terminalreporter.section("ours beside the peers")
    for test, what, value in figures:
        terminalreporter.write_line(f"{test.removeprefix('test_'):60} {what} {value}")
