"""A line for each run of a folder, however it ended; and what of it is new or worse."""

import json

import pyarrow as pa
import pytest

from activation_atlas.pipeline import exits, history, runner
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.findings import findings, grew, measured, worse
from activation_atlas.pipeline.store import Store
from activation_atlas.stages import tables
from activation_atlas.stages.stage import UserError
from tests.pipeline import test_runner
from tests.pipeline.test_runner import CONFIG

ran = test_runner.run  # a fixture


def lines(ran):
    return Store(ran.root).lines("history.jsonl")


def test_each_run_has_its_line(ran):
    ran(until="numbers")
    ran()
    ran()
    first, second, third = lines(ran)
    assert first["outcome"] == "finished" and first["status"] == 0 and first["until"] == "numbers"
    assert {name: done["work"] for name, done in first["stages"].items()} == {"numbers": 3}
    assert {name: done["work"] for name, done in second["stages"].items()} == {
        "squares (fit)": 1,
        "squares": 3,
        "total": 1,
    }
    assert (second["work"], second["warnings"], "until" in second) == (5, 1, False)
    assert third["work"] == 0 and third["stages"] == {} and third["worse"] == []
    assert first["started"] <= first["ended"] and first["seconds"] >= 0 and first["peak_mib"] > 0
    assert first["config"] == third["config"] and len(first["config"]) == 16


def test_a_run_that_fails_or_is_stopped_has_its_line_too(ran, monkeypatch):
    with pytest.raises(UserError):
        ran(fail_at=2)
    for error, outcome, status in ((KeyboardInterrupt(), "stopped", 130), (ValueError("no\nluck"), "failed", 1)):

        def fail(self, step, error=error):
            raise error

        with monkeypatch.context() as patched, pytest.raises(type(error)):
            patched.setattr(runner.Planner, "plan", fail)
            ran()
        assert (lines(ran)[-1]["outcome"], lines(ran)[-1]["status"]) == (outcome, status)
    refused, stopped, failed = lines(ran)
    assert (refused["outcome"], refused["status"], refused["work"]) == ("refused", 2, 6)
    assert refused["error"] == "shard refused: mend the input"
    assert stopped["error"] == "KeyboardInterrupt" and failed["error"] == "ValueError: no luck"
    assert not (ran.root / "running.json").exists()


def test_a_folder_in_use_is_left_alone(ran):
    ran()
    before = lines(ran)
    with Store(ran.root).lock(), pytest.raises(UserError, match="in use"):
        ran()
    assert lines(ran) == before


def test_a_killed_run_is_entered_by_the_next(ran):
    store = Store(ran.root)
    with store.lock():
        history.Entry(store, CONFIG, {"until": "numbers"})  # and no more, as of a process that is gone
        store.append("log.jsonl", {"time": "2999-01-02T03:04:05+00:00"})
    ran()
    dead, alive = lines(ran)
    assert (dead["outcome"], dead["status"], dead["until"]) == ("killed", None, "numbers")
    assert dead["ended"] == "2999-01-02T03:04:05+00:00" and alive["outcome"] == "finished"


def test_a_run_that_was_killed_before_it_did_anything_has_no_end_of_another(ran):
    store = Store(ran.root)
    with store.lock():
        store.append("log.jsonl", {"time": "2001-01-02T03:04:05+00:00"})
        history.Entry(store, CONFIG, {})
    ran()
    assert lines(ran)[0]["outcome"] == "killed" and lines(ran)[0]["ended"] is None


def test_a_run_that_was_killed_once_it_had_its_line_has_no_other(ran, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Store, "remove", lambda store, name: None)
        ran()
    assert (ran.root / "running.json").exists()
    ran()
    assert [line["outcome"] for line in lines(ran)] == ["finished", "finished"]


def test_a_run_that_cannot_say_what_it_found_is_no_killed_one(ran, monkeypatch):
    def fail(store, tables):
        raise ValueError("odd table")

    monkeypatch.setattr(history, "findings", fail)
    with pytest.raises(ValueError):
        ran()
    assert [(line["outcome"], line["status"]) for line in lines(ran)] == [("failed", 1)]


def test_another_configuration_shows(ran, monkeypatch):
    ran()
    other = Config.model_validate({**CONFIG.model_dump(by_alias=True, exclude_unset=True), "run": {"seed": 1}})
    runner.run(other, str(ran.root), runner.Progress())
    one, two = lines(ran)
    assert one["config"] != two["config"]


def test_the_status_is_that_of_the_command(ran, monkeypatch):
    """2 goes before 4, and 4 before 3; the shipped stages are in tests/test_runs.py."""
    asked = [(r, f, d) for r in (False, True) for f in (False, True) for d in (False, True)]
    got = [exits.ending(rejects=r, found=f, doubted=d) for r, f, d in asked]
    assert got == [0, 2, 4, 2, 3, 2, 4, 2]
    monkeypatch.setattr(runner, "counts", lambda store, steps: (100, 2))
    ran()
    assert (lines(ran)[-1]["status"], lines(ran)[-1]["rejected"], lines(ran)[-1]["images"]) == (3, 2, 100)


def told(gap, low, high, count=1):
    return {"key": "cues of dog", "count": count, "size": gap, "low": low, "high": high, "text": f"{gap}"}


def test_what_is_new_or_worse_is_told():
    before = {"findings": [told(0.3, 0.2, 0.4)], "measures": {"accuracy": [0.9, 0.88, 0.92], "x mae": [1.0, 0.9, 1.1]}}
    assert worse(before, before) == []
    # .25 apart; the interval of the difference is hypot(.1, .1) = .141 wide to that side.
    grown = {"findings": [told(0.55, 0.45, 0.65), {**told(0, 0, 0), "key": "slices"}], "measures": {}}
    assert [(w["key"], w["state"]) for w in worse(before, grown)] == [("cues of dog", "worse"), ("slices", "new")]
    assert worse(before, {"findings": [told(0.43, 0.33, 0.53)], "measures": {}}) == []
    assert worse(before, {"findings": [told(0.3, 0.2, 0.4, count=2)], "measures": {}})[0]["state"] == "worse"
    assert worse({}, {"findings": [], "measures": before["measures"]}) == []
    fell = {"accuracy": [0.85, 0.83, 0.87], "x mae": [1.3, 1.2, 1.4]}
    assert [w["text"] for w in worse(before, {"measures": fell})] == [
        "accuracy is 0.85, was 0.9",
        "x mae is 1.3, was 1",
    ]
    rose = {"accuracy": [0.95, 0.93, 0.97], "x mae": [0.7, 0.6, 0.8]}
    assert worse(before, {"measures": rose}) == []
    assert not grew([None, None, None], [1, 0, 2]) and not grew([1, 0, 2], [3, None, None])


def row(schema: pa.Schema, **values) -> pa.Table:
    return pa.Table.from_pylist([values], schema=schema)


def test_findings_are_read_of_the_tables(tmp_path):
    store = Store(tmp_path)
    store.write_state("extract", "", {"classes": ["cat", "dog"]}, {})
    cue = {"class": 1, "verdict": "verified", "gap_low": 0.1, "gap_high": 0.5}
    made = pa.concat_tables(
        [
            row(tables.cues(), rank=0, **cue, gap=0.2, text="weak"),
            row(tables.cues(), rank=1, **cue, gap=0.3, text="strong"),
            row(tables.cues(), rank=2, **{**cue, "class": 0, "verdict": "refuted"}, gap=0.9, text="none"),
        ]
    )
    store.write("cues", 0, made, {})
    group = {"column": "label", "measure": "accuracy", "q_value": 0.01, "gap_low": -0.3, "gap_high": -0.1}
    made = pa.concat_tables(
        [
            row(tables.groups(), **group, value="cat", gap=-0.2, text="cats"),
            row(tables.groups(), **{**group, "gap_low": 0.1, "gap_high": 0.3}, value="dog", gap=0.2, text="better"),
            row(tables.groups(), **{**group, "q_value": 0.2}, value="cow", gap=-0.2, text="unsure"),
            row(tables.groups(), **{**group, "measure": "mae"}, value="elk", gap=0.2, text="far off"),
        ]
    )
    store.write("groups", 0, made, {})
    store.write("doubts", 0, row(tables.doubts(), place=0, kind="labels", message="they do not fit", remedy="look"), {})
    slices = {"q_value": 0.001, "error_rate": 0.5, "low": 0.4, "high": 0.6, "base_rate": 0.1, "images": 20}
    made = [
        row(tables.slices(), **slices),
        row(tables.slices(), **slices, same_as=0),
        row(tables.slices(), q_value=0.5),
    ]
    store.write("slices", 0, pa.concat_tables(made), {})
    measure = {"measure": "accuracy", "low": 0.5, "high": 0.7}
    made = [row(tables.measures(), value=0.6, **measure), row(tables.measures(), value=0.1, name="cat", **{"class": 0})]
    store.write("measures", 0, pa.concat_tables(made), {})
    found = {one["key"]: one for one in findings(store, store.tables())}
    assert list(found) == ["doubt: labels", "cues of dog", "group label = cat", "group label = elk", "slices"]
    assert found["cues of dog"] == {
        "key": "cues of dog",
        "count": 2,
        "size": 0.3,
        "low": 0.1,
        "high": 0.5,
        "text": "strong",
    }
    cat = found["group label = cat"]
    assert [cat[k] for k in ("size", "low", "high")] == [0.2, 0.1, 0.3]
    assert found["slices"]["count"] == 1 and found["slices"]["text"].startswith(
        "1 slice surely fails; of the worst 20 images 50% are wrong, of all 10%"
    )
    assert measured(store, store.tables()) == {"accuracy": [0.6, 0.5, 0.7]}
    assert findings(store, ["cues"]) == [found["cues of dog"]], (
        "what no step of the configuration writes is not its own"
    )
    json.dumps([*found.values()])


def test_the_last_finished_run_is_what_is_compared_with():
    part = {"outcome": "finished", "until": "extract"}  # it audits nothing: all would be new after it
    made = [{"outcome": "finished", "n": 1}, {"outcome": "killed"}, {"outcome": "refused"}, part]
    assert history.last_finished(made) == made[0] and history.last_finished(made[1:]) is None
