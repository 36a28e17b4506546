"""A copy of the house to which something is added: what one file and one line are enough for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def copied(folder: Path) -> Path:
    """A copy in ``folder``, with the commands of an environment that is set up; see :func:`shell`."""
    house, code = folder / "house", folder / "code" / "activation_atlas"
    for name in ("pipeline", "stages", "configs", "tests"):
        shutil.copytree(ROOT / name, house / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("*.*"), ROOT / "Makefile"]:
        if path.is_file():
            shutil.copy(path, house)
    for name in ("docs", "notebooks", "benchmarks", "LICENSE"):
        (house / name).symlink_to(ROOT / name)
    code.mkdir(parents=True)
    for path in [*(house / "pipeline" / "api").iterdir(), house / "pipeline", house / "stages", house / "configs"]:
        (code / path.name).symlink_to(path)
    (house / ".venv" / "bin").mkdir(parents=True)
    for name, words in (("python", ""), ("activation-atlas", "-m activation_atlas ")):
        command = house / ".venv" / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}"$@"\n')
        command.chmod(0o755)
    (house / ".venv" / ".set-up").touch()
    return house


def shell(house: Path, commands: str) -> str:
    """What these commands print in a copy; AssertionError with all they said where one fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    environment["PYTHONPATH"] = str(house.parent / "code")
    done = subprocess.run(["sh", "-ec", commands], cwd=house, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
