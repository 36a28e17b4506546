"""The file of metrics: Prometheus' text format, of every run that began, written whole."""

import re

import pytest

from activation_atlas.pipeline import metrics, runner
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.progress import Progress
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import UserError
from tests.pipeline import test_runner
from tests.pipeline.test_runner import CONFIG

toy = test_runner.run  # a fixture
FINISHED = {
    "name": 'a "b" \\ c', "started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:01:00+00:00", "seconds": 60.5,
    "outcome": "finished", "status": 4, "work": 7, "warnings": 1, "peak_mib": 2,
    "stages": {"extract": {"work": 3, "seconds": 1.25}, "squares (fit)": {"work": 1, "seconds": 0.5}},
    "images": 100, "rejected": 3, "measures": {"accuracy": [0.9, 0.8, 0.95], "x mae": [1.5, None, None]},
    "findings": [
        {"key": "cues of dog", "count": 2}, {"key": "cues of cat", "count": 1}, {"key": "doubt: labels", "count": 1}
    ],
    "worse": [{"key": "cues of dog", "state": "new", "text": "a cue"}],
}  # fmt: skip
STOPPED = {
    "name": "n", "ended": "2026-01-02T00:00:00+00:00", "seconds": 1.0, "outcome": "refused", "status": 2, "work": 0,
    "warnings": 0, "peak_mib": 1, "stages": {},
}  # fmt: skip


def values(text: str) -> dict[str, float]:
    """Each sample's value by its name and labels; refuses what is not of the format."""
    found, typed = {}, None
    for line in text.removesuffix("\n").split("\n"):
        if told := re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) .+", line):
            typed = told[2]
            continue
        sample = re.fullmatch(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (-?[0-9.e+]+)', line)
        assert sample and sample[1] == typed, line
        assert (key := f"{sample[1].removeprefix(metrics.PREFIX)} {sample[2]}") not in found
        found[key] = float(sample[3])
    return found


def test_the_numbers_are_those_of_the_history():
    found = values(metrics.exposition([STOPPED, FINISHED]))
    run = 'run="a \\"b\\" \\\\ c"'
    assert found.pop(f"last_run_timestamp_seconds {run}") == 1767225660  # date -ud 2026-01-01T00:01:00 +%s
    assert found.pop(f"last_finished_timestamp_seconds {run}") == 1767225660
    assert found == {
        f'runs_total {run},outcome="finished"': 1,
        f'runs_total {run},outcome="refused"': 1,
        f"last_run_status {run}": 4,
        f"last_run_seconds {run}": 60.5,
        f"last_run_work {run}": 7,
        f"last_run_warnings {run}": 1,
        f"last_run_peak_bytes {run}": 2097152,
        f'last_run_stage_seconds {run},stage="extract"': 1.25,
        f'last_run_stage_seconds {run},stage="squares (fit)"': 0.5,
        f"images {run}": 100,
        f"rejected_images {run}": 3,
        f'measure {run},measure="accuracy"': 0.9,
        f'measure {run},measure="x mae"': 1.5,
        f'measure_low {run},measure="accuracy"': 0.8,
        f'measure_high {run},measure="accuracy"': 0.95,
        f'findings {run},kind="doubts"': 1,
        f'findings {run},kind="verified_cues"': 3,
        f'findings {run},kind="groups"': 0,
        f'findings {run},kind="slices"': 0,
        f"worse_findings {run}": 1,
    }


def test_after_a_run_that_did_not_finish_the_last_one_that_did_still_stands():
    found = values(metrics.exposition([FINISHED, STOPPED]))
    assert found['last_run_status run="n"'] == 2 and found['images run="n"'] == 100
    assert found['last_run_timestamp_seconds run="n"'] - found['last_finished_timestamp_seconds run="n"'] == 86340
    assert 'images run="n"' not in values(metrics.exposition([STOPPED]))


@pytest.fixture
def ran(toy, tmp_path, monkeypatch):
    """Runs the toy steps with a file of metrics: its samples, and what was warned of."""
    said = []

    class Told(Progress):
        def say(self, message, level="info"):
            said.append((level, message))

    def execute(file, **options):
        own = {**CONFIG.model_dump(by_alias=True, exclude_unset=True), "run": {"name": "toy", "metrics": str(file)}}
        config, whole = Config.model_validate(own), runner.run
        monkeypatch.setattr(runner, "run", lambda _, root, told, *more: whole(config, root, Told(), *more))
        try:
            return toy(**options)
        finally:
            monkeypatch.setattr(runner, "run", whole)

    execute.root, execute.said = toy.root, said
    return execute


def test_each_run_writes_it(ran, tmp_path):
    file = tmp_path / "toy.prom"
    ran(file)
    before = file.stat()
    assert values(file.read_text())['last_run_work run="toy"'] == 8
    with pytest.raises(UserError):
        ran(file, redo=["squares"], fail_at=2)
    found = values(file.read_text())
    assert found['last_run_status run="toy"'] == 2 and found['runs_total run="toy",outcome="refused"'] == 1
    assert file.stat().st_ino != before.st_ino  # renamed: nobody reads half of it
    assert file.stat().st_mode & 0o777 == (tmp_path / "numbers.txt").stat().st_mode & 0o777  # node_exporter is not us
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["toy.prom"] and not list(tmp_path.glob(".*"))
    assert "metrics" not in Store(ran.root).read_json("run.json")["config"]["run"]


def test_a_file_that_cannot_be_written_fails_no_run(ran, tmp_path):
    ran(tmp_path / "none/toy.prom")
    (told,) = [message for level, message in ran.said if level == "warning" and "metrics" in message]
    assert "none/toy.prom cannot be written" in told and "No such file" in told


def test_every_metric_is_in_the_guide():
    from tests.test_docs import ROOT

    guide = (ROOT / "docs/guides/schedules.md").read_text(encoding="utf-8")
    assert [name for name, why in metrics.ABOUT.items() if f"| `{name}` | {why} |" not in guide] == []
