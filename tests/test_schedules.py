"""The examples of the guide to schedules: read by what reads them where that is here, their commands run by a shell."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import typer
import yaml

from activation_atlas.pipeline.cli import app

GUIDE = (Path(__file__).parent.parent / "docs/guides/schedules.md").read_text(encoding="utf-8")
COMMAND = "/opt/atlas/bin/activation-atlas"


def example(title: str) -> str:
    """The block whose first line names this."""
    (found,) = re.findall(rf"```\w+\n(# [^\n]*{re.escape(title)}[^\n]*\n.*?)```", GUIDE, re.S)
    return found


@pytest.fixture
def command(tmp_path):
    """A command in the place of ours: ``ran(text)`` has a shell run a line, and gives the words of the call."""
    stand_in, called = tmp_path / "activation-atlas", tmp_path / "called"
    stand_in.write_text(f'#!/bin/sh\nfor word; do echo "$word" >> {called}; done\nexit 4\n')
    stand_in.chmod(0o755)

    def ran(text: str) -> list[str]:
        assert text.startswith(f"{COMMAND} run ")
        done = subprocess.run(["/bin/sh", "-c", text.replace(COMMAND, str(stand_in))], check=False)
        assert done.returncode == 4
        return called.read_text().splitlines()

    ran.path = stand_in
    return ran


def understood(words: list[str]) -> dict:
    """What the real command takes these words for; an unknown option is an error."""
    name, *rest = words
    own = typer.main.get_command(app).commands[name]
    return own.make_context(name, rest).params


def test_the_line_of_cron_is_run_by_a_shell(command):
    (line,) = [line for line in example("crontab -e").splitlines() if not line.startswith("#")]
    *times, text = line.split(" ", 5)
    assert all(re.fullmatch(r"\*|\d+", time) for time in times) and int(times[0]) < 60 and int(times[1]) < 24
    assert "%" not in text  # it would be a new line to cron
    asked = understood(command(text))
    assert (asked["config"], asked["quiet"], asked["strict"], asked["fail_on"]) == (
        "/srv/atlas/mine.yaml", True, True, "verified",
    )  # fmt: skip


def test_the_service_starts_the_command_and_tries_again_what_may_go_on(command):
    units = example("atlas.service")
    (start,) = re.findall(r"^ExecStart=(.+)$", units, re.M)
    assert understood(command(start))["log_format"] == "json"
    assert "RestartPreventExitStatus=1 2 3 4\n" in units


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_accepts_the_units(command, tmp_path):
    for name in ("atlas.service", "atlas.timer"):
        (tmp_path / name).write_text(example(name).replace(COMMAND, str(command.path)).replace("User=atlas\n", ""))
    words = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "atlas.timer"), str(tmp_path / "atlas.service")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not [line for line in done.stderr.splitlines() if "atlas" in line], done.stderr
    (tmp_path / "atlas.service").write_text(example("atlas.service"))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "activation-atlas is not executable" in done.stderr  # it would have told
    calendar = re.findall(r"^OnCalendar=(.+)$", example("atlas.timer"), re.M)
    assert subprocess.run(["systemd-analyze", "calendar", *calendar], capture_output=True, check=False).returncode == 0


def of_modules(monkeypatch, **modules: dict) -> None:
    """Puts modules of these names (``_`` for the dot) in the place of packages that are not here."""
    for name, names in modules.items():
        module = ModuleType(name.replace("_", "."))
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, module.__name__, module)


def decorator(kept: dict):
    """A decorator with or without options, which are kept by the function's name; the function stays."""

    def decorate(function=None, **options):
        if function is None:
            return lambda function: decorate(function, **options)
        kept[function.__name__] = function, options
        return function

    return decorate


def test_the_dag_tries_again_what_may_go_on(monkeypatch):
    kept, failed = {}, type("AirflowFailException", (Exception,), {})
    of_modules(
        monkeypatch,
        airflow={},
        airflow_sdk={"dag": decorator(kept), "task": decorator(kept)},
        airflow_sdk_exceptions={"AirflowFailException": failed},
    )
    for status, error in ((0, None), (1, failed), (2, failed), (3, failed), (4, failed), (130, RuntimeError)):
        called = []

        def ran(words, check, status=status, called=called):
            called.append(words)
            return SimpleNamespace(returncode=status)

        monkeypatch.setattr(subprocess, "run", ran)
        code = compile(example("dags/atlas.py"), "atlas.py", "exec")
        if error is None:
            exec(code, {})
        else:
            with pytest.raises(error, match=f"status {status}"):
                exec(code, {})
        ((path, *words),) = called
        assert path == COMMAND and understood(words)["strict"]
    assert kept["run"][1]["retries"] == 2 and kept["atlas"][1]["schedule"] == "30 2 * * *"


def test_the_flow_tries_again_what_may_go_on(monkeypatch):
    kept = {}
    of_modules(monkeypatch, prefect={"flow": decorator(kept), "task": decorator(kept)})
    exec(compile(example("flows/atlas.py"), "atlas.py", "exec"), {"__name__": "atlas"})
    called = []
    monkeypatch.setattr(subprocess, "run", lambda words, check: called.append((words, check)))
    kept["atlas"][0]()
    (((path, *words), check),) = called
    assert path == COMMAND and understood(words)["strict"] and check is True
    again = kept["run"][1]["retry_condition_fn"]
    for error, goes_on in ((130, True), (-9, True), (137, True), (2, False), (4, False), (1, False)):
        state = SimpleNamespace(result=lambda raise_on_failure, e=error: subprocess.CalledProcessError(e, "x"))
        assert again(None, None, state) is goes_on
    assert not again(None, None, SimpleNamespace(result=lambda raise_on_failure: FileNotFoundError()))


def test_the_workflow_is_one(command):
    workflow = yaml.safe_load(example(".github/workflows/atlas.yml"))
    on = workflow[True]  # YAML 1.1 reads the key so
    assert len(on["schedule"][0]["cron"].split()) == 5 and "workflow_dispatch" in on and workflow["concurrency"]
    (job,) = workflow["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    (text,) = [step["run"] for step in job["steps"] if "run" in step]
    assert understood(command(text))["fail_on"] == "verified"


def test_the_rules_of_prometheus_name_what_is_there():
    from activation_atlas.pipeline.metrics import ABOUT, PREFIX

    groups = yaml.safe_load(example("Rules of Prometheus"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    names = [name for rule in rules for name in re.findall(rf"{PREFIX}(\w+)", rule["expr"])]
    assert len(names) == len(rules) == 3 and {*names} <= {*ABOUT}


def test_the_history_is_read_as_the_guide_says(tmp_path, monkeypatch, capsys):
    from activation_atlas.pipeline.store import Store

    (text,) = re.findall(r"```python\n(import activation_atlas as aa\n.*?)```", GUIDE, re.S)
    store = Store(tmp_path / "runs/demo")
    store.write_json("run.json", {})
    import pyarrow as pa

    store.write("images", 0, pa.table({"uri": ["x"]}), {})
    for line in ({"outcome": "killed", "status": None}, {"outcome": "finished", "status": 0, "images": 7, "worse": []}):
        store.append("history.jsonl", {"started": "now", **line})
    monkeypatch.chdir(tmp_path)
    exec(compile(text, "guide", "exec"), {})
    assert capsys.readouterr().out == "now killed None None None 0\nnow finished 0 7 None 0\n"
