"""The stage look: a page beside the run's own, which leads to it; the same bytes again."""

import io
import re

import pyarrow.parquet as pq
import pytest
import yaml

from tests.bench import Bench

pytestmark = pytest.mark.slow

LOOK = {"photographs": 1, "patches": 4, "channels": 3, "maps": ["first", "dense"], "size": 16, "steps": 2}


def test_a_run_has_the_textbooks_page(tmp_path):
    bench = Bench(tmp_path)
    config = yaml.safe_load(bench.config.read_text()) | {"look": LOOK, "atlases": []}
    bench.config.write_text(yaml.safe_dump(config))
    assert bench.did("out")[-2:] == ["look", "report"]
    site = tmp_path / "out" / "site"
    assert 'href="textbook/index.html"' in (site / "index.html").read_text()
    page = (site / "textbook" / "index.html").read_text()
    assert 'href="../index.html"' in page
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert [name.partition("-")[0] for name in shown] == ["filters", "maps", "maps", "maximised", "maximised"]
    assert all((site / "textbook" / name).with_suffix(".pdf").is_file() for name in shown)
    drawn = pq.read_table(io.BytesIO((site / "textbook" / "maximised.parquet").read_bytes()))
    assert drawn["kind"].to_pylist() == ["channel"] * 3 + ["class"] * 3
    before = {path.name: path.read_bytes() for path in (site / "textbook").iterdir()}
    assert bench.did("out", words=("--redo", "look")) == ["look"]
    assert {path.name: path.read_bytes() for path in (site / "textbook").iterdir()} == before
