"""What is wrong with a whole run stands at the top of both pages, and nothing does where nothing is."""

import re

import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.report import STAGE
from tests.stages.report.audit import audit
from tests.stages.report.scene import EVIL


def rows(*said) -> pa.Table:
    found = [
        {"place": k, "kind": "order", "message": message, "remedy": remedy, "figures": "{}"}
        for k, (message, remedy) in enumerate(said)
    ]
    return pa.Table.from_pylist(found, tables.doubts())


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Both pages of a run with the given doubts."""
    inputs, params = audit(tmp_path_factory.mktemp("photographs"))

    def render(*said) -> dict[str, str]:
        inputs.tables["doubts"] = [rows(*said)]
        files = inputs.run(STAGE, params)
        return {name: files[f"site/{name}.html"].decode() for name in ("index", "errors")}

    return render


def test_both_pages_open_with_the_doubts(pages):
    said = (f"4 of 48 are right, all {EVIL}", ""), ("as if reversed", "reorder"), ("one class", "give model.range")
    for name, page in pages(*said).items():
        body = page.split("<body>")[1]
        assert body.index("does not seem to be right") < body.index("<h1>"), name
        found = re.findall(r"<li><p>(.*?)</p>(?:<p class=\"remedy\">(.*?)</p>)?</li>", body)
        assert [remedy for _, remedy in found] == ["", "reorder.", "give model.range."]
        assert found[1][0] == "as if reversed." and "&lt;img" in found[0][0] and EVIL not in body.split('id="data"')[0]


def test_a_run_without_doubts_has_no_such_place(pages):
    for page in pages().values():
        body = page.split("<body>")[1]
        assert "seem to be right" not in body and 'id="doubts"' not in body
