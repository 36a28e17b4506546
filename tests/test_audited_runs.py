"""Whole runs with an audit: what it finds, that it goes on where it was, and what it does with odd data."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import activation_atlas as aa
from tests.bench import command
from tests.leaning import CLASSES, config, drawn, write_images, write_model, written
from tests.small import digests

pytestmark = pytest.mark.slow
PER_CLASS = 36
QUICK = {"finders": ["confusion", "cells", "domino"], "candidates": 2, "exemplars": 8, "images": 40, "batch": 32}


def run(out: Path, sections: dict, *words: object) -> tuple[int, str, str]:
    """The command, up to the audit, beside the file it is given."""
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(sections, sort_keys=False))
    return command("run", file, "--out", out, "--until", "audit", *words)


def page(out: Path) -> str:
    """The text of the page of an audit."""
    html = (out / "site/audit.html").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]+>", " ", html, flags=re.S))


@pytest.fixture(scope="module")
def leaning(tmp_path_factory):
    """(folder of images and model, run folder) of an audit whose every stage has something to do."""
    folder = tmp_path_factory.mktemp("leaning")
    code, _, said = run(folder / "run", written(folder, PER_CLASS))
    assert code == 0, said
    return folder, folder / "run"


def test_the_corner_is_the_verified_cue_and_ends_a_scheduled_run(leaning):
    folder, out = leaning
    (first, *others) = aa.open_run(out).table("cues").to_dict("records")
    assert (first["class"], first["verdict"]) == (1, "verified")
    assert not [other for other in others if other["verdict"] == "verified"]
    for own in first["exemplars"]:
        assert (own["top"], own["left"], own["bottom"], own["right"]) == (8, 0, 16, 8)
    code, _, said = run(out, config(folder), "--fail-on", "verified")
    assert code == 4 and said.count("--fail-on verified: cue 0 of red is verified: pasted on") == 1
    before, line = aa.open_run(out).history[-2:]
    told = {finding["key"]: finding for finding in line["findings"]}
    assert (before["status"], line["status"]) == (0, 4) and line["worse"] == [] and told["cues of red"]["count"] == 1
    assert told["cues of red"]["size"] == pytest.approx(first["gap"], abs=1e-6)
    assert line["measures"].keys() == {"accuracy"}


def test_other_parts_of_the_images_make_the_same_tables(leaning, tmp_path):
    folder, out = leaning
    other = config(folder, run={"name": "leaning", "shard_images": 40})
    assert run(tmp_path / "run", other)[0] == 0
    one, two = aa.open_run(out), aa.open_run(tmp_path / "run")
    for table in ("groups", "evidence", "spuriosity", "patches", "trials", "cues", "slices"):
        own, their = (each.table(table, format="arrow") for each in (one, two))
        if table == "slices":  # of equal strength, but for what the size of a batch does to the last digit
            assert [set(m) for m in own["members"].to_pylist()] == [set(m) for m in their["members"].to_pylist()]
            own, their = (each.drop_columns(["strengths", "members"]) for each in (own, their))
        if table == "cues":  # what images of equal dependence are cut by
            own, their = (each.drop_columns("dependent_accuracy") for each in (own, their))
        if table == "spuriosity":  # a row for each image, and images lie in other parts
            keys = [("image_id", "ascending"), ("candidate", "ascending")]
            own, their = (each.sort_by(keys) for each in (own, their))
        assert own.equals(their), table


def test_killed_between_the_tables_of_a_trial_it_ends_with_the_same_bytes(leaning, tmp_path):
    folder, out = leaning
    before, again = digests(out), tmp_path / "run"
    shutil.copytree(out, again)
    assert len(list((again / "trials").glob("part-*"))) == 2
    (again / "trials/part-00001.parquet").unlink()  # its patches are written
    shutil.rmtree(again / "cues")
    (again / "state/cues.npz").unlink()
    code, _, said = run(again, config(folder), "--log-format", "json")
    begun = {e["step"]: e for e in map(json.loads, said.splitlines()) if e["event"] == "begin"}
    assert code == 0 and begun.keys() == {"trials", "cues (fit)", "cues"} and begun["trials"]["todo"] == 1
    assert digests(again) == before


def odd(folder: Path) -> Path:
    """A table of images among which are: one that is broken, one under five names, some without a label, two classes of
    three images, one of which the model never says; and metadata of every kind."""
    rows = [(kind, number) for kind in CLASSES for number in range(PER_CLASS)]
    label = [kind if kind != "dull" else {0: "dull", 1: "never"}.get(number // 3) for kind, number in rows]
    paths = [f"images/{kind}/{number}.png" for kind, number in rows]
    for k in range(4):
        shutil.copy(folder / paths[-2], folder / f"images/blue/copy{k}.png")
    paths += [f"images/blue/copy{k}.png" for k in range(4)]
    label += ["blue"] * 4
    n = len(paths)
    (folder / paths[8]).write_bytes((folder / paths[8]).read_bytes()[:90])
    table = {
        "path": paths,
        "label": label,
        "site": [[*"AB", None][k % 3] for k in range(n)],
        "when": [f"2024-0{1 + k % 9}-{1 + k // 9:02}" for k in range(n)],
        "dose": [None if k % 7 == 0 else k / 3 for k in range(n)],
        "uid": [f"patient {k}" for k in range(n)],
    }
    pq.write_table(pa.table(table), folder / "table.parquet")
    return folder / "table.parquet"


def test_odd_images_labels_and_metadata_are_each_told(tmp_path):
    write_images(tmp_path / "images", PER_CLASS)
    write_model(tmp_path / "leaning.keras", more=1)
    classes = [*CLASSES, "never"]
    model = {"path": str(tmp_path / "leaning.keras"), "classes": classes}
    sections = config(tmp_path, model=model, images={"path": str(odd(tmp_path))}, audit=QUICK)
    code, _, said = run(tmp_path / "run", sections)
    assert code == 0, said
    made = aa.open_run(tmp_path / "run")
    (broken,) = made.table("rejects/extract").to_dict("records")
    assert "cannot be decoded" in broken["reason"] and len(made.table("predictions")) == 3 * PER_CLASS + 3
    assert "4 of 111 images hold the same bytes as another" in said
    groups = made.table("groups")
    few = groups[(groups["column"] == "label") & groups["value"].isin(["dull", "never"]) & (groups["kind"] == "label")]
    assert few["about"].str.contains("3 labelled images: a test needs 10, 7 more").tolist() == [True, True]
    assert few["p_value"].isna().all() and few["q_value"].isna().all()
    assert {"A", "B", "(missing)"} <= set(groups.loc[groups["column"] == "site", "value"])
    assert (groups.loc[groups["column"] == "when", "value"].str.count("2024") == 2).all()
    assert re.search(r"cut into up to 5 groups of as many images each: when \(.*dose \(", said)
    assert re.search(r"left out: .*uid \(111 values, of fewer than 10 images each\)", said)
    # One file under five names lies in one half; it is asked about once a name.
    images, sides = made.table("images"), made.table("spuriosity")
    same = images.loc[images["sha256"].duplicated(keep=False), "image_id"]
    assert len(same) == 5 and sides.loc[sides["image_id"].isin(same), "held_out"].nunique() == 1
    assert made.table("cues")["verdict"].iloc[0] == "verified" and "1 cue is verified" in page(tmp_path / "run")


def test_images_of_many_sizes_for_a_network_that_is_not_square(tmp_path):
    write_model(tmp_path / "leaning.keras", size=(24, 16))
    for kind in CLASSES:
        (tmp_path / "images" / kind).mkdir(parents=True)
        for number in range(2 * PER_CLASS):
            size = [(16, 24), (32, 48), (48, 72)][number % 3]
            Image.fromarray(drawn(kind, number)).resize(size, 0).save(tmp_path / "images" / kind / f"{number}.png")
    images = {"path": str(tmp_path / "images"), "crop": "none"}
    code, _, said = run(tmp_path / "run", config(tmp_path, images=images, audit={**QUICK, "grid": 2}))
    assert code == 0, said
    (first, *_) = aa.open_run(tmp_path / "run").table("cues").to_dict("records")
    assert (first["class"], first["flip_rate"]) == (1, 1.0)
    for own in first["exemplars"]:
        assert (own["top"], own["left"], own["bottom"], own["right"]) == (12, 0, 24, 8)


def test_attributions_of_the_highest_classes_alone_find_the_same(leaning, tmp_path):
    folder, out = leaning
    extract = {"positions_per_image": 16, "edge": 0, "batch": 16, "attribution": "top"}
    audit = {**QUICK, "candidates": 3}
    assert run(tmp_path / "run", config(folder, extract=extract, audit=audit))[0] == 0
    own, their = (aa.open_run(each).table("cues", format="arrow") for each in (out, tmp_path / "run"))
    assert own.equals(their)  # three classes: all are among the highest


@pytest.mark.parametrize("labels", [True, False])
def test_one_class_with_labels_and_without(labels, tmp_path):
    """What speaks for other classes is looked for all the same; without labels nothing is right or wrong."""
    write_model(tmp_path / "leaning.keras")
    write_images(tmp_path / "images", 2 * PER_CLASS, ["blue"])
    images = {"path": str(tmp_path / "images")} | ({} if labels else {"label_column": "none"})
    code, _, said = run(tmp_path / "run", config(tmp_path, images=images, audit=QUICK))
    assert code == 0, said
    made, text = aa.open_run(tmp_path / "run"), page(tmp_path / "run")
    told = "No image has a label: these are the images of which the model is least sure" in text
    if labels:
        (cue,) = made.table("cues").to_dict("records")
        assert (cue["class"], cue["verdict"]) == (1, "undecided") and "20 are needed" in cue["about"] and not told
        assert made.table("evidence")["own_share"].isna()[0]  # no image is red
    else:
        assert "no image has a label: slices go by the model's confidence alone" in said and told
        assert made.table("predictions")["label"].isna().all() and made.table("slices")["q_value"].isna().all()


def test_several_labels_for_an_image(tmp_path):
    write_model(tmp_path / "leaning.keras", activation="sigmoid")
    write_images(tmp_path / "images", PER_CLASS)
    paths = [f"images/{kind}/{number}.png" for kind in CLASSES for number in range(PER_CLASS)]
    labels = [["dull", kind][kind == "dull" :] for kind in CLASSES for _ in range(PER_CLASS)]
    labels[:3] = [[], None, []]
    table = pa.table({"path": paths, "label": pa.array(labels, pa.list_(pa.string()))})
    pq.write_table(table, tmp_path / "table.parquet")
    model = {"path": str(tmp_path / "leaning.keras"), "classes": CLASSES, "threshold": {"red": 0.9}}
    sections = config(tmp_path, model=model, images={"path": str(tmp_path / "table.parquet")}, audit=QUICK)
    code, _, said = run(tmp_path / "run", sections)
    assert code == 0, said
    made = aa.open_run(tmp_path / "run")
    (first, *_) = made.table("cues").to_dict("records")
    assert (first["class"], first["verdict"]) == (1, "verified")
    tried = made.table("trials")
    assert {-1, 1} == set(tried.loc[tried["class"] == 1, "pred_after"])  # by its own threshold, whatever the others do
    red = tried[tried["class"] == 1]
    assert ((red["pred_after"] == 1) == (red["logit_after"] >= math.log(9))).all()
