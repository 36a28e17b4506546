"""The rules of the house: who may import whom, one door for each heavy thing, what stays out of the tree."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from activation_atlas.stages import ORDER

ROOT = Path(__file__).parent.parent
CODE = sorted(p for top in ("pipeline", "stages") for p in (ROOT / top).rglob("*.py"))
LEAVES = {"stages.stage", "stages.specs", "stages.classes", "stages.tables", "stages.keys", "stages.sections"}
LEAVES |= {"stages.intervals", "stages.tasks", "stages.saved", "stages.groups", "stages.clusters", "stages.ranked"}
LEAVES |= {"stages.caches", "stages.origin", "stages.spelling", "stages.correlation", "stages.transient"}
LEAVES |= {"stages.halves", "stages.significance", "stages.intervention", "stages.audited"}
SEEN = ("stages.vision.place", "stages.vision.images")  # where a map lies on a photograph: all that is drawn needs
DOORS = {  # what is heavy, and the only place that may open it
    "tensorflow": "stages/vision/",
    "keras": "stages/vision/",
    "keras_hub": "stages/vision/",
    "dask": "pipeline/executors.py",
    "distributed": "pipeline/executors.py",
    "fsspec": "stages/sources",
}
PUT = {"setdefault", "update", "append", "extend", "insert", "add"}
HEAVY = {"tensorflow", "keras", "umap", "sklearn", "pandas", "matplotlib", "dask", "distributed", "openTSNE", "numba"}


KEPT = {"pipeline.progress": {"_AT_WORK"}, "stages.caches": {"_CACHES"}}  # what is under way; caches, held weakly


def name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imported(path: Path) -> set[str]:
    """Full names of all modules a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {f for f in found if not f.startswith("__future__")}


def imports(path: Path) -> set[str]:
    """The same, without the package's own name."""
    return {other.removeprefix("activation_atlas.") for other in imported(path)}


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
            fine = family(other) in LEAVES | {"stages.drawing", "stages.methods"} or other.startswith(SEEN)
            assert fine or not other.startswith("stages."), f"{own} imports {other}"
        elif own.startswith("stages.") and other.startswith("stages."):
            allowed = LEAVES | {"stages.vision", "stages.methods", "stages.sources", "stages.viewer", family(own)}
            allowed |= {"stages.demo"} if family(own) == "stages.sources" else {"stages.feed", "stages.drawing"}
            assert family(other) in allowed, f"stages meet in tables, but {own} imports {other}"


def test_the_pipeline_computes_and_draws_nothing():
    tools, inner = {"numpy", "scipy", "pandas", "PIL", "matplotlib"}, {name(p) for p in CODE} - {"stages.report"}
    # States; what a user is given.
    handed = {"pipeline.archive": {"numpy"}, "pipeline.digest": {"numpy"}, "pipeline.results": {"PIL", "pandas"}}
    for path in (p for p in CODE if name(p).startswith("pipeline.")):
        own, named = name(path), imports(path)
        used = tools & {other.split(".")[0] for other in named} - handed.get(own, set())
        used |= {m for m in named & inner if family(m) in {"stages.drawing", "stages.report"}}
        assert not used, f"{own} imports {used}"


@pytest.mark.parametrize("path", CODE, ids=name)
def test_what_a_process_keeps_is_a_cache_or_a_constant(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    filled = globals_filled(tree) - KEPT.get(name(path), set())
    assert not filled, f"{name(path)}: {filled} grow with the process; see stages.caches"
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for said in map(ast.unparse, function.decorator_list):
            if re.match(r"(functools\.)?(lru_)?cache\b", said):
                assert said == "lru_cache(maxsize=1)", f"{name(path)}: @{said}; stages.caches keeps what is no constant"
                assert not function.args.args, f"{name(path)}: {function.name} is no constant; see stages.caches"


def globals_filled(tree: ast.Module) -> set[str]:
    """Names of a module's dicts, lists and sets that its functions put something into."""
    held = {
        target.id
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    put = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))):
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                put.add(ast.unparse(node.value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PUT:
                put.add(ast.unparse(node.func.value))
    return held & put


def test_a_dict_that_a_function_fills_is_seen():
    code = "A, N = {}, 1\nB: dict = {}\nC = []\nD = {1: 2}\ndef f(x):\n    B[x] = D[x]\n    return C.append(x)"
    assert globals_filled(ast.parse(code)) == {"B", "C"}


@pytest.mark.parametrize("path", CODE, ids=name)
def test_heavy_things_have_one_door(path):
    place = path.relative_to(ROOT).as_posix()
    for other in imports(path):
        door = DOORS.get(other.split(".")[0])
        assert door is None or place.startswith(door), f"{place} imports {other}; its door is {door}"


def loaded(*modules: str) -> set[str]:
    """What a fresh interpreter has loaded, by top-level name, once it has imported some modules of ours."""
    names = ", ".join(f"activation_atlas{module}" for module in modules)
    code = f"import sys, {names}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


def test_commands_and_results_start_without_what_is_heavy():
    assert not loaded(".pipeline.cli") & HEAVY
    modules = ("commands", "config", "plan", "results", "runner", "steps")
    stages = [f".stages.{name}" for name in ORDER]
    assert not loaded(*(f".pipeline.{module}" for module in modules), *stages) & HEAVY


def test_importing_the_package_loads_nothing_but_itself():
    assert not loaded("") & {*HEAVY, "numpy", "pyarrow", "pydantic", "PIL", "yaml"}


ADAPTER = ROOT / "stages" / "vision" / "model" / "keras_adapter.py"


def test_what_is_private_in_keras_and_tensorflow_has_one_door():
    """No module of theirs that is not public, and no attribute with an underscore that is not our own."""
    prefixes = ("keras" + ".src", "tensorflow" + ".python")
    about = {ADAPTER, ROOT / "tests" / "stages" / "vision" / "test_keras_adapter.py"}
    for path in [*CODE, *(p for top in ("tests", "benchmarks") for p in (ROOT / top).rglob("*.py"))]:
        if path not in about:
            assert not [p for p in prefixes if p in path.read_text(encoding="utf-8")], f"{path} names what is private"
    ours, used = set(), []
    for path in (p for p in CODE if p.is_relative_to(ROOT / "stages" / "vision") and p != ADAPTER):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                ours.add(node.name)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                ours.add(node.target.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
                ours.add(node.attr)
            elif isinstance(node, ast.Attribute):
                used.append((node.attr, f"{name(path)}:{node.lineno}"))
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
                used.extend((a.value, f"{name(path)}:{node.lineno}") for a in node.args[1:2] if hasattr(a, "value"))
    private = [(word, where) for word, where in used if re.match(r"_[a-z]", str(word)) and word not in ours]
    assert not private, "what Keras and TensorFlow keep to themselves belongs into keras_adapter"


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files", *patterns], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).exists()]


def test_the_package_is_imported_by_its_own_name():
    """Or it would be found in this folder only. What lies in ``pipeline/api`` is ``activation_atlas`` itself."""
    for path in tracked("*.py"):
        bare = {other for other in imported(path) if other.split(".")[0] in ("pipeline", "stages", "configs")}
        again = {other for other in imported(path) if other.startswith("activation_atlas.pipeline.api")}
        assert not bare | again, path
    for path in tracked("*.ipynb", "*.md"):
        assert not re.search(r"\b(from|import) (pipeline|stages)\b", path.read_text(encoding="utf-8")), path


def test_types_are_not_waved_through():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert "ignore_errors" not in str(told) and "ignore_missing_imports" not in {k for k in told if k != "overrides"}
    for path in CODE:
        assert not re.search(r"type: ignore(?!\[)", path.read_text(encoding="utf-8")), f"{path}: which error?"


def test_the_top_level_is_fixed():
    allowed = {"pipeline", "stages", "configs", "notebooks", "tests", "benchmarks", "pyproject.toml", "README.md"}
    allowed |= {"Makefile", "LICENSE", ".ci", ".gitignore", "requirements.lock", "docs", "mkdocs.yml"}
    allowed |= {"CONTRIBUTING.md", "CHANGELOG.md"}
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
