"""Runs of the toy pipeline: what is kept when one is stopped, and what the record says."""

import json

import pytest

from activation_atlas.pipeline import runner
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.progress import Bars, Progress
from activation_atlas.stages.stage import UserError
from tests.pipeline import toy
from tests.small import digests

CONFIG = Config.model_validate({"model": {"path": "m.keras"}, "images": {"path": "images"}})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the toy steps; ``run.root`` is the folder."""
    toy.install(monkeypatch)
    (tmp_path / "numbers.txt").write_text("1 2 3\n4 13\n6")

    def execute(until=None, redo=(), scheduler="sync", repair=False, **options):
        made = toy.steps(tmp_path / "numbers.txt", **options)
        monkeypatch.setattr(runner, "steps", lambda config, about: made)
        return runner.run(CONFIG, str(execute.root), Progress(), until, redo, scheduler, None, repair)

    execute.numbers = tmp_path / "numbers.txt"
    execute.root = tmp_path / "run"
    execute.record = lambda: json.loads((execute.root / "run.json").read_text())
    return execute


def test_a_stopped_run_loses_nothing_of_its_record(run):
    with pytest.raises(UserError, match="mend the input"):
        run(fail_at=2)
    stopped = run.record()
    assert "finished" not in stopped and stopped["warnings"] == {"squares 1": ["an unlucky number"]}
    assert set(stopped["seconds"]) == {"numbers", "squares (fit)", "squares"}
    path = run.root / "run.json"
    path.write_text(json.dumps({**stopped, "seconds": {"numbers": 100, "squares": 100}}))
    run(fail_at=2, until="numbers")
    assert run.record()["seconds"]["numbers"] == 100  # it had nothing to do again
    path.write_text(json.dumps({**stopped, "seconds": {"numbers": 100, "squares": 100}}))
    (run.root / "squares/part-00000.parquet").unlink()
    with pytest.raises(UserError):
        run(fail_at=2)
    assert 100 <= run.record()["seconds"]["squares"] < 200  # the seconds of a run that goes on add up


def test_with_nothing_to_do_the_record_stays(run):
    run()
    first = run.record()
    assert run().ran == 0
    assert {**run.record(), "finished": 0, "started": 0} == {**first, "finished": 0, "started": 0}
    assert first["warnings"] == {"squares 1": ["an unlucky number"]}


def test_what_all_parts_together_tell_is_said_once_and_recorded(run, capsys):
    run.numbers.write_text("1 2 3\n4 13\n99")
    run(until="numbers")
    run()
    assert capsys.readouterr().err.count("6 numbers make 122") == 1
    assert run.record()["warnings"] == {"numbers end": ["6 numbers make 122"], "squares 1": ["an unlucky number"]}
    run.numbers.write_text("1 2 3\n4 13\n6")
    run()
    assert run.record()["warnings"] == {"squares 1": ["an unlucky number"]}


def test_redo_deletes_nothing_that_cannot_be_made_again(run):
    run()
    for wrong in ({"scheduler": "proceses"}, {"scheduler": "threads", "until": "numbers"}):
        with pytest.raises(UserError):
            run(redo=["squares"], **wrong)
    assert run().ran == 0
    assert run(redo=["squares", "total"]).ran == 5


def test_a_full_disk_is_told_as_such(run):
    run()
    (run.root / "log.jsonl").unlink()
    (run.root / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left"):
        run()


def test_bars_show_any_name():
    Bars().say("images of [/data]: 3 are lost", "warning")


def test_repair_makes_again_what_is_damaged_and_nothing_else(run, capsys):
    run()
    before = digests(run.root)
    for path in ("squares/part-00001.parquet", "state/squares.npz"):
        data = bytearray((run.root / path).read_bytes())
        data[len(data) // 3] ^= 8
        (run.root / path).write_bytes(data)
    (run.root / "site/total.txt").write_text("sum 0")
    capsys.readouterr()
    assert run(repair=True).ran == 3
    said = capsys.readouterr().err
    assert said.count("does not match its checksum; it is made again") == 3 and "part-00001.parquet" in said
    assert digests(run.root) == before and (run.root / "site/total.txt").read_text() == "sum 183"
    assert run(repair=True).ran == 0


def test_a_limit_of_shards_needs_processes(run):
    run()
    limited = Config.model_validate({**CONFIG.model_dump(exclude_unset=True), "run": {"shard_timeout": 5}})
    with pytest.raises(UserError, match="add --scheduler processes, or leave it out"):
        runner.run(limited, str(run.root), Progress())
