"""CONTRIBUTING's examples, followed to the letter in a copy of the house."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = {part.split("\n")[0]: part for part in GUIDE.split("\n## Adding ")[1:]}
BLOCK = re.compile(r"(?:^`([\w./]+)`:\n\n)?^```(python|diff|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(example: str) -> list[tuple[str, str, str]]:
    """(file, kind, text) of each block."""
    return BLOCK.findall(EXAMPLES[example])


def changed(text: str, diff: str) -> str:
    """``text`` after a diff without line numbers, whose old lines occur once."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    assert text.count(old) == 1, f"occurs {text.count(old)} times:\n{old}"
    return text.replace(old, "".join(line[1:] for line in lines if line[0] in " +"))


@pytest.fixture
def house(tmp_path) -> Path:
    """A copy, with the commands of an environment that is set up."""
    copy, code = tmp_path / "house", tmp_path / "code" / "activation_atlas"
    for name in ("pipeline", "stages", "configs", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("*.*"):
        if path.is_file():
            shutil.copy(path, copy)
    for name in ("docs", "notebooks", "benchmarks", "LICENSE"):
        (copy / name).symlink_to(ROOT / name)
    code.mkdir(parents=True)
    for path in [*(copy / "pipeline" / "api").iterdir(), copy / "pipeline", copy / "stages", copy / "configs"]:
        (code / path.name).symlink_to(path)
    (copy / ".venv" / "bin").mkdir(parents=True)
    for name, words in (("python", ""), ("activation-atlas", "-m activation_atlas ")):
        command = copy / ".venv" / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}"$@"\n')
        command.chmod(0o755)
    return copy


def follow(house: Path, example: str) -> list[str]:
    """Writes the files and changes; returns the commands."""
    commands = []
    for name, kind, text in blocks(example):
        path = house / name
        if kind == "sh":
            commands.append(text)
        elif kind == "diff":
            path.write_text(changed(path.read_text(encoding="utf-8"), text), encoding="utf-8")
        else:
            assert not path.exists(), f"{name} is there"
            path.write_text(text, encoding="utf-8")
            compile(text, name, "exec")
    return commands


def test_examples_fit_the_house_as_it_is(house):
    assert list(EXAMPLES) == ["a method", "a stage", "a source", "a reducer"]
    for example in EXAMPLES:
        assert all(name for name, kind, _ in blocks(example) if kind != "sh")
        assert follow(house, example)
    ruff = Path(sys.executable).parent / "ruff"
    if ruff.exists():
        for words in (["check"], ["format", "--check"]):
            done = subprocess.run([ruff, *words, "--no-cache", "."], cwd=house, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_works(house, example):
    environment = {**os.environ, "PYTHONPATH": str(house.parent / "code")}
    for commands in follow(house, example):
        done = subprocess.run(["sh", "-ec", commands], cwd=house, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert target.startswith("https://") or (ROOT / target).exists(), target
