"""The rules of the house: who may import whom, one door for each heavy thing, what stays out of the tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted(p for top in ("pipeline", "stages") for p in (ROOT / top).rglob("*.py"))
LEAVES = {"stages.stage", "stages.specs", "stages.classes", "stages.tables", "stages.keys", "stages.methods"}
LEAVES |= {"stages.shares", "stages.saved", "stages.groups", "stages.clusters", "stages.ranked"}
SEEN = ("stages.vision.place", "stages.vision.images")  # where a map lies on a photograph: all that is drawn needs
DOORS = {  # what is heavy, and the only place that may open it
    "tensorflow": "stages/vision/",
    "keras": "stages/vision/",
    "keras_hub": "stages/vision/",
    "dask": "pipeline/executors.py",
    "distributed": "pipeline/executors.py",
    "fsspec": "stages/sources",
}
HEAVY = {"tensorflow", "keras", "umap", "sklearn", "pandas", "matplotlib", "dask", "distributed", "openTSNE", "numba"}


def name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Full names of all modules a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {f.removeprefix("activation_atlas.") for f in found if not f.startswith("__future__")}


def family(module: str) -> str:
    """The stage a module belongs to: ``stages.reduce.members`` is of ``stages.reduce``."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("path", CODE, ids=name)
def test_imports_point_one_way(path):
    own = name(path)
    for other in imports(path):
        if own.startswith("stages"):
            assert not other.startswith(("pipeline", "tests", "benchmarks")), f"{own} imports {other}"
        if own in LEAVES:
            assert not other.startswith("stages") or family(other) in LEAVES, f"{own} is a leaf, imports {other}"
        elif own.startswith("stages.vision"):
            fine = other.startswith("stages.vision") or family(other) in LEAVES
            assert fine or not other.startswith("stages."), f"{own} imports {other}"
        elif own.startswith("stages.demo"):
            assert not other.startswith("stages.") or family(other) == "stages.demo", f"{own} imports {other}"
        elif own.startswith("stages.drawing"):
            fine = family(other) in LEAVES | {"stages.drawing"} or other.startswith(SEEN)
            assert fine or not other.startswith("stages."), f"{own} imports {other}"
        elif own.startswith("stages.") and other.startswith("stages."):
            allowed = LEAVES | {"stages.drawing", "stages.vision", "stages.sources", "stages.viewer", family(own)}
            if family(own) == "stages.sources":
                allowed |= {"stages.demo"}
            assert family(other) in allowed, f"stages meet in tables, but {own} imports {other}"


def test_the_pipeline_computes_and_draws_nothing():
    tools, inner = {"numpy", "scipy", "pandas", "PIL", "matplotlib"}, {name(p) for p in CODE} - {"stages.report"}
    for path in (p for p in CODE if name(p).startswith("pipeline.")):
        own = name(path)
        if own != "pipeline.store":  # a state holds arrays
            assert not tools & {other.split(".")[0] for other in imports(path)}, own
        drawn = {m for m in imports(path) & inner if family(m) in {"stages.drawing", "stages.report"}}
        assert not drawn, f"{own} imports {drawn}"


@pytest.mark.parametrize("path", CODE, ids=name)
def test_heavy_things_have_one_door(path):
    place = path.relative_to(ROOT).as_posix()
    for other in imports(path):
        door = DOORS.get(other.split(".")[0])
        assert door is None or place.startswith(door), f"{place} imports {other}; its door is {door}"


@pytest.mark.parametrize(
    "module", ["pipeline.cli", "pipeline.config", "pipeline.steps", "pipeline.runner", "pipeline.plan"]
)
def test_commands_start_without_what_is_heavy(module):
    code = (
        f"import sys, activation_atlas.{module}; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files", *patterns], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).exists()]


def test_the_top_level_is_fixed():
    allowed = {"pipeline", "stages", "configs", "notebooks", "tests", "benchmarks", "pyproject.toml", "README.md"}
    allowed |= {"Makefile", "LICENSE", ".ci", ".gitignore", "requirements.lock", "docs"}
    assert {p.relative_to(ROOT).parts[0] for p in tracked()} <= allowed


def test_files_are_small():
    long = {name(p): n for p in CODE if (n := len(p.read_text(encoding="utf-8").splitlines())) > 300}
    assert not long, "a file past 300 lines becomes a folder with the same import path"


def test_names_say_what_is_inside():
    vague = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert not [p for p in tracked("*.py") if p.stem in vague]


def test_no_place_of_one_machine_and_no_registry_host():
    hosts = ["pypi" + ".org", "python" + "hosted.org", "registry.npmjs" + ".org"]
    places = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/"]
    for path in tracked():
        if path.suffix in {".keras", ".png", ".jpg", ".woff2", ".ttf"}:
            continue
        text = path.read_text(encoding="utf-8")
        for word in [*hosts, *places]:
            assert word not in text, f"{path.relative_to(ROOT)} names {word}"


def test_nothing_is_left_open():
    marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"]
    for path in [*tracked("*.py"), *tracked("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert not [m for m in marks if m in text], path
