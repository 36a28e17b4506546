"""Every exit status in the table has a cause here, and the history says the same as the command."""

import contextlib
import io
import json
import re
import sys
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from activation_atlas.pipeline import cli, exits, history, runner
from activation_atlas.pipeline.store import Store
from activation_atlas.stages import tables
from tests.pipeline import toy

ROOT = Path(__file__).parent.parent
CAUSES = {
    "nothing wrong": exits.DONE,
    "a fault of ours": exits.FAULT,
    "a shard is refused": exits.REFUSED,
    "a doubt, with --strict": exits.REFUSED,
    "a doubt": exits.DONE,
    "too many rejects": exits.REJECTS,
    "a verified cue, with --fail-on": exits.FOUND,
    "a verified cue": exits.DONE,
    "a verified cue among rejects": exits.FOUND,
    "a doubt among all, with --strict": exits.REFUSED,
    "interrupted": exits.INTERRUPTED,
}


def main(*words: object) -> tuple[int, str]:
    """Status and standard error of the command."""
    said, before = io.StringIO(), sys.argv
    sys.argv = ["activation-atlas", *map(str, words)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            with pytest.raises(SystemExit) as left:
                cli.main()
    finally:
        sys.argv = before
    return int(left.value.code or 0), said.getvalue()


@pytest.fixture
def caused(tmp_path, monkeypatch):
    """The command over the toy steps, with something wrong: status, standard error and the line of the history."""
    toy.install(monkeypatch)
    (tmp_path / "numbers.txt").write_text("1 2 3\n4 13\n6")
    config, out = tmp_path / "toy.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump({"model": {"path": "m.keras"}, "images": {"path": "images"}, "audit": {}}))

    def run(cause, *words):
        made = toy.steps(tmp_path / "numbers.txt", fail_at=2 if cause == "a shard is refused" else None)
        monkeypatch.setattr(runner, "steps", lambda config, about: made)
        raised = {"a fault of ours": ValueError("no luck"), "interrupted": KeyboardInterrupt()}.get(cause)
        if raised is not None:

            def fail(self, step):
                raise raised

            monkeypatch.setattr(runner.Planner, "plan", fail)
        if "doubt" in cause:
            doubt = {"message": "all are of one class", "remedy": "look"}
            monkeypatch.setattr(runner, "doubts", lambda store, steps: [doubt])
        if "rejects" in cause or "all" in cause:
            monkeypatch.setattr(runner, "counts", lambda store, steps: (100, 2))
        if "cue" in cause or "all" in cause:
            row = {"rank": 0, "class": 0, "verdict": "verified", "text": "it leans on grass"}
            Store(out).write("cues", 0, pa.Table.from_pylist([row], schema=tables.cues()), {})
            Store(out).write_json("run.json", {})
            found = {"key": "cues of dog", "count": 1, "size": None, "low": None, "high": None, "text": row["text"]}
            monkeypatch.setattr(history, "findings", lambda store, tables: [found])
        asked = ["--strict"] if "--strict" in cause else []
        asked += ["--fail-on", "verified"] if "--fail-on" in cause or " among " in cause else []
        status, said = main("run", config, "--out", out, *asked, *words)
        return status, said, Store(out).lines("history.jsonl")[-1]

    return run


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_its_status_and_the_history_has_the_same(cause, caused):
    status, said, line = caused(cause)
    assert status == CAUSES[cause] == line["status"], said
    assert ("Traceback" in said) is (status == exits.FAULT)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_log_of_json_is_json_to_the_last_line(cause, caused):
    status, said, line = caused(cause, "--log-format", "json")
    assert status == CAUSES[cause] == line["status"]
    events = [json.loads(text) for text in said.splitlines()]
    times = [datetime.fromisoformat(event["time"]) for event in events]
    assert times == sorted(times) and all(time.tzinfo for time in times)
    (told,) = [event for event in events if event["event"] == "run"]
    assert {key: told[key] for key in line} == line
    end = events[-1]
    if status:
        assert end["level"] == "error" and ("Traceback" in end.get("traceback", "")) is (status == exits.FAULT)
    assert {e["step"] for e in events if e["event"] == "begin"} <= {"numbers", "squares", "squares (fit)", "total"}


def test_a_quiet_log_of_json_is_of_what_went_wrong(caused):
    def levels(cause):
        events = [json.loads(text) for text in caused(cause, "--log-format", "json", "--quiet")[1].splitlines()]
        return [(event["level"], event["message"]) for event in events]

    assert levels("nothing wrong") == [("warning", "an unlucky number")]
    assert levels("a shard is refused")[-1] == ("error", "shard refused: mend the input")
    assert [level for level, _ in levels("interrupted")] == ["error"]


def test_what_cannot_be_read_is_an_event_too(tmp_path):
    (tmp_path / "wrong.yaml").write_text("modle: {}")
    for file, said in (("wrong.yaml", "did you mean model?"), ("none.yaml", "no such file")):
        status, told = main("run", tmp_path / file, "--log-format", "json")
        event = json.loads(told)
        assert status == exits.REFUSED and event["level"] == "error" and said in event["message"]


def test_no_status_is_without_a_cause():
    assert {*CAUSES.values()} == {*exits.MEANINGS}


def test_what_is_refused_before_it_begins_is_status_2(tmp_path):
    for words in (("run", "none.yaml"), ("run",), ("walk",), ("run", "demo", "--workers", "many"), ("prune", tmp_path)):
        status, said = main(*words)
        assert status == exits.REFUSED and said.count("\n") == 1 and said.startswith("activation-atlas"), said


def test_the_guide_says_what_to_do_about_each():
    guide = (ROOT / "docs/guides/schedules.md").read_text(encoding="utf-8")
    table = guide.split("## Exit status")[1].split("\n## ")[0]
    assert [int(status) for status in re.findall(r"^\| (\d+) \|", table, re.M)] == sorted(exits.MEANINGS)
    for status, meaning in exits.MEANINGS.items():
        assert f"| {status} | {meaning} |" in table
