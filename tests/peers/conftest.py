"""The libraries compared with are not needed for anything else: where they are absent, this folder is left out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest

FIGURE = "relative difference"
LIBRARIES = ("tf_keras_vis", "tf_explain", "shap", "lime", "quantus", "cv2")

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
        record_property(FIGURE, f"{found:.3g}")
        assert found < within

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    largest: dict[str, float] = {}
    for report in [r for outcome in ("passed", "failed") for r in terminalreporter.getreports(outcome)]:
        test = report.nodeid.split("::")[-1].removeprefix("test_")
        for what, value in report.user_properties if report.when == "call" else ():
            if what == FIGURE:
                largest[test] = max(largest.get(test, 0), float(value))
    if largest:
        terminalreporter.section("largest difference over the peer's largest value")
    for test, value in largest.items():
        terminalreporter.write_line(f"{value:.1e}  {test}")
