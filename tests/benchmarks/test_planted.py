"""The planted benchmark: artefacts change what they say, correlation is what it says, scores are as on paper."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from activation_atlas import image_id
from benchmarks.planted.artefacts import ARTEFACTS, WHOLE, touched
from benchmarks.planted.data import audited_rows, carriers, write_audited
from benchmarks.planted.effects import holds, pasted_on, shares, uncertain
from benchmarks.planted.scored import by_dependence
from benchmarks.planted.scores import Truth, at_random, of_cues, of_slices, overlap, ranking, read_truth
from benchmarks.planted.sizes import SIZES, Case, Size
from benchmarks.planted.summary import claims, mean, pooled, printed, share

GREY = np.random.default_rng(0).integers(60, 190, (32, 32, 3), np.uint8)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_changes_all_of_its_boxes_and_nothing_else(name):
    before = GREY.copy()
    out, boxes = ARTEFACTS[name](GREY, np.random.default_rng(1))
    within = np.zeros((32, 32), bool)
    for left, top, right, bottom in boxes:
        within[top:bottom, left:right] = True
    changed = (out != GREY).any(-1)
    assert out.dtype == np.uint8 and (GREY == before).all()
    assert not changed[~within].any() and changed[within].mean() > 0.98


def test_correlation_is_the_share_that_goes_to_the_class():
    labels = np.repeat(np.arange(10), 400)
    for rho in (0.0, 0.5, 0.8, 1.0):
        counts = np.zeros(10)
        for seed in range(40):
            rows = carriers(labels, 3, rho, np.random.default_rng(seed))
            assert len(set(rows.tolist())) == 200  # half of the class's 400
            counts += np.bincount(labels[rows], minlength=10)
        expected = np.full(10, 8000 * (1 - rho) / 10)
        expected[3] += 8000 * rho
        spread = np.sqrt(expected * (1 - expected / 8000))
        assert (np.abs(counts - expected) <= 4 * spread).all()


def test_twelve_percent_of_every_class_carry_it_and_only_the_truth_tells(tmp_path):
    pixels, labels = np.random.default_rng(0).integers(0, 255, (300, 32, 32, 3), np.uint8), np.arange(300) % 10
    photographs, path = write_audited(tmp_path, pixels, labels, "stamp", 250, 0)
    table = pq.read_table(photographs)
    truth = json.loads(path.read_text())
    carry = [table["label"][int(key.split("#")[1])].as_py() for key in truth]
    assert np.bincount(carry).tolist() == [3] * 10 and np.bincount(table["label"]).tolist() == [25] * 10
    assert table.column_names == ["image", "label"]
    assert table["image"].combine_chunks().field("path").null_count == 250
    chosen, unseen = audited_rows(labels, 250, 0)
    assert not set(chosen.tolist()) & set(unseen.tolist()) and len(chosen) + len(unseen) == 300
    assert read_truth(path, 4).boxes.keys() == {image_id(key) for key in truth}


TRUTH = Truth(7, {"a": [(0, 24, 9, 30)], "b": [(2, 25, 11, 31)], "c": [WHOLE]})


def patch(image, left, top, right, bottom):
    return {"image_id": image, "row": 0, "col": 0, "left": left, "top": top, "right": right, "bottom": bottom}


ON, BESIDE, ELSEWHERE = patch("a", 8, 29, 20, 32), patch("a", 9, 24, 20, 30), patch("x", 0, 24, 9, 30)


def cue(rank, kind, verdict, *exemplars):
    return {"rank": rank, "candidate": 10 + rank, "class": kind, "verdict": verdict, "exemplars": list(exemplars)}


def test_a_patch_lies_on_the_artefact_where_they_share_a_pixel():
    assert touched((8, 29, 20, 32), [(0, 24, 9, 30)]) and not touched((9, 24, 20, 30), [(0, 24, 9, 30)])
    assert overlap([ON, BESIDE, ELSEWHERE, patch("c", 31, 31, 32, 32)], TRUTH) == 0.5
    assert np.isnan(overlap([], TRUTH))


def test_the_first_verified_cue_must_be_the_artefact_for_its_class():
    found = of_cues([cue(1, 7, "verified", ON, BESIDE), cue(0, 7, "refuted", ON)], TRUTH)
    assert found == {"verified": 1, "first": True, "found": True, "alarm": True, "overlap": 0.5, "candidate": 11}
    # Another class's, or one of other patches, comes first.
    for other in (cue(0, 3, "verified", ON), cue(0, 7, "verified", BESIDE, ELSEWHERE, ON)):
        found = of_cues([cue(1, 7, "verified", ON), other], TRUTH)
        assert not found["first"] and found["found"] and found["candidate"] == 11
    found = of_cues([cue(0, 3, "verified", ON)], TRUTH)
    assert found["alarm"] and not found["found"] and np.isnan(found["overlap"])
    assert of_cues([cue(0, 7, "undecided", ON)], TRUTH)["alarm"] is False


def test_a_ranking_on_paper():
    images = [*"abcxyz"]
    found = ranking([*"axb"], images, TRUTH)
    # a, then x, then b; c, y and z share the last place: precision 1, 2/3 and 3/6 at each third of recall.
    assert found["ap"] == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)
    # Pairs: a beats 3; b beats y, z; c ties with y, z.
    assert found["auroc"] == pytest.approx((3 + 2 + 1) / 9)
    assert (found["p@10"], found["p@25"]) == (0.2, 2 / 25)
    assert np.isnan(ranking([*"ax"], [*"xyz"], TRUTH)["ap"])
    assert ranking([*"qab"], images, TRUTH) == ranking([*"ab"], images, TRUTH)


def test_the_best_slice_of_a_finder_and_the_one_it_lists_first():
    rows = [
        {"finder": "domino", "found": 1, "members": ["a", "b", "c"]},
        {"finder": "domino", "found": 0, "members": ["x", "y"]},
    ]
    best = of_slices(rows, [*"abcxyz"], TRUTH)["domino"]
    assert best["ap"] == 1 and best["listed_ap"] == ranking([*"xy"], [*"abcxyz"], TRUTH)["ap"] < 0.6


def test_a_class_and_the_others_are_ranked_apart_by_dependence():
    given = [
        ("a", 2, True, True),
        ("b", 5, True, True),
        ("c", 9, False, True),
        ("x", 1, True, False),
        ("y", 3, True, False),
    ]
    names = ("image_id", "dependence", "held_out", "own")
    rows = [{"candidate": 4, **dict(zip(names, each, strict=True))} for each in given]
    rows += [{"candidate": 5, "image_id": "z", "dependence": 8, "held_out": True, "own": True}]
    assert by_dependence(rows, 4, own=True) == ["b", "a"] and by_dependence(rows, 4, own=False) == ["y", "x"]
    assert by_dependence(rows, None, own=True) == []


def test_chance_finds_the_base_rate():
    names = [f"{k}" for k in range(300)]
    found = at_random(names, Truth(0, {name: [WHOLE] for name in names[:36]}), 0)
    assert found["p@25"] == pytest.approx(0.12, abs=0.03) and found["auroc"] == pytest.approx(0.5, abs=0.02)


def test_the_standard_size_is_as_announced():
    cases = list(SIZES["standard"].cases())
    assert len(cases) == 5 * 3 * 2 + 5 * 2 and len({case.network for case in cases}) == 5 * 3 * 2 + 2
    assert len({(case.artefact, case.seed): case.target for case in cases}) == 10
    assert len({case.architecture for case in SIZES["full"].cases()}) == 3


def one(rho, artefact="stamp", first=False, alarm=False, effects=()):
    return {"artefact": artefact, "rho": rho, "cues": {"first": first, "alarm": alarm}, "effects": list(effects)}


def test_claims_count_the_audits_that_they_are_of():
    effect = {"held": True, "verdict": "verified", "true_cue": False}
    scored = [one(1.0, first=True, effects=[effect]), one(0.8), one(1.0, "blur"), one(0.0, alarm=True), one(None)]
    first, alarms, covered, untrue = claims(scored)
    assert " 1/2 " in first and " 1/2 " in alarms and " 1/1 = 1.000 [0.00, 1.00]" in covered and " 1/1 " in untrue


def test_a_patch_lands_in_its_rectangle():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    patches = [(np.full((2, 2, 1), 7, np.uint8), (1, 2, 3, 4)), (np.full((1, 3, 1), 5, np.uint8), (0, 0, 1, 3))]
    out = pasted_on(images, patches)
    assert out[0, ..., 0].tolist() == [[0] * 4, [0, 0, 7, 7], [0, 0, 7, 7], [0] * 4]
    assert out[1, ..., 0].tolist() == [[5, 5, 5, 0], *[[0] * 4] * 3] and not images.any()


def test_patches_that_were_not_drawn_count_for_all_the_others():
    assert shares(2, 4, 10).tolist() == [0.1, 0.1, 0.2, 0.2, 0.2, 0.2] and shares(4, 0, 4).tolist() == [0.25] * 4


def test_an_interval_is_held_against_a_truth_that_is_not_quite_known():
    cue, t = {"low": 1.0, "high": 3.0}, 2.2622  # of 9 degrees
    assert holds(cue, 2.99, 0, 10) and not holds(cue, 3.01, 0, 10)
    further = (1 + (t / 4) ** 2) ** 0.5  # an error of a quarter
    assert holds(cue, 2 + further - 0.01, 0.25, 10) and not holds(cue, 2 + further + 0.01, 0.25, 10)
    assert uncertain(np.array([1.0, 3.0]), 2) == 0 and uncertain(np.array([1.0, 3.0]), 4) == pytest.approx(0.5**0.5)
    assert uncertain(np.array([]), 0) == 0


def test_intervals_over_audits():
    assert share([True, True, False]) == (2, 3, pytest.approx(0.2077, abs=1e-3), pytest.approx(0.9385, abs=1e-3))
    # Audits that are all alike leave no doubt about their share; one that is another does.
    assert pooled([[True, False]] * 5) == (5, 10, 0.5, 0.5)
    assert pooled([[True] * 8, [False] * 2])[2:] == (0, 1) and pooled([[True], []]) == (1, 1, 0, 1)
    middle, low, high = mean([0.0, 1.0, np.nan, 0.5])
    assert middle == 0.5 and 0 <= low < 0.5 < high <= 1


def test_the_tables_print_what_is_known_and_a_dash_where_nothing_is(capsys):
    found = of_cues([cue(0, 7, "verified", ON)], TRUTH)
    ranked = {
        "cue": ranking([*"ab"], [*"abxyz"], TRUTH) | {"listed_ap": 1.0},
        "chance": at_random([*"abxyz"], TRUTH, 0),
    }
    case = {"architecture": "plain", "artefact": "stamp", "accuracy": 0.5, "turned": 0.75, "seconds": 90, "effects": []}
    nothing = {"cues": of_cues([], TRUTH), "rankings": {}, "spuriosity": {"auroc": np.nan}}
    printed([
        {**case, "rho": None, **nothing},
        {**case, "rho": 0.8, "cues": found, "rankings": ranked, "spuriosity": {"auroc": 1.0}},
    ])  # fmt: skip
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert lines[2][:6] == [
        "plain, stamp, 0.8",
        "1",
        "0.50 [0.50, 0.50]",
        "0.75 [0.75, 0.75]",
        *["1/1 [0.21, 1.00]"] * 2,
    ]
    assert lines[3][0] == "plain, stamp, clean twin" and lines[3][6] == "-" and lines[3][4] == "0/1 [0.00, 0.79]"
    assert [line[0] for line in lines[7:9]] == ["cue", "chance"]


@pytest.mark.slow
def test_a_small_audit_is_trained_audited_and_scored_once(tmp_path, monkeypatch, capsys):
    """The whole way, on noise, at a size at which nothing can be found."""
    from benchmarks import planted

    noise = np.random.default_rng(0).integers(0, 255, (300, 32, 32, 3), np.uint8), np.arange(300, dtype=np.int32) % 10
    for module in (planted, planted.audits):
        monkeypatch.setattr(module, "cifar", lambda *asked: noise)
    classes = tmp_path / "data/cifar10/classes.json"
    classes.parent.mkdir(parents=True)
    classes.write_text(json.dumps([*"abcdefghij"]))
    monkeypatch.setenv("ATLAS_DATA", str(tmp_path))
    monkeypatch.setitem(SIZES, "cut", Size("seconds", ("plain",), ("stamp",), (1.0,), 1, 200, 300, 1))
    monkeypatch.setattr(Size, "cases", lambda self: [Case("plain", "stamp", 1.0, 0)])
    whole = planted.audits.config

    def small(*asked):
        few = {"audit": {"candidates": 2, "exemplars": 5, "images": 20}}
        return whole(*asked) | few | {"extract": {"positions_per_image": 9}}

    monkeypatch.setattr(planted.audits, "config", small)
    found = planted.run("cut", tmp_path)
    assert [each["rho"] for each in found["audits"]] == [1.0]
    assert {"cue", "domino", "planespot", "spray", "chance"} <= found["audits"][0]["rankings"].keys()
    said = capsys.readouterr().out
    assert "| plain, stamp, 1 " in said and "found first in" in said
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*") if path.suffix in (".keras", ".json")}
    assert planted.run("cut", tmp_path) == found
    assert made == {path: path.stat().st_mtime_ns for path in made}
