"""What is installed: the lock, the make targets, and a wheel that works away from this folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import activation_atlas as aa

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PEERS = (ROOT / "tests" / "peers" / "requirements.lock").read_text(encoding="utf-8")
OLDEST = (ROOT / "tests" / "oldest" / "requirements.lock").read_text(encoding="utf-8")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]


def canonical(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement).group()).lower()


def entries(lock: str = LOCK) -> list[str]:
    """A lock's requirements, each with its hashes on one line."""
    return [line for line in lock.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("lock", [LOCK, PEERS, OLDEST], ids=["all", "peers", "oldest"])
def test_the_lock_names_no_place(lock):
    for word in ("://", "index-url", "find-links", "file:", " @ ", ".org", ".com", "/"):
        assert word not in lock, f"the lock contains {word!r}"


@pytest.mark.parametrize("lock", [LOCK, PEERS, OLDEST], ids=["all", "peers", "oldest"])
def test_the_lock_pins_every_package_by_hash(lock):
    for entry in entries(lock):
        assert re.match(r"[a-z0-9-]+==[^ ;]+( ;|\s)", entry), entry[:80]
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry[:80]


def test_the_lock_covers_what_the_project_asks_for():
    locked = {canonical(entry) for entry in entries()}
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {canonical(r) for r in asked} <= locked
    added = {canonical(entry) for entry in entries(PEERS)}
    assert {canonical(r) for r in PROJECT["optional-dependencies"]["peers"]} <= added
    assert not added & locked, "the peers' lock holds what requirements.lock does not"


def test_the_oldest_are_the_lowest_that_the_project_allows():
    """Or the lowest that there is from there on: 2.2.2 where pandas 2.2.0 has no wheel for that NumPy."""
    there = {canonical(entry): re.search(r"==([0-9.]+)", entry)[1].split(".") for entry in reversed(entries(OLDEST))}
    runs = (ROOT / "tests" / "oldest" / "requirements.in").read_text(encoding="utf-8").split()
    assert set(runs) <= set(PROJECT["optional-dependencies"]["dev"])
    for asked in [*PROJECT["dependencies"], *runs]:
        lowest = re.search(r">=([0-9.]+)", asked)[1].split(".")
        assert there[canonical(asked)][: len(lowest)] == lowest, asked


def test_every_folder_of_code_is_a_package_that_is_listed():
    listed, mapped = SETTINGS["tool"]["setuptools"]["packages"], SETTINGS["tool"]["setuptools"]["package-dir"]
    assert mapped == {
        "activation_atlas": "pipeline/api",
        **{f"activation_atlas.{f}": f for f in mapped.values() if "/" not in f},
    }
    folders = {path.parent.relative_to(ROOT) for top in ("pipeline", "stages", "configs") for path in files(top)}
    own = {".".join(("activation_atlas", *folder.parts)) for folder in folders - {Path("pipeline/api")}}
    assert listed == sorted(own | {"activation_atlas"})


def test_the_version_is_the_one_that_is_installed():
    assert aa.__version__ == PROJECT["version"]


def files(top: str) -> list[Path]:
    return [p for p in (ROOT / top).rglob("*") if p.is_file() and "__pycache__" not in p.parts]


def make(*arguments: str) -> subprocess.CompletedProcess:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


def test_setup_says_which_python_it_needs(tmp_path):
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("setup", f"VENV={tmp_path}/venv", f"PYTHON={old}")
    assert done.returncode == 2 and "is not Python 3.11, 3.12 or 3.13" in done.stderr


def test_setup_says_what_debian_leaves_out(tmp_path):
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) exit 0;; esac\n')
    bare.chmod(0o755)
    done = make("setup", f"VENV={tmp_path}/venv", f"PYTHON={bare}")
    assert done.returncode == 2 and "apt-get install python3-venv" in done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what is ours: a build in the folder itself would take what an earlier one left there."""
    pytest.importorskip("setuptools", reason="building the wheel needs setuptools (make setup installs it)")
    copy = tmp_path_factory.mktemp("source")
    for name in ("pipeline", "stages", "configs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def test_the_oldest_say_which_python_they_need(tmp_path):
    done = make("test-oldest", f"VENV={tmp_path}/venv", f"PYTHON311={tmp_path}/none")
    assert done.returncode == 2 and "is not Python 3.11 with venv" in done.stderr


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_command_needs(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for path in [path for top in ("pipeline", "stages", "configs") for path in files(top)]:
        assert f"activation_atlas/{path.relative_to(ROOT).as_posix().replace('pipeline/api/', '')}" in inside
    assert "activation_atlas/py.typed" in inside
    own = ("activation_atlas/", "activation_atlas-")
    assert not [n for n in inside if not n.startswith(own) or "__pycache__" in n]


@pytest.fixture
def away(tmp_path) -> Path:
    """A folder whose owner has a ``pipeline`` and a ``stages`` of their own."""
    for name in ("pipeline", "stages"):
        (tmp_path / "away" / name).mkdir(parents=True)
        (tmp_path / "away" / name / "__init__.py").write_text(f"MINE = {name!r}\n")
    return tmp_path / "away"


def environment(home: Path) -> Path:
    """A fresh environment at ``home``; its dependencies are borrowed from this one through a .pth file."""
    venv.create(home, with_pip=False)
    site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def install(bin: Path, *what: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(bin / "python"), "install", "--no-deps", "--no-index"]
    done = subprocess.run([*pip, "--no-build-isolation", "--force-reinstall", *what], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(away: Path, *arguments: str | Path) -> str:
    own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(list(map(str, arguments)), cwd=away, capture_output=True, text=True, env=own)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


WHERE = """
import pipeline, stages
import activation_atlas as aa
from activation_atlas import pipeline as p, stages as s
print(pipeline.MINE, stages.MINE, aa.run.__module__, aa.__file__, p.__file__, s.__file__)
"""


@pytest.mark.slow
def test_an_editable_install_is_this_folder_under_the_packages_name(source, away, tmp_path):
    bin = environment(tmp_path / "venv")
    install(bin, "--editable", str(source))
    mine, theirs, module, *places = run(away, bin / "python", "-c", WHERE).split()
    assert (mine, theirs, module) == ("pipeline", "stages", "activation_atlas.pipeline.commands")
    assert places == [str(source / name / "__init__.py") for name in ("pipeline/api", "pipeline", "stages")]


@pytest.mark.slow
def test_the_installed_command_makes_an_atlas_elsewhere(wheel, away, tmp_path):
    bin = environment(tmp_path / "venv")
    install(bin, str(wheel))
    mine, theirs, module, *places = run(away, bin / "python", "-c", WHERE).split()
    assert (mine, theirs, module) == ("pipeline", "stages", "activation_atlas.pipeline.commands")
    assert all(place.startswith(str(bin.parent / "lib")) for place in places)
    command = [bin / "python", "-m", "activation_atlas"]  # which looks into the folder, the script does not
    assert "atlas" in run(away, bin / "activation-atlas", "--help")

    atlases = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))["atlases"]
    tiny = ["images.path=demo:scenes?images=96", "extract.positions_per_image=16", "audit=null"]
    for i, _ in enumerate(atlases):
        tiny += [f"atlases.{i}.{key}" for key in ("render.steps=4", "render.size=32", "min_count=1", "grids=[4]")]
        tiny += [f"atlases.{i}.render.grids=[4]"]
    settings = [word for setting in tiny for word in ("--set", setting)]
    told = run(away, *command, "run", "demo", "--out", "out", *settings)
    page = away / "out" / "site" / "index.html"
    assert page.is_file() and str(page) in told
    assert "nothing to do" in run(away, *command, "run", "demo", "--out", "out", *settings)
