"""The sheets of the audit: nothing they say is cut off, and everything asked for is said."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import expect

from activation_atlas.stages.drawing import captions
from activation_atlas.stages.drawing.surface import Style, Surface
from activation_atlas.stages.report import STAGE
from activation_atlas.stages.report.errors.cases import Audit, Case
from activation_atlas.stages.report.errors.figures import _choices, confusion_sheet
from activation_atlas.stages.report.errors.maps import Map, _place
from activation_atlas.stages.report.trust import trust_figure
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.eigen_cam import EigenCam
from activation_atlas.stages.vision.attribution.methods.path import IntegratedGradients
from activation_atlas.stages.vision.place import Place
from tests.stages.report.audit import METHODS, audit
from tests.stages.report.browser import opened, written
from tests.stages.report.test_trust import of, texts

CLASSES = ["cat", "dog", "horse"]


def test_the_confusion_matrix_says_whole_what_it_counts():
    found = Audit(counts=Counter({(0, 0): 900, (0, 1): 300}), labelled=1200, mistakes=300)
    said = [t.get_text() for t in confusion_sheet(found, CLASSES, "a_model_with_quite_a_long_name").axes.texts]
    assert "a_model_with_quite_a_long_name" in said
    assert "1,200 labelled images, 300 mistakes; rows: label, columns: prediction" in said


def test_the_sheet_names_the_second_class():
    def choices(label, second):
        return _choices(Case("a", label, 0, 0.9, 0.04, second, 0.06, True), CLASSES)

    assert choices(1, 1) == "label: dog, 4.0 % (second)"
    assert choices(1, 2) == "label: dog, 4.0 % · second: horse, 6.0 %"
    assert choices(None, 2) == "no label · second: horse, 6.0 %" and choices(1, None) == "label: dog, 4.0 %"


def test_red_of_a_pattern_speaks_for_no_class():
    said = captions.meaning(EigenCam())
    assert "red with the pattern, blue against it" in said and "speaks for" not in said
    assert "the lighter the colour" in captions.meaning(GradCam())


def test_a_method_at_a_layer_speaks_of_its_positions():
    assert "what each pixel adds to the" in captions.meaning(IntegratedGradients())
    assert "what each position of block_3 adds to the" in captions.meaning(IntegratedGradients(layer="block_3"))


def test_the_sheet_on_trust_says_how_to_read_shuffled_layers():
    trust, agreement, cascades = of(["grad_cam", "occlusion"])
    assert "All layers shuffled: how much of a map stays" in " ".join(
        t.get_text() for t in texts(trust_figure(*of(["cam"])))
    )
    sheet = trust_figure(trust, agreement, {})
    assert "All layers shuffled" not in " ".join(t.get_text() for t in texts(sheet))
    (heading,) = (t for t in texts(sheet) if t.get_text() == "Agreement of methods")
    assert heading.get_position()[0] < sheet.width / 4  # nothing stands beside it: no empty half


def test_the_sheet_on_trust_says_of_which_maps_its_means_are():
    trust, agreement, _ = of(["grad_cam"])
    said = {"rank:2": "the class ranked 2", "class:label": "label", "label": "the label", "dog": "dog"}
    for kind, words in said.items():
        kinds = pa.array([kind] * len(trust))
        of_kind = trust.set_column(trust.column_names.index("kind"), "kind", kinds)
        shown = [t.get_text() for t in texts(trust_figure(of_kind, agreement, {}))]
        assert f"Measured on each map · maps for {words}" in shown


def test_maps_asked_for_by_rank_stand_in_their_order():
    kinds = [["dog"], ["rank:10"], ["rank:2", "cat"], ["rank:1"], ["second", "rank:11"], ["label"]]
    blank = Surface(np.zeros((1, 1), np.float32), Place.whole((1, 1)), (1, 1), Style())
    maps = [Map(k, kind, blank, 0.0, None) for k, kind in enumerate(kinds)]
    assert [m.kinds for m in sorted(maps, key=_place)] == [kinds[k] for k in (5, 4, 3, 2, 1, 0)]


@pytest.mark.slow
def test_fingerprints_stay_in_one_line(browser, tmp_path):
    method = METHODS[0].model_copy(update={"as_": "a_variant_whose_name_is_longer_than_most_names_are"})
    inputs, params = audit(tmp_path, methods=METHODS[:1])
    inputs.tables[f"maps/{method.variant}"] = inputs.tables.pop("maps/grad_cam")
    params = params.model_copy(update={"explain": params.explain.model_copy(update={"methods": [method]})})
    site = written(inputs.run(STAGE, params), tmp_path / "site")
    with opened(browser, site / "index.html") as (page, _):
        heights = page.locator(".pairs code").evaluate_all("(all) => all.map((e) => e.getClientRects().length)")
    assert heights and set(heights) == {1}


@pytest.mark.slow
def test_why_a_mistake_is_not_on_the_page(browser, tmp_path):
    rows = [[("a", 0, 1, 0.9), ("b", 0, 1, 0.8), ("c", 0, 1, 0.7), ("d", 2, 1, 0.6)]]
    inputs, params = audit(tmp_path, rows, METHODS[:1], errors=1)
    site = written(inputs.run(STAGE, params), tmp_path / "site")
    with opened(browser, site / "errors.html", "label=0&pred=1") as (page, _):
        expect(page.locator("#status")).to_contain_text("not on this page (report.errors sets how many are)")
