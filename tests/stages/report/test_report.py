"""The whole stage: which files there are, and that nothing about a run can break them."""

import json
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image

from activation_atlas.stages.report import STAGE
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import UserError
from tests import quick
from tests.stages.report.scene import CLASSES, EVIL, LAYER, scene


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The plain scene's inputs, folder and files."""
    folder = tmp_path_factory.mktemp("scene")
    inputs, params = scene(folder)
    return inputs, params, inputs.run(STAGE, params)


@pytest.fixture(scope="module")
def html(made):
    return made[2]["site/index.html"].decode()


def data_of(files) -> dict:
    html = files["site/index.html"].decode()
    start = html.index('<script type="application/json" id="data">') + len('<script type="application/json" id="data">')
    return json.loads(html[start : html.index("</script>", start)])


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_posters_maps_sheets_and_page(made):
    inputs, _, files = made
    assert {f for f in files if f.startswith("figures/")} == {
        "figures/all-02-icons.png",
        "figures/all-02-icons.pdf",
        "figures/all-02-photographs.jpg",
        "figures/all-02-side-by-side.jpg",
        "figures/all-02-heat.png",
        "figures/all-02-heat.svg",
        "figures/all-04-photographs.jpg",
        "figures/all-04-heat.png",
        "figures/all-04-heat.svg",
        "figures/all-contact-sheet.jpg",
        "figures/confusion.png",
        "figures/confusion.svg",
    }
    assert not [f for f in files if f.startswith("site/assets")], "a small report is one file"
    for name, content in files.items():
        if name.endswith((".png", ".jpg")):
            Image.open(BytesIO(content)).load()
    assert files["figures/all-02-icons.pdf"].startswith(b"%PDF")
    assert inputs.warnings == []


@pytest.mark.slow
def test_same_bytes_again(made):
    inputs, params, files = made
    assert inputs.run(STAGE, params) == files


@pytest.mark.slow
def test_large_reports_keep_pictures_beside_the_page_and_reach_for_nothing_else(tmp_path):
    inputs, params = scene(tmp_path, inline=0.001)
    files = inputs.run(STAGE, params)
    links = data_of(files)["links"]
    assert links and all(f"site/{link}" in files for link in links.values())
    assert 'href="errors.html"' in files["site/index.html"].decode()
    html, tags = files["site/index.html"].decode(), Tags()
    tags.feed(html)
    sources = [a[k] for _, a in tags.found for k in ("src", "href") if k in a]
    beside = {f"../{name}" for name in files if name.startswith("figures/")}
    assert all(s.startswith(("assets/", "#", "errors.html")) or s in beside for s in sources), sources
    assert beside <= set(sources), "every figure is linked"
    assert "fetch(" not in html and "XMLHttpRequest" not in html, "a page opened from a file may not fetch"


def test_names_cannot_become_markup(html):
    tags = Tags()
    tags.feed(html)
    assert EVIL not in html and "<img src=x" not in html
    assert [t for t, _ in tags.found].count("script") == 2
    assert not [a for _, attributes in tags.found for a in attributes if a.startswith("on")]
    assert data_of({"site/index.html": html.encode()})["classes"] == CLASSES, "but they arrive as they are"


def test_credentials_stay_out_of_the_page(tmp_path):
    inputs, params = scene(tmp_path)
    config = {
        "images": {"path": "s3://me:pass@bucket/x", "storage_options": {"key": "AKIA", "client": {"secret": "s3cr3t"}}}
    }
    config["model"] = {"tokens": [14, 14], "token": "s3cr3t"}
    params = params.model_copy(update={"about": {"config": config}})
    html = inputs.run(STAGE, params)["site/index.html"].decode()
    for secret in ("AKIA", "s3cr3t", "me:pass", "me:word"):
        assert secret not in html
    assert "token: (hidden)" in html and "tokens: (hidden)" not in html, "rows and columns of patches are no secret"
    assert str(tmp_path.parent) not in html, "no folder of the machine it was made on"


@pytest.mark.parametrize(
    "change",
    quick.first(
        [
            {"labels": False},
            {"attributed": False},
            {"measured": False},
            {"icon_grids": ()},
            {"grids": (1,), "icon_grids": (1,)},
            {"grids": (1,), "icon_grids": (), "attributed": False},
            {"min_count": 1000},
            {"classes": [f"class {k}" for k in range(2000)]},
            {"classes": ["", "\ud800", "日本語", "a\nb\x00"] + ["x" * 300]},
            {"views": []},
            {"views": [ViewSpec(name="whole", layer=LAYER, images=True)]},
            {
                "views": [
                    ViewSpec(name="one", layer=LAYER, class_=EVIL),
                    ViewSpec(name="two", layer=LAYER, pair=(CLASSES[3], EVIL)),
                ]
            },
        ],
        {"labels": False},
        {"views": []},
    ),
    ids=lambda change: "-".join(f"{k}" for k in change) + str(len(str(change))),
)
def test_awkward_runs(tmp_path, change):
    inputs, params = scene(tmp_path, **change)
    files = inputs.run(STAGE, params)
    assert len(data_of(files)["atlases"]) == len(params.views)
    html = files["site/index.html"].decode()
    drawn = any(name.endswith("-icons.png") for name in files)
    assert ("Faithfulness of the icons" in html) is ("are synthesised" in html) is drawn


def test_unlabelled_runs_claim_no_accuracy(tmp_path):
    inputs, params = scene(tmp_path, labels=False)
    files = inputs.run(STAGE, params)
    html = files["site/index.html"].decode()
    assert "Accuracy</dt>" not in html and "unlabelled, so no accuracy" in html
    assert not [f for f in files if "errors" in f or "confusion" in f] and "errors.html" not in html


@pytest.mark.slow
def test_a_photograph_that_is_gone_is_a_blank_with_a_note(tmp_path):
    inputs, params = scene(tmp_path, lost=True)
    files = inputs.run(STAGE, params)
    photos = {p["name"]: p for p in data_of(files)["photos"]}
    assert "missing" in photos["two words.png"] and "src" not in photos["two words.png"]
    assert len(inputs.warnings) == 1 and "two words.png" in inputs.warnings[0]
    assert "1 photograph could not be read again" in files["site/index.html"].decode()


def test_a_class_that_does_not_exist_names_its_nearest(tmp_path):
    inputs, params = scene(tmp_path, classes=["cat", "dog", "goldfish"])
    params = params.model_copy(update={"report": params.report.model_copy(update={"classes": ["goldfisch"]})})
    with pytest.raises(UserError, match="goldfish"):
        inputs.run(STAGE, params)


def test_accuracy_comes_with_its_interval(html):
    said = html.replace("\u00a0", " ")
    assert "50.0 %" in said and "9.5 % to 90.5 %" in said
