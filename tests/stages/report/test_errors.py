"""The page of mistakes: what it shows, in which order, and that its numbers are those of the tables."""

import base64
import json
import re
from collections import Counter
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages import tables
from activation_atlas.stages.drawing import captions
from activation_atlas.stages.drawing.numbers import probability
from activation_atlas.stages.drawing.surface import Style, Surface
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.report import STAGE
from activation_atlas.stages.report.errors import cases
from activation_atlas.stages.report.errors.cases import EACH, Case, chosen, read_audit
from activation_atlas.stages.report.errors.figures import _of_what
from activation_atlas.stages.report.errors.maps import FINEST, Map, pooled, read_variant
from activation_atlas.stages.report.errors.matrix import matrix, rates, shades
from activation_atlas.stages.report.errors.payload import LOST, confusions, quantised
from activation_atlas.stages.tasks import judged
from activation_atlas.stages.vision.attribution.methods.gradients import GradientXInput, Saliency
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.attribution.methods.rise import Rise
from activation_atlas.stages.vision.place import Place
from tests import quick
from tests.stages.report.audit import CLASSES, METHODS, ROWS, SIZE, audit, maps, predictions
from tests.stages.report.scene import EVIL
from tests.stages.report.test_report import Tags


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    inputs, params = audit(tmp_path_factory.mktemp("audit"))
    return inputs, params, inputs.run(STAGE, params)


def data_of(files) -> dict:
    html = files["site/errors.html"].decode()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


def maps_of(data: dict, files: dict, variant: dict) -> dict:
    """The first script of a variant's maps, as its one call gives them to the page."""
    link = data["links"][variant["chunks"][0]["src"]]
    text = base64.b64decode(link.split(",")[1]) if link.startswith("data:") else files[f"site/{link}"]
    key, found = json.loads("[" + text.decode("ascii").removeprefix("activationAtlasMaps(").removesuffix(");") + "]")
    assert key == variant["chunks"][0]["key"]
    return found


def test_files(made):
    inputs, _, files = made
    assert {f for f in files if not f.startswith("site/assets")} == {
        "site/index.html",
        "site/errors.html",
        "figures/confusion.png",
        "figures/confusion.svg",
        *(f"figures/errors-{m.name}.jpg" for m in METHODS),
    }
    for name, content in files.items():
        if name.endswith((".png", ".jpg")):
            Image.open(BytesIO(content)).load()
    assert inputs.warnings == []


def test_every_figure_is_linked_from_both_pages_and_says_what_it_is(made):
    files = made[2]
    beside = {f"../{name}" for name in files if name.startswith("figures/")}
    for page in ("site/index.html", "site/errors.html"):
        html, tags = files[page].decode(), Tags()
        tags.feed(html)
        assert beside == {a["href"] for tag, a in tags.found if tag == "a" and a.get("href", "").startswith("../")}
        for said in (
            "Confusion matrix<br>",
            "The worst mistakes with their maps, Grad-CAM<br>",
            "SVG <small>for print, ",
        ):
            assert said in html


@pytest.mark.slow
def test_same_bytes_again(made):
    inputs, params, files = made
    assert inputs.run(STAGE, params) == files


def test_mistakes_need_no_maps(tmp_path):
    inputs, params = audit(tmp_path)
    params = params.model_copy(update={"explain": None})
    files = inputs.run(STAGE, params)
    assert {f for f in files if f.startswith("figures/")} == {"figures/confusion.png", "figures/confusion.svg"}
    html, data = files["site/errors.html"].decode(), data_of(files)
    assert [c["name"] for c in data["cases"]] == [f"{i}.png" for i in "cdga"], "the mistakes, most confident first"
    assert all(c["targets"] == [] and "src" in c for c in data["cases"]) and data["variants"] == []
    assert data["opens"] == {"variant": None, "why": ""} and data["confusions"] == [[0, 1, 2], [0, 2, 1], [2, 0, 1]]
    head = html[: html.index('<script type="application/json"')]
    assert "images: errors" in head and "methods: [grad_cam, occlusion]" in head, "how to add maps"
    assert "<h1>Mistakes</h1>" in head and "Explained</dt>" not in head and 'id="meaning"' not in head
    assert b'<a href="errors.html">What is taken for what</a>' in files["site/index.html"]
    assert not [t for t in STAGE.reads(params) if t.startswith("maps/")]


def test_without_a_mistake_there_is_the_matrix(tmp_path):
    inputs, params = audit(tmp_path, [[("a", 0, 0, 0.9), ("b", 1, 1, 0.6)]])
    files = inputs.run(STAGE, params.model_copy(update={"explain": None}))
    assert data_of(files)["cases"] == [] and "figures/confusion.png" in files


def test_without_labels_and_maps_there_is_no_page(tmp_path):
    inputs, params = audit(tmp_path, [[("a", None, 0, 0.9)]])
    files = inputs.run(STAGE, params.model_copy(update={"explain": None}))
    assert not [f for f in files if "error" in f or "confusion" in f]
    assert b"errors.html" not in files["site/index.html"]


def test_what_is_read_is_declared(made):
    _, params, _ = made
    assert {f"maps/{m.name}" for m in METHODS} <= set(STAGE.reads(params))


def test_the_worst_come_first(made):
    shown = data_of(made[2])["cases"]
    # Wrong by falling probability, ties by id; then what is right or unlabelled.
    assert [c["name"] for c in shown] == [f"{i}.png" for i in "cdgabef"]
    assert [c["mistake"] for c in shown] == [True] * 4 + [False, None, False]
    assert [c["rank"] for c in shown] == list(range(1, 8))
    assert shown[0] | {"src": 0, "size": 0} == {
        "id": "c", "name": "c.png", "label": 0, "pred": 2, "prob": 0.95, "labelProb": 0.025, "second": 0,
        "secondProb": 0.025, "mistake": True, "rank": 1, "targets": [[2, ["predicted"]], [0, ["label"]]], "src": 0,
        "size": 0,
    }  # fmt: skip
    assert shown[4]["targets"] == [[1, ["predicted", "label"]]], "one map where both are the same class"


def test_no_confusion_leads_nowhere():
    def found(rows, most, mapped=None):
        flags = pa.array([mapped is None or i in mapped for i, *_ in rows])
        return [c.image_id for c in chosen(judged(predictions(rows), None).append_column("mapped", flags), most)]

    common = [(f"a{k}", 0, 1, 0.9 - 0.001 * k) for k in range(20)]
    rare = [("r", 2, 0, 0.3), *((f"s{k}", 1, 2, 0.2 - 0.001 * k) for k in range(EACH + 2))]
    right = [("z", 0, 0, 1.0)]
    assert found(rare + right + common, 10) == [f"a{k}" for k in range(10)] + ["r"] + [f"s{k}" for k in range(EACH)]
    few = found(rare + right + common, 2)
    assert few == ["a0", "a1", "r", "s0"], "at most twice as many; the worst of every kind before the next of one"
    assert found(right + rare[:1], 10) == ["r", "z"]
    # What was asked to be explained goes before; other mistakes take what room there is.
    everything = rare + right + common
    assert found(everything, 2, ("z", "a7")) == ["a7", "r", "s0", "z"]
    assert found(everything, 4, ("z", "a7")) == ["a0", "a1", "a7", "r", "s0", "s1", "s2", "z"]


def test_only_what_is_shown_becomes_a_record(tmp_path, monkeypatch):
    inputs, _ = audit(tmp_path, methods=METHODS[:1])
    made = []
    monkeypatch.setattr(cases, "Case", lambda **row: made.append(row) or Case(**row))
    found = read_audit(inputs, ["grad_cam"], 1)
    assert found.explained == 7 and [row["image_id"] for row in made] == [c.image_id for c in found.cases] == ["c", "d"]
    assert [c.rank for c in found.cases] == [1, 2]


def test_counts(made):
    inputs, _, _ = made
    found = read_audit(inputs, ["grad_cam"], 3)
    assert (found.images, found.labelled, found.mistakes, found.explained, found.explained_mistakes) == (7, 6, 4, 7, 4)
    assert found.counts == {(0, 1): 2, (1, 1): 2, (0, 2): 1, (2, 0): 1}
    assert [c.image_id for c in found.cases] == list("cdga") and found.worst == 3
    assert confusions(found) == [[0, 1, 2], [0, 2, 1], [2, 0, 1]]


def test_what_was_explained_is_shown_and_all_other_mistakes(tmp_path):
    inputs, params = audit(tmp_path, methods=METHODS[:1])
    inputs.tables["maps/grad_cam"] = [part.slice(0, 2) for part in inputs.tables["maps/grad_cam"]]
    files = inputs.run(STAGE, params)
    data = data_of(files)
    assert [(c["name"], len(c["targets"])) for c in data["cases"]] == [
        ("c.png", 0), ("d.png", 2), ("g.png", 0), ("a.png", 2),
    ]  # fmt: skip
    assert sum(n for *_, n in data["confusions"]) == 4
    assert "those with maps, and all other mistakes" in files["site/errors.html"].decode()


def test_what_could_not_be_explained_is_counted_once(tmp_path):
    inputs, params = audit(tmp_path, methods=METHODS[:2])
    assert b"to be explained" not in inputs.run(STAGE, params)["site/errors.html"]
    for variant in ("grad_cam", "occlusion"):
        rows = [{"image_id": i, "uri": f"/x/<{i}>.png", "stage": "explain", "reason": "no such file"} for i in "xy"]
        inputs.tables[f"rejects/explain-{variant}"] = [pa.Table.from_pylist(rows, tables.rejects())]
        assert f"rejects/explain-{variant}" in STAGE.reads(params)
    html = inputs.run(STAGE, params)["site/errors.html"].decode()
    assert "2 chosen images could not be read again to be explained and lack maps" in html
    assert "e.g. &lt;x&gt;.png: no such file." in html


def test_matrix_and_its_rates():
    found = matrix(Counter({(0, 0): 5, (0, 1): 4, (1, 0): 1}), 3)
    assert found.tolist() == [[5, 4, 0], [1, 0, 0], [0, 0, 0]]
    assert shades(found).tolist() == [[0, 1, 0], [0.5, 0, 0], [0, 0, 0]], "the largest mistake is darkest"
    recall = rates(found.diagonal(), found.sum(1))
    assert recall[0] == {"right": 5, "of": 9, "share": 5 / 9, "low": wilson(5, 9)[0], "high": wilson(5, 9)[1]}
    assert recall[1]["share"] == 0 and recall[2] is None


def test_cells_of_the_matrix_lead_to_their_mistakes(made):
    html, data = made[2]["site/errors.html"].decode(), data_of(made[2])
    tags = Tags()
    tags.feed(html)
    links = {a["href"]: a for t, a in tags.found if t == "a" and "data-cell" in a}
    assert set(links) == {f"#label={label}&pred={pred}" for label, pred, _ in data["confusions"]}
    assert links["#label=0&pred=1"]["aria-label"] == f"cat taken for {EVIL}: 2 images"


def test_pages_link_to_each_other_and_to_nothing_else(made):
    for page, other in (("index", "errors"), ("errors", "index")):
        html, tags = made[2][f"site/{page}.html"].decode(), Tags()
        tags.feed(html)
        links = {a[k] for _, a in tags.found for k in ("src", "href") if k in a}
        assert f"{other}.html" in links
        assert all(x.startswith(("assets/", "#", "data:", f"{other}.html", "../figures/")) for x in links), links
        assert "fetch(" not in html and "XMLHttpRequest" not in html


def test_hostile_names_stay_text(made):
    html = made[2]["site/errors.html"].decode()
    assert EVIL not in html and "&lt;/script&gt;&lt;img" in html
    tags = Tags()
    tags.feed(html)
    assert not [a for t, a in tags.found if t == "img" or "onerror" in a]
    assert data_of(made[2])["classes"] == CLASSES


def test_flags_are_counted_at_the_top(made):
    html = made[2]["site/errors.html"].decode()
    head = html[: html.index("<main>")]
    for variant in ("grad_cam", "occlusion", "saliency"):
        assert f"4 of 11 maps of {variant} say nothing of where (2 not finite somewhere, 2 zero everywhere)" in head


@pytest.mark.parametrize("inline", quick.first([8, 0]))
def test_maps_reach_the_page_as_they_are_in_the_table(tmp_path, inline):
    inputs, params = audit(tmp_path, methods=METHODS[:2], inline=inline)
    files = inputs.run(STAGE, params)
    data = data_of(files)
    assert any(f.startswith("site/assets/") for f in files) == (inline == 0)
    variant = data["variants"][0]
    found = maps_of(data, files, variant)
    assert variant["shape"] == [3, 4] and not variant["signed"] and data["variants"][1]["signed"]
    assert [[m[0] for m in maps] for maps in found["maps"]] == [[2, 0], [0, 2], [1, 0], [1, 0], [1], [0], [1]]
    levels = np.frombuffer(base64.b64decode(found["levels"]), np.int8).reshape(-1, 3, 4)
    names = [c["name"] for c in data["cases"]]
    # One scale for both maps of an image: of 22 zeros, 1 and 2 the 99th percentile, 1.77, rounded up.
    assert found["tops"][0] == 1.8
    predicted, label = levels[0], levels[1]
    assert predicted[1, 2] == 127 and label[1, 2] == round(127 / 1.8) and predicted[0, 0] == 0
    assert [m[3:7] for m in found["maps"][0]] == [[1.5, 2, 6, 1.8], [1.5, 1, 6, 1.8]], (
        "score, largest value, its cell, scale"
    )
    lost = levels[2]
    assert names[1] == "d.png" and lost[0, 1] == LOST and (lost == LOST).sum() == 1
    assert found["maps"][1][0][2] == "not finite" and found["maps"][3][0][2] == "zero"
    assert not levels[6:8].any() and found["tops"][3] == 1, "all zero: no scale is made up"


def test_levels():
    assert quantised(np.array([-3.0, -1, 0, 0.5, 1, 9, np.nan, np.inf]), 1.0).tolist() == [
        -127, -127, 0, 64, 127, 127, LOST, LOST,
    ]  # fmt: skip


def test_fine_maps_are_pooled_by_means():
    values = np.arange(112 * 112, dtype=np.float32).reshape(112, 112)
    assert pooled(values).shape == (FINEST, FINEST)
    assert np.allclose(pooled(values), values.reshape(56, 2, 56, 2).mean((1, 3)))
    assert np.array_equal(pooled(values[:7, :9]), values[:7, :9]), "coarse ones stay"
    holed = values.copy()
    holed[3, 5] = np.inf
    assert np.argwhere(np.isnan(pooled(holed))).tolist() == [[1, 2]]
    uneven = pooled(values[:84, :60])
    assert uneven.shape == (56, 56) and np.isclose(uneven.mean(), values[:84, :60].mean())


def test_the_page_says_that_maps_were_pooled(made):
    found = {v["name"]: v["placement"] for v in data_of(made[2])["variants"]}
    assert "72 × 72 cells, pooled to 56 × 56" in found["saliency"] and "maps/saliency" in found["saliency"]
    assert "At layer last, 3 × 4 cells" in found["grad_cam"] and "pooled" not in found["grad_cam"]
    assert "5 × 5 windows of 8 × 8 pixels, 4 × 4 pixels apart" in found["occlusion"]


def test_red_and_blue_of_single_pixels_are_drawn_on_a_grey_print(made):
    inputs, _, _ = made
    fine = inputs.tables["maps/occlusion"][0].to_pylist()
    for row in fine:
        row |= {"height": 12, "width": 12, "map": np.resize(row["map"], 144).tolist()}
        row |= Place.whole(SIZE).row()
    inputs.tables["maps/mine"] = [pa.Table.from_pylist(fine, tables.maps())]
    found = read_variant(inputs, GradientXInput(**{"as": "mine"}), ["b", "c"], SIZE)
    assert found.style.faded
    assert not read_variant(inputs, METHODS[0], ["b", "c"], SIZE).style.faded
    inputs.tables["maps/dense"] = [maps(ROWS[0], (9, 9), None, True)]
    dense = Occlusion(patch=8, stride=2, **{"as": "dense"})
    assert not read_variant(inputs, dense, ["b", "c"], SIZE).style.faded, "windows of 8 pixels are no single ones"


def test_a_table_is_read_part_by_part_and_only_what_is_shown_is_kept(made):
    inputs, _, _ = made
    found = read_variant(inputs, METHODS[0], ["c", "e"], SIZE)
    assert set(found.maps) == {"c", "e"} and found.rows == 11
    assert [m.kinds for m in found.maps["c"]] == [["predicted"], ["label"]], "the prediction first"


def test_a_photograph_that_is_gone_is_said(tmp_path):
    inputs, params = audit(tmp_path, methods=METHODS[:1], lost=("c",))
    data = data_of(inputs.run(STAGE, params))
    assert "src" not in data["cases"][0] and data["cases"][0]["missing"]
    (said,) = inputs.warnings
    assert said.startswith("1 photograph of the page of mistakes could not be read again, e.g. c: no such file")


def test_without_labels_there_is_no_matrix(tmp_path):
    inputs, params = audit(tmp_path, methods=METHODS[:1], rows=[[("a", None, 1, 0.7), ("b", None, 0, 0.9)]])
    files = inputs.run(STAGE, params)
    assert "figures/confusion.png" not in files and b"What is taken for what" not in files["site/errors.html"]
    assert [c["name"] for c in data_of(files)["cases"]] == ["b.png", "a.png"]


def test_how_far_maps_can_be_trusted(tmp_path):
    inputs, params = audit(tmp_path, methods=METHODS[:1])
    assert b"can be trusted" not in inputs.run(STAGE, params)["site/errors.html"]
    mean = {"mean": 0.4, "low": 0.3, "high": 0.5, "n": 6}
    row = {"variant": "grad_cam", "kind": "predicted", "measure": "deletion", **mean, "better": 0.9}
    inputs.tables["trust"] = [pa.Table.from_pylist([row], tables.trust())]
    params = params.model_copy(update={"explain": params.explain.model_copy(update={"measured": ["trust"]})})
    files = inputs.run(STAGE, params)
    assert b"can be trusted" in files["site/errors.html"] and "figures/trust.svg" in files
    assert "trust" in STAGE.reads(params)


def test_the_sheet_on_paper_says_which_classes_its_maps_are_for():
    blank = Surface(np.zeros((2, 2), np.float32), Place.whole((2, 2)), (2, 2), Style())

    def of(*kinds):
        return [Map(k, [kind], blank, 0.0, None) for k, kind in enumerate(kinds)]

    both = Map(0, ["predicted", "label"], blank, 0.0, None)
    assert _of_what([of("predicted", "label"), [both], of("predicted")]).startswith("the map for its prediction")
    assert _of_what([of("predicted", "label"), of("predicted", "second")]) == "maps for the classes named below them"
    assert _of_what([of("label")]) == "maps for the classes named below them"


def test_every_method_has_words():
    assert captions.title(Saliency(**{"as": "mine"})) == "Saliency (mine)"


def test_blue_of_rise_does_not_speak_against_the_class():
    said = captions.meaning(Rise())
    assert "blue less" in said and "against" not in said
    assert "blue against it" in captions.meaning(Occlusion())


def test_probabilities_do_not_round_to_certainty():
    assert [probability(p) for p in (1.0, 0.9994, 0.5, 0.0004)] == ["> 99.9 %", "99.9 %", "50.0 %", "< 0.1 %"]
