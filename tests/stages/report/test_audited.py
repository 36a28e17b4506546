"""What an audit found, on the explorer and on the page of mistakes: named, marked, and one click from its proof."""

import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.report import STAGE
from activation_atlas.stages.report.audited import carried, read_audited
from activation_atlas.stages.report.errors.cases import read_audit
from tests.memory import MemoryInputs
from tests.stages.report.audit import ROWS, audit
from tests.stages.report.browser import opened, written
from tests.stages.report.scene import EVIL, scene
from tests.stages.report.test_errors import data_of


def with_audit(inputs: MemoryInputs, cells=(), mistakes=("b",)) -> MemoryInputs:
    """As the stage audit leaves it: a verified cue and a refuted one; ``b`` shows the first, ``a`` not clearly."""
    found = [
        {"id": "cue-0", "words": f"cue 0 of {EVIL}", "badge": "verified", "class": 2, "atlas": "all"},
        {"id": "cue-1", "words": "cue 1 of goldfish", "badge": "refuted", "class": 0, "atlas": "all"},
    ]
    shown = {"candidate": 0, "class": 2, "own": False, "held_out": True, "dependence": 1.0, "correct": False}
    rows = [{**shown, "image_id": "a", "strongest": 1.0}, {**shown, "image_id": "b", "strongest": 3.0}]
    inputs.tables["spuriosity"] = [pa.Table.from_pylist(rows, tables.spuriosity())]
    inputs.states["audit", ""] = {
        "headline": ["1 verified cue", "of 2 candidates"],
        "found": [{**one, "cells": list(cells)} for one in found if cells],
        "cues": [{"candidate": 0, "words": f"cue 0 of {EVIL}", "typical": 2.0}],
        "mistakes": list(mistakes),
    }
    return inputs


def test_an_image_shows_a_cue_where_it_speaks_as_its_exemplars_do(tmp_path):
    inputs = with_audit(audit(tmp_path)[0])
    assert carried(inputs, read_audited(inputs), ["a", "b", "c"]) == {"b": [0]}
    inputs.states["audit", ""]["cues"][0]["typical"] = None
    assert carried(inputs, read_audited(inputs), ["a", "b"]) == {}


def test_mistakes_of_the_audit_are_on_the_page_however_mild(tmp_path):
    inputs, _ = audit(tmp_path, methods=[], rows=[[*ROWS[0], ("h", 0, 1, 0.5), ("i", 0, 1, 0.4)], ROWS[1]])
    inputs.tables["predictions"] = [part for part in inputs.tables["predictions"]]
    before, after = (
        [case.image_id for case in read_audit(inputs, [], 1, also).cases] for also in ((), ("i", "b", "nobody"))
    )
    assert "i" not in before and after == [*before, "i"], "the right ones stay away"


@pytest.mark.slow
def test_the_pages_lead_to_the_proof_and_it_leads_back(browser, tmp_path):
    inputs, params = scene(tmp_path, grids=(4,), icon_grids=())
    cells = [[c["grid"], c["cell_x"], c["cell_y"]] for c in inputs.table("cells/all").to_pylist() if c["grid"] == 4][:2]
    files = with_audit(inputs, cells).run(STAGE, params.model_copy(update={"audit": True}))
    site = written(files, tmp_path)
    (site / "audit.html").write_text("<h1>The proof</h1><p id=cue-0>")
    n, x, y = cells[0]
    with opened(browser, site / "index.html", f"mark=cue-0&cell={n},{x},{y}&class=2") as (page, said):
        here = page.locator("#panel .findings li")
        here.first.wait_for()
        assert here.all_inner_texts() == [f"verified cue 0 of {EVIL}", "refuted cue 1 of goldfish"]
        assert "mark=cue-0" in page.url
        page.get_by_role("button", name="Let go").click()
        pressed = page.get_by_role("button", name="cue 0 of", pressed=True)
        pressed.click()  # it is marked no more
        page.wait_for_function("() => !location.hash.includes('mark=')")
        page.locator("#panel .findings a").first.click()
        page.get_by_text("The proof").wait_for()
        assert page.url.endswith("audit.html#cue-0")
        page.goto(f"{(site / 'errors.html').as_uri()}#image=b")
        page.locator(".case .leans a").wait_for()
        assert page.locator(".case").count() == 1 and "one image" in page.locator("#status").inner_text()
        page.get_by_role("button", name="Show all").click()
        page.wait_for_function("() => !location.hash.includes('image=')")
        page.goto(f"{(site / 'errors.html').as_uri()}#cue=0")
        page.get_by_text("those that show cue 0").wait_for()
        page.locator(".case .leans a").click()
        page.get_by_text("The proof").wait_for()
    assert not said, said


@pytest.mark.slow
def test_a_run_without_an_audit_leads_to_none(tmp_path):
    inputs, params = audit(tmp_path, methods=[])
    files = inputs.run(STAGE, params)
    assert data_of(files)["cues"] == [] and not [name for name in files if b'href="audit.html' in files[name]]
    assert "audit" not in params.model_dump(mode="json"), "its fingerprint is as it was"
