"""Configurations: every key is known or its nearest is named; paths, variables, overrides."""

from pathlib import Path

import pytest
import yaml

from activation_atlas.pipeline.config import Config, load
from activation_atlas.pipeline.record import about
from activation_atlas.pipeline.steps import steps
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError

CONFIGS = sorted((Path(__file__).parent.parent.parent / "configs").glob("*.yaml"))
LEAST = {"model": {"path": "m.keras"}, "images": {"path": "images"}, "atlases": [{"name": "a", "layer": "conv"}]}


@pytest.fixture
def write(tmp_path):
    def write(text=None, **changes):
        path = tmp_path / "c.yaml"
        path.write_text(text if text is not None else yaml.safe_dump({**LEAST, **changes}))
        return str(path)

    return write


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_configs_load_and_open_with_their_command(path, monkeypatch, tmp_path):
    monkeypatch.setenv("ATLAS_DATA", str(tmp_path))
    assert path.read_text().startswith(f"# activation-atlas run configs/{path.name}")
    config = load(str(path), ["model.classes=[a, b]"])
    names = [s.name for s in steps(config)]
    assert names[:2] == ["index", "extract"] and names[-1] == "report"


def test_a_mapping_is_a_configuration_too(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {**LEAST, "atlases": [{"name": "a", "layer": "conv", "render": None}]}
    config = load(given, "run.seed=3")
    assert config == load(write(**given), ["run.seed=3"]) and "run" not in given
    assert load(config) == config
    by_hand = Config(**{**given, "images": ImagesSpec(path=LEAST["images"]["path"]), "run": {"seed": 3}})
    paths = {**given, "images": {"path": Path(LEAST["images"]["path"])}, "run": {"seed": 3, "out": Path("here")}}
    assert load(by_hand).images.path == load(paths).images.path == config.images.path
    assert load(paths).run.out == "here"
    again = load(config, ["run.name=other"])
    assert (again.run.name, again.run.seed, again.atlases) == ("other", 3, config.atlases)
    with pytest.raises(UserError, match="^the configuration: modl: unknown key; did you mean model"):
        load({"modl": {}})


def test_paths_are_relative_to_the_file(write, tmp_path):
    config = load(write(model={"path": "m.keras", "classes": "names.txt"}, images={"path": "s3://bucket/images"}))
    assert config.model.path == str(tmp_path / "m.keras")
    assert config.model.classes == str(tmp_path / "names.txt")
    assert config.images.path == "s3://bucket/images"


def test_variables_of_the_environment(write, monkeypatch, tmp_path):
    text = yaml.safe_dump({**LEAST, "images": {"path": "${PLACE:-here}/images"}})
    assert load(write(text)).images.path == str(tmp_path / "here/images")
    monkeypatch.setenv("PLACE", str(tmp_path / "there"))
    assert load(write(text)).images.path == str(tmp_path / "there/images")
    with pytest.raises(UserError, match="the environment variable NOWHERE is not set"):
        load(write(text.replace("PLACE:-here", "NOWHERE")))


def test_overrides(write):
    path = write()
    config = load(path, ["run.seed=3", "atlases.0.reduce.n_neighbors=30", "atlases.0.grids=[5, 10]"])
    assert (config.run.seed, config.atlases[0].reduce.n_neighbors, config.atlases[0].grids) == (3, 30, [5, 10])
    for wrong, words in {
        "run.sed=1": "run.sed: unknown key; did you mean seed?",
        "seed": "write key=value",
        "atlases.7.name=b": "is not an index below 1",
        "run.seed.deep=1": "run.seed",
    }.items():
        with pytest.raises(UserError, match=words.replace("?", r"\?")):
            load(path, [wrong])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"imges": {}}, "imges: unknown key; did you mean images"),
        ({"model": None}, "^[^:]*: model: is a section of keys, not null; known here: path, .*tables"),
        ({"images": "photos"}, "images: is a section of keys, not 'photos'; known here: path, labels"),
        ({"atlases": [{"name": "a", "layer": "c", "reduce": {"n_neighbours": 3}}]}, "did you mean n_neighbors"),
        ({"atlases": [{"name": "a", "layer": "c", "clas": "x"}]}, "did you mean class"),
        ({"atlases": [{"name": "a/b", "layer": "c"}]}, "names folders"),
        ({"atlases": [{"name": "a", "layer": "c"}] * 2}, "atlas names must differ: a$"),
        (
            {"atlases": [{"name": n, "layer": "c"} for n in ("Late", "b", "late")]},
            "atlas names must differ: Late, late; ",
        ),
        (
            {"atlases": [{"name": n, "layer": "c", "class": "x"} for n in ("a+b", "a-b")]},
            r"atlas names must differ: a\+b, a-b; ",
        ),
        ({"atlases": [{"name": "a", "layer": "Conv"}], "extract": {"layers": ["conv"]}}, "must differ: Conv, conv; "),
        ({"extract": {"layers": ["a/b", "a__b"]}}, "layers must differ: a/b, a__b; "),
        ({"atlases": [{"name": "a", "layer": "c", "rows": 5}]}, "atlas a: rows is for a class"),
        ({"atlases": [{"name": "a", "layer": "c", "class": "x", "keep": "winner", "rows": 5}]}, "rows is for a class"),
        ({"atlases": [{"name": "a", "layer": "c", "pair": ["x", "y"], "keep": "winner"}]}, "winner is for a class"),
        ({"model": {"path": "m.keras", "weights": "w.h5"}}, "weights is for application"),
        ({"atlases": [{"name": "a", "layer": "c", "grids": [10, 15]}]}, "powers of two"),
        ({"atlases": [{"name": "a", "layer": "c", "class": "x", "pair": ["x", "y"]}]}, "at most one of"),
        ({"model": {"path": "m.keras", "application": "VGG16"}}, "exactly one of"),
        ({"model": {}}, "exactly one of"),
        ({"model": {"path": "m.keras", "threshold": 2}}, r"model.threshold: .* \(got 2\)$"),
        ({"run": {"seed": "many"}}, r"run.seed: .* \(got 'many'\)"),
        ({"explain": {"methods": ["gradcam"]}}, "explain.methods.0: unknown method 'gradcam'; did you mean grad_cam"),
        ({"explain": {"methods": ["Grad-CAM"]}}, "did you mean grad_cam"),
        ({"explain": {"methods": [7]}}, "explain.methods.0: write a method's name"),
        ({"explain": {"methods": [{"layer": "a"}]}}, "explain.methods.0: a method needs a name: one of grad_cam, "),
        ({"explain": {"methods": [{"name": "grad_cam", "laye": "a"}]}}, r"methods.0.laye: .* did you mean layer\?"),
        ({"explain": {"methods": [{"name": "rise", "patch": 3}]}}, "methods.0.patch: unknown key; known here: .*masks"),
        ({"explain": {"methods": [{"name": "occlusion", "stride": 0}]}}, r"methods.0.stride: .* \(got 0\)"),
        ({"explain": {"methods": [{"name": "occlusion", "stride": [2, 0]}]}}, r"methods.0.stride.1: .* \(got 0\)"),
        ({"explain": {"methods": [{"name": "occlusion", "fill": 300}]}}, r"methods.0.fill: .* \(got 300\)"),
        ({"explain": {"methods": ["rise", {"name": "rise"}]}}, "rise is used twice; .* as: rise_2"),
        ({"explain": {"methods": ["rise", {"name": "saliency", "as": "RISE"}]}}, "RISE is used twice; .* as: RISE_2"),
        (
            {"explain": {"methods": ["rise", {"name": "rise", "as": "a+b"}, {"name": "rise", "as": "a-b"}]}},
            r"variants must differ: a\+b, a-b; ",
        ),
        ({"explain": {"methods": [{"name": "rise", "as": "a/b"}]}}, "methods.0.as: .* names a folder"),
        ({"explain": {"methods": [{"name": "rise", "as": "a."}]}}, "methods.0.as: .* names a folder"),
        ({"explain": {"methods": [{"name": "rise", "as": "fin\u00e9"}]}}, "methods.0.as: .* names a folder"),
        ({"explain": {"target": ["label"]}}, "did you mean targets"),
        ({"explain": {"limit": 0}}, r"explain.limit: .* \(got 0\)"),
        ({"explain": {"targets": []}}, "explain.targets: "),
        ({"evaluate": {}}, "evaluate: there are no maps; give explain too"),
        ({"evaluate": {"step": 3}, "explain": {}}, "evaluate.step: unknown key; did you mean steps"),
        ({"evaluate": {"boxes": "b", "masks": "m"}, "explain": {}}, "give boxes or masks, not both"),
        ({"evaluate": {"tolerance": 2}, "explain": {}}, "tolerance is for the pointing game"),
        ({"evaluate": {"boxes": ["a", "b", "c"]}, "explain": {}}, "evaluate.boxes: give four columns, .*; not 3$"),
        ({"evaluate": {"boxes": list("abcde")}, "explain": {}}, "evaluate.boxes: give four columns, .*; not 5$"),
        (
            {"evaluate": {}, "explain": {"methods": [{"name": "saliency", "as": "Random"}]}},
            "a variant cannot be called Random",
        ),
        (
            {"extract": {"attribution": "none"}, "atlases": [{"name": "a", "layer": "c", "class": "x"}]},
            "chooses rows by attribution",
        ),
        ({"extract": {"by": "removing"}}, r"extract.by: .*'insertion', 'removal' or 'gradient' \(got 'removing'\)"),
        ({"extract": {"window": 2}}, "extract: window: 2 has no middle position; give an odd number"),
        ({"extract": {"window": 0}}, r"extract.window: .* \(got 0\)"),
        ({"extract": {"by": "removal", "fill": "blur"}}, r"extract.fill: .* \(got 'blur'\)"),
        ({"extract": {"window": 5, "by": "gradient"}}, "window is for by: insertion or removal; leave it out$"),
        ({"extract": {"fill": "mean"}}, "extract: fill is for by: removal; "),
    ],
)
def test_what_is_wrong_is_one_line(write, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        load(write(**changes))
    assert "\n" not in str(caught.value)


def test_a_configuration_as_the_page_shows_it_is_one(write):
    """With every default written out, of which some are of no use where they stand."""
    chosen = {"name": "b", "layer": "c", "class": "x", "rows": 7}
    config = load(write(atlases=[*LEAST["atlases"], chosen], explain={}, evaluate={}))
    again = load(write(yaml.safe_dump(about(config)["config"])))
    assert about(again) == about(config)


def test_what_is_evaluated_follows_from_what_is_explained(write, tmp_path):
    methods = ["saliency", "grad_cam"]
    asked = {"masks": "masks", "randomization": {"images": 4}}
    path = write(explain={"methods": methods}, evaluate=asked)
    with pytest.raises(UserError, match="evaluate.masks: .*masks is no folder"):
        steps(load(path))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/1.png").write_bytes(b"")
    names = [s.name for s in steps(load(path))]
    each = ["grad_cam", "saliency"]
    expected = [f"evaluate/{v}" for v in (*each, "random", "random_pixels")] + [f"sanity/{v}" for v in each]
    assert names[-9:] == [*expected, "sanity/every two", "sanity", "report"]
    assert "sanity/grad_cam" not in [s.name for s in steps(load(path, ["evaluate.randomization=null"]))]
    stamp = [s.params.masks_stamp for s in steps(load(path)) if s.stage.name == "evaluate"]
    (tmp_path / "masks/1.png").write_bytes(b"more")
    assert len(set(stamp)) == 1 and stamp[0] != steps(load(path))[-9].params.masks_stamp


def test_a_section_that_is_missing_and_files_that_are_no_yaml(write):
    with pytest.raises(UserError, match="model: is missing"):
        load(write("images: {path: x}"))
    with pytest.raises(UserError, match=r"c.yaml:2: not YAML"):
        load(write("run: 1\nmodel: ]"))
    with pytest.raises(UserError, match="must be a mapping"):
        load(write("- 1"))
    with pytest.raises(UserError, match="no such file"):
        load("nowhere.yaml")


def test_icons_for_a_grid_that_is_not_there(write):
    config = load(write(atlases=[{"name": "a", "layer": "c", "grids": [5, 10], "render": {"grids": [20]}}]))
    with pytest.raises(UserError, match=r"render.grids \[20\] are not among its grids \[5, 10\]"):
        steps(config)


def test_what_changes_no_output_is_in_no_fingerprint(write):
    """The order of atlases, the images' size where they are only listed, the cells that get an icon."""

    def fingerprints(**changes):
        return {step.name: step.params.model_dump(mode="json", by_alias=True) for step in steps(load(write(**changes)))}

    one, two = {"name": "a", "layer": "z"}, {"name": "b", "layer": "c"}
    before = fingerprints(atlases=[one, two])
    after = fingerprints(atlases=[two, one])
    assert before["extract"] == after["extract"]
    after = fingerprints(atlases=[one | {"min_count": 2}, two], images={"path": "images", "resize": 64, "crop": "pad"})
    assert before["index"] == after["index"] and before["grid/a"] == after["grid/a"]
    assert before["extract"] != after["extract"] and before["render/a"] != after["render/a"]
    after = fingerprints(atlases=[one, two], images={"path": "images", "levels": 4095})
    assert before["index"] == after["index"] and before["extract"] != after["extract"]
