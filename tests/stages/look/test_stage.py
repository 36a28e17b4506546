"""The stage look: a page beside the run's own, which leads to it and on to what report drew; the same bytes again."""

import io
import re

import pyarrow.parquet as pq
import pytest
import yaml

from tests.bench import Bench

pytestmark = pytest.mark.slow

LOOK = {"photographs": 1, "patches": 4, "channels": 3, "maps": ["first", "dense"], "size": 16, "steps": 2}
REST = {"channels": {"layers": ["first"]}, "explain": {"methods": ["cam"], "images": "all"}, "boxes": {}}


def test_a_run_has_the_textbooks_page(tmp_path):
    bench = Bench(tmp_path)
    config = yaml.safe_load(bench.config.read_text()) | {"look": LOOK, **REST}
    config["atlases"][0] |= {"render": None}
    bench.config.write_text(yaml.safe_dump(config))
    assert bench.did("out")[-2:] == ["look", "report"]
    site = tmp_path / "out" / "site"
    for page in ("index.html", "errors.html"):
        assert 'href="textbook/index.html"' in (site / page).read_text()
    page = (site / "textbook" / "index.html").read_text()
    assert 'href="../index.html"' in page
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert [name.partition("-")[0] for name in shown] == ["filters", "maps", "maps", "maximised", "maximised"]
    assert all((site / "textbook" / name).with_suffix(".pdf").is_file() for name in shown)
    links = re.findall(r'<li><a href="([^"#]+)', page)
    figures = [f"../../figures/{name}" for name in ("peaks-first.jpg", "peaks-second.jpg", "sparsity.png")]
    assert links == [*figures, "../errors.html"] and all((site / "textbook" / link).is_file() for link in links)
    drawn = pq.read_table(io.BytesIO((site / "textbook" / "maximised.parquet").read_bytes()))
    assert drawn["kind"].to_pylist() == ["channel"] * 3 + ["class"] * 3
    store = bench.store("out")
    peaks = [row for k in range(store.parts("peaks/second")) for row in store.read("peaks/second", k).to_pylist()]
    largest = {row["channel"]: row["response"] for row in peaks if row["rank"] == 0}
    assert drawn["layer"][0].as_py() == "second"  # the nearer of those that have peaks
    assert drawn["best"].to_pylist()[:3] == [largest.get(k) for k in range(3)]
    before = {path.name: path.read_bytes() for path in (site / "textbook").iterdir()}
    # Of what is lost nothing but its piece is drawn again; the page, of the same pictures, stays as it is.
    pieces = store.parts("looks")
    assert pieces == 4, "the filters, one photograph's maps, channels, classes"
    drawn = store.part_path("looks", 2).stat().st_mtime_ns
    store.part_path("looks", 1).unlink()
    assert bench.did("out") == ["look"]
    assert store.parts("looks") == pieces and store.part_path("looks", 2).stat().st_mtime_ns == drawn
    assert {path.name: path.read_bytes() for path in (site / "textbook").iterdir()} == before
    assert bench.did("out", words=("--redo", "look")) == ["look (fit)", "look"]
    assert {path.name: path.read_bytes() for path in (site / "textbook").iterdir()} == before
