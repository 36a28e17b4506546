"""A copy of the project to which something is added: what one file and one line are enough for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def copied(folder: Path) -> Path:
    """The code, the configurations and the tests in ``folder``; what runs there by :func:`python` is the copy."""
    kept = shutil.ignore_patterns("__pycache__", ".*")
    mapping = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-dir"]
    for name in (*{Path(place).parts[0] for place in mapping.values()}, "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=kept)
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    package = folder / "path" / "activation_atlas"
    package.mkdir(parents=True)
    for name, place in mapping.items():
        if "." in name:
            (package / name.partition(".")[2]).symlink_to(folder / place)
        else:
            for file in (folder / place).glob("*.*"):
                (package / file.name).symlink_to(file)
    return folder


def line_added(path: Path, after: str, line: str) -> None:
    """One line in a file, behind the line that reads ``after``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines.insert(lines.index(after) + 1, line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def python(folder: Path, *words: str) -> str:
    """What Python prints with these arguments in a copy; AssertionError with all it said where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "path")}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
