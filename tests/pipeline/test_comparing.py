"""The command compare: run folders that can be compared, in what way, and what its exit status says."""

import json

import pytest
from typer.testing import CliRunner

import activation_atlas as aa
from activation_atlas.pipeline import cli
from activation_atlas.pipeline.comparing import compare_runs
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.reduce import STAGE, Params, ReduceSpec
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import UserError
from tests.stages.compared.made import called, inputs

SPEC = ReduceSpec(method="pca", components=3)


def write(folder, names, model="m", atlas=True, crop=None, **options):
    """A run folder of such images, with an atlas by principal components."""
    made, view = inputs(names, **options), ViewSpec(name="main", layer="deep")
    del made.tables["layouts/main"]
    store = Store(folder)
    if atlas:
        made.tables["layouts/main"] = [made.run(STAGE, Params(view=view, reduce=SPEC), "main")["layouts/main"]]
        store.write_state("reduce", "main", made.states["reduce", "main"], {})
    for table, parts in made.tables.items():
        for k, part in enumerate(parts):
            store.write(table, k, part, {})
    footer = {"model": model, "params.images.crop": crop, "params.seed": options.get("seed", 0)}
    store.write_state("extract", "", made.states["extract", ""], footer)
    shown = {"name": "main", "layer": "deep", "grids": [5, 10], "images": False, "reduce": SPEC.model_dump()}
    store.write_json("run.json", {"config": {"atlases": [shown] if atlas else []}, "finished": "now"})
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    at = tmp_path_factory.mktemp("runs")
    return {
        "one": write(at / "one", called(400)),
        "more": write(at / "more", called(400, 400), seed=1),
        "retrained": write(at / "retrained", called(400), model="n", right=0.5, seed=2),
        "cut": write(at / "cut", called(400), crop="none"),
        "bare": write(at / "bare", called(400), atlas=False),
    }


def said(*words):
    done = CliRunner().invoke(cli.app, ["compare", *map(str, words)])
    return done.exit_code, done.output


def test_one_model_is_seen_over_one_layout(folders):
    found = aa.compare(folders["one"], folders["more"])
    assert (
        found.shared == 0
        and set(found.tables) == {"sets", "cells"}
        and found.notes == ("both runs are of one model: what differs is its images",)
    )
    assert found.population.grid == 10 and not found.shifted and not found.worse
    assert compare_runs(folders["one"], folders["more"], grid=5).population.grid == 5


def test_two_models_are_linked_by_image(folders):
    found = compare_runs(folders["one"], folders["retrained"])
    assert found.shared == 400 and set(found.tables) == {"sets", "images", "links"} and found.alike.images == 400
    assert "the models differ" in found.notes[0] and found.units.positions
    found = compare_runs(folders["one"], folders["cut"])
    assert "one model reads its images in two ways (images.crop)" in found.notes[0]
    found = compare_runs(folders["one"], folders["bare"])
    assert "not both runs have an atlas" in found.notes[0] and set(found.tables) == {"sets", "images"}


def test_the_exit_status_says_what_was_asked(folders):
    status, text = said(folders["one"], folders["retrained"], "--fail-on", "worse")
    assert status == 4 and "--fail-on worse: accuracy of all images" in text
    assert said(folders["one"], folders["retrained"])[0] == 0
    assert said(folders["one"], folders["retrained"], "--fail-on", "worse", "--margin", "0.9")[0] == 0
    assert said(folders["retrained"], folders["one"], "--fail-on", "worse")[0] == 0
    assert said(folders["one"], folders["more"], "--fail-on", "shifted")[0] == 0


@pytest.mark.slow
def test_the_folder_holds_a_page_a_record_and_tables(folders, tmp_path):
    status, text = said(folders["one"], folders["retrained"], "--out", tmp_path / "out")
    assert status == 0 and "compare.html" in text
    record = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert record["shared"] == 400 and record["whole"]["change"] < -0.1 and record["worse"]
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "one → retrained" in page and "<script" not in page
    again = compare_runs(folders["one"], folders["retrained"])
    again.write(tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes(), path.name


def test_what_cannot_be_compared_is_one_line(folders, tmp_path):
    one = folders["one"]
    for words, line in (
        ((one, tmp_path), "is no run folder"),
        ((one, one), "both are one run folder"),
        ((one, folders["more"], "--grid", 7), "has no grid 7, but 5, 10"),
        (
            (one, folders["more"], "--atlas", "early"),
            "no atlas 'early' that shows all activations of a layer; t",
        ),
        ((one, folders["more"], "--margin", 2), "--margin 2: give a share"),
        ((one, folders["more"], "--fail-on", "better"), "choose worse or shifted"),
    ):
        found = CliRunner().invoke(cli.app, ["compare", *map(str, words)])
        assert isinstance(found.exception, UserError) and line in str(found.exception), found.exception
        assert "\n" not in str(found.exception)
