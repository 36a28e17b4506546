"""CONTRIBUTING's examples, followed to the letter in a copy of the house."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grown import copied, shell

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
    return copied(tmp_path)


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
    for commands in follow(house, example):
        shell(house, commands)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert target.startswith("https://") or (ROOT / target).exists(), target
