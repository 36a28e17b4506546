"""Which images and which classes are explained, and what the stage makes of any method's maps."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from activation_atlas.stages import explain, extract, tables
from activation_atlas.stages.caches import Cache
from activation_atlas.stages.explain import STAGE, Params
from activation_atlas.stages.explain.selection import frame, hidden, select, worst_first
from activation_atlas.stages.explain.targets import check, resolve
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables.flags import NOT_FINITE, ZERO
from activation_atlas.stages.vision.attribution import methods
from activation_atlas.stages.vision.attribution.methods import METHODS, Maps
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.attribution.methods.path import ExpectedGradients
from activation_atlas.stages.vision.attribution.methods.rise import Rise
from activation_atlas.stages.vision.place import Place
from tests import quick
from tests.memory import MemoryInputs
from tests.stages.vision import small_models as small

# -- targets -----------------------------------------------------------------

ANIMALS = ["cat", "horse", "dog", "bird"]
LOGITS = np.array([1.0, 3.0, 2.0, -1.0], np.float32)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["predicted"], {1: ["predicted"]}),
        (["second"], {2: ["second"]}),
        (["label"], {0: ["label"]}),
        (["rank:1", "rank:4"], {1: ["rank:1"], 3: ["rank:4"]}),
        (["top:3"], {1: ["rank:1"], 2: ["rank:2"], 0: ["rank:3"]}),
        (["bird", "3", "class:bird"], {3: ["bird", "3", "class:bird"]}),
        (["horse", "predicted", "rank:1", "predicted"], {1: ["horse", "predicted", "rank:1"]}),
        (["second", "top:2", "label"], {2: ["second", "rank:2"], 1: ["rank:1"], 0: ["label"]}),
    ],
)
def test_targets_in_the_order_asked_and_each_class_once(asked, found):
    check(asked, ANIMALS)
    resolved = resolve(asked, LOGITS, 0, ANIMALS)
    assert resolved == found and list(resolved) == list(found)


def test_predicted_and_label_fall_together_where_the_model_is_right():
    assert resolve(["predicted", "label"], LOGITS, 1, ANIMALS) == {1: ["predicted", "label"]}
    assert resolve(["label", "second"], LOGITS, 2, ANIMALS) == {2: ["label", "second"]}


def test_an_unlabelled_image_has_no_label_to_explain():
    assert resolve(["predicted", "label"], LOGITS, None, ANIMALS) == {1: ["predicted"]}
    assert resolve(["label"], LOGITS, None, ANIMALS) == {}


def test_of_equal_logits_the_first_class_ranks_first():
    assert resolve(["top:3", "second"], np.array([0, 1, 1, 0], np.float32), None, ANIMALS) == {
        1: ["rank:1"],
        2: ["rank:2", "second"],
        0: ["rank:3"],
    }


def test_a_single_sigmoid_has_two_classes():
    for logit, order in ((2.5, [1, 0]), (-2.5, [0, 1]), (0.0, [0, 1])):
        found = resolve(["predicted", "second"], np.array([0, logit], np.float32), None, ["no", "yes"])
        assert list(found) == order


def test_a_class_called_like_a_kind_of_target_or_like_a_number():
    names = ["label", "second", "2"]
    logits = np.array([0, 1, 2], np.float32)
    assert resolve(["class:label", "class:second"], logits, None, names) == {0: ["class:label"], 1: ["class:second"]}
    assert resolve(["second"], logits, None, names) == {1: ["second"]}
    assert resolve(["2", "1"], logits, None, names) == {2: ["2"], 1: ["1"]}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("hors", "unknown target 'hors'; did you mean horse"),
        ("predictd", "did you mean predicted"),
        ("rank:5", "rank:5 of a model with 4 classes; choose 1 to 4"),
        ("top:0", "choose 1 to 4"),
        ("rank:x", "rank:K"),
        ("4", "there is no class 4; the model's are 0 to 3"),
        ("class:label", "is a kind of target, not a class"),
        ("", "unknown target"),
    ],
)
def test_what_is_no_target_is_one_line(asked, words):
    with pytest.raises(UserError) as said:
        check(["predicted", asked], ANIMALS)
    assert words in str(said.value) and str(said.value).startswith("explain.targets: ") and "\n" not in str(said.value)


# -- selection ---------------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    """Four images: one right, one wrong, one without a label, one wrong and more confident."""
    ids = ["a", "b", "c", "d"]
    about = {"split": ["train", "test", None, "test"], "meta.shape": ["round", "flat", None, "flat"]}
    about |= {"meta.two words": [1, 2, 3, 4], "meta.prob": [9, 9, 9, 9]}
    about |= {"meta.blurred": [True, False, None, False], "meta.age": [None, 2, 3, 4]}
    about |= {"meta.day": [None, 0.5, 1.5, None], "meta.image_id": [1, 2, 3, 4]}
    images = pa.table({"image_id": ids[::-1], "uri": ["u"] * 4} | {k: v[::-1] for k, v in about.items()})
    for name in ("width", "height"):
        images = images.append_column(name, pa.array([40, 30, 20, 10]))
    predictions = pa.table(
        {
            "image_id": ids,
            "label": pa.array([0, 1, None, 2], pa.int32()),
            "pred": pa.array([0, 2, 1, 1], pa.int32()),
            "prob": pa.array([0.9, 0.8, 0.7, 0.95], pa.float32()),
            "correct": [True, False, None, False],
            "top_classes": [[0, 1], [2, 1], [1, 0], [1, 0]],
            "top_probs": [[0.9, 0.05], [0.8, 0.1], [0.7, 0.2], [0.95, 0.01]],
            "label_prob": pa.array([0.9, 0.1, None, 0.01], pa.float32()),
        }
    )
    return frame(images, predictions, ["cat", "horse", "dog"])


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("all", "abcd"),
        ("errors", "bd"),
        ("correct", "a"),
        ("not correct", "bd"),
        ("~correct", "bd"),
        ("correct == False and prob > 0.9", "d"),
        ('label == "horse" and not correct', "b"),
        ("label != label", "c"),
        ("label.isna()", "c"),
        ("pred == label", "a"),
        ('second == "horse"', "ab"),
        ("margin < 0.75", "bc"),
        ("label_prob < 0.05", "d"),
        ('split == "test"', "bd"),
        ('shape == "round" or width > 30', "ad"),
        ('shape.str.contains("la")', "bd"),
        ("`two words` >= 3", "cd"),
        ("prob > 1", ""),
        ('label in ["cat", "dog"]', "ad"),
        ('label.isin(["cat", "dog"])', "ad"),
        ('label.str[0] == "h"', "b"),
        ("not blurred", "bd"),
        ("blurred or age == 3", "ac"),
        ("age != 3", "bd"),
        ("not age == 3 and day < 1", "b"),
        ("label_prob != 0.5", "abd"),
        ("prob > 0.75\nand prob < 0.85\n", "b"),
        ('uri == "a@b" or uri == "u"', "abcd"),
        ("`meta.prob` > 8 and prob > 0.8", "ad"),
    ],
)
def test_queries(known, query, chosen):
    assert "".join(known["image_id"][select(query, known)]) == chosen


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('labl == "horse"', "unknown column 'labl'; did you mean label"),
        ("`two word` > 1", "did you mean two words"),
        ("index == 1", "unknown column 'index'"),
        ("_ == 1", "cannot be read"),
        ("`two words`(1)", "cannot be read"),
        ("errors and prob > 0.5", "unknown column 'errors'"),
        ("prob", "says neither yes nor no"),
        ("label", "says neither yes nor no"),
        ("1", "says neither yes nor no"),
        ("True", "says neither yes nor no"),
        ("prob +", "cannot be read (invalid syntax)"),
        ("prob = 0.5", "write == to compare"),
        ('prob > "a"', "cannot be read"),
        ("not prob", "cannot be read"),
        ("shape.str.contains('(')", "cannot be read"),
        (" ", "is empty"),
        # What pandas would answer by looking at other images: another answer for every part.
        ("pred in label", "an image is looked at by itself"),
        ("pred not in `two words`", "an image is looked at by itself"),
        ("label.isin(pred)", "an image is looked at by itself"),
        ("prob > prob[0]", "an image is looked at by itself"),
    ],
)
def test_a_query_that_cannot_be_is_one_line(known, query, words):
    with pytest.raises(UserError) as said:
        select(query, known)
    assert words in str(said.value) and "\n" not in str(said.value)
    assert str(said.value).startswith("explain.images: ")


@pytest.mark.parametrize(
    "query",
    [
        "@select('all', 1)",
        "prob > @known",
        "label.__class__ == 1",
        "__import__('os').remove('{file}')",
        "label.to_csv('{file}')",
        "width.to_pickle('{file}')",
        "label.str.__class__",
        "prob > 0; width.to_pickle('{file}')",
        "open('{file}', 'w')",
        "exec('1')",
        "(lambda: 1)()",
        "[x for x in prob]",
        'label == """a"b""".to_csv("{file}") or """"',
        'label == "`" or width.to_pickle("{file}") or label == "`"',
        "prob.sum() > 1",
        "prob = 3",
    ],
)
def test_a_query_runs_nothing(known, query, tmp_path):
    before = known.copy()
    with pytest.raises(UserError):
        select(query.replace("{file}", str(tmp_path / "file")), known)
    assert not list(tmp_path.iterdir()) and known.equals(before)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("all", []),
        ("errors", []),
        ("`two words` > 1 and shape.isna()", []),
        ("prob > 0.5 and\nage > 1 or prob < 0.1", ["prob"]),
        ('`image_id` != "prob" and prob > 0.5', ["prob", "image_id"]),
        ("`meta.prob` > 0.5", []),
    ],
)
def test_what_the_run_and_the_source_call_the_same(known, query, names):
    select(query, known)
    assert hidden(query, known) == names


def test_the_worst_come_first(known):
    assert "".join(known["image_id"].to_numpy()[worst_first(known)]) == "dbac"


# -- the stage -----------------------------------------------------------------

COUNT = 11


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("images")
    rng, found = np.random.default_rng(5), []
    for k in range(COUNT):
        path = folder / f"{k}.png"
        Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8)).resize((30, 24)).save(path)
        found.append((hashlib.sha256(path.name.encode()).hexdigest()[:16], str(path)))
    return sorted(found)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ModelSpec:
    path = small.save(small.build(small.nested), tmp_path_factory.mktemp("model"))
    return ModelSpec(path=path, classes=["cat", "horse", "dog"])


@pytest.fixture(scope="module")
def extracted(photographs, model):
    """A run folder after extract, its images in parts of a given size."""
    made: dict[int, MemoryInputs] = {}

    def build(per_part: int = COUNT) -> MemoryInputs:
        if per_part not in made:
            parts, schema = [], tables.images()
            for start in range(0, COUNT, per_part):
                ids, uris = zip(*photographs[start : start + per_part], strict=True)
                n = len(ids)
                label = [k % 3 if k % 4 else None for k in range(start, start + n)]
                columns = [ids, uris, label, [None] * n, [""] * n, [30] * n, [24] * n]
                parts.append(pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema))
            inputs = MemoryInputs({"images": parts})
            images = ImagesSpec(path="unused")
            inputs.run(extract.STAGE, extract.Params(model=model, images=images, positions_per_image=1, batch=4))
            made[per_part] = inputs
        found = made[per_part]
        return MemoryInputs(found.tables, found.states)

    return build


@pytest.fixture
def params(model):
    def build(**changes) -> Params:
        given = {"model": model, "images": ImagesSpec(path="unused"), "select": "all", "method": GradCam()}
        return Params(**{**given, "targets": ["predicted", "label"], "batch": 4, **changes})

    return build


TOY = {"height": 2, "width": 3, "place": Place.even((2, 3), (16, 16)).row()}
"""What the toys are configured to."""


@pytest.fixture
def toy(monkeypatch):
    """Puts a method that is plain arithmetic in the place of one; the settings it was built for."""
    monkeypatch.setattr(methods, "EXPLAINERS", Cache(8))

    def put(name: str, values=lambda pixels, target: pixels[:2, :3, 0] + target, gap=None, background=0):
        settings = []

        def build(setting):
            settings.append(setting)

            def apply(pixels, targets, ids):
                assert len(pixels) == len(targets) == len(ids) <= setting.batch
                assert targets.shape == (len(pixels), setting.targets) and targets.dtype == np.int32
                each = [[values(p.astype("float32"), t) for t in ts] for p, ts in zip(pixels, targets, strict=True)]
                scores = targets.astype("float32") / 2
                return Maps(np.array(each, "float32"), scores, None if gap is None else scores + gap)

            return apply

        made = {"build": build, "configure": lambda *a: TOY, "background": lambda options: background}
        monkeypatch.setitem(METHODS, name, replace(METHODS[name], source="nobody", **made))
        return settings

    return put


def test_one_row_for_each_image_and_class_sorted_by_both(extracted, params):
    inputs = extracted(4)
    found = inputs.run(STAGE, params(), "grad_cam")
    assert list(found) == list(STAGE.writes(params())) == ["maps/grad_cam", "rejects/explain-grad_cam"]
    table = found["maps/grad_cam"]
    assert table.schema == tables.maps()
    rows = table.to_pylist()
    keys = [(r["image_id"], r["target"]) for r in rows]
    assert keys == sorted(set(keys))
    predictions = {r["image_id"]: r for r in inputs.table("predictions").to_pylist()}
    assert {i for i, _ in keys} == set(predictions)
    layer = inputs.state()["settled"]["layer"]
    for row in rows:
        about = predictions[row["image_id"]]
        kinds = {"predicted": about["pred"], "label": about["label"]}
        assert row["target_kinds"] == [kind for kind, index in kinds.items() if index == row["target"]] != []
        assert (
            row["layer"] == layer
            and layer.startswith("backbone")
            and len(row["map"]) == row["height"] * row["width"] > 1
        )
        np.testing.assert_allclose(row["score"], about["logits"][row["target"]], rtol=1e-5)
        assert row["gap"] is None and row["flag"] == (None if any(row["map"]) else ZERO)
    counts = [sum(i == name for i, _ in keys) for name in predictions]
    assert set(counts) == {1, 2}, "images of one target and of two are both needed here"
    assert len(rows) == sum(len({p["pred"], p["label"]} - {None}) for p in predictions.values())


@pytest.mark.parametrize(
    "method", quick.first([GradCam(), Occlusion(patch=8, stride=8, mode="full")]), ids=lambda m: m.name
)
def test_the_same_table_whatever_the_parts_and_the_batch(extracted, params, method):
    whole = extracted().run(STAGE, params(method=method), method.variant)
    for per_part, batch in ((3, 4), (COUNT, 7), (2, 1)):
        other = extracted(per_part).run(STAGE, params(method=method, batch=batch), method.variant)
        assert {k: t.combine_chunks() for k, t in other.items()} == {k: t.combine_chunks() for k, t in whole.items()}


def test_two_variants_of_one_method(extracted, params):
    inputs = extracted()
    method = Occlusion(**{"patch": 8, "stride": 4, "mode": "full", "as": "fine"})
    table, _ = inputs.run(STAGE, params(method=method, targets=["second"]), "fine").values()
    assert "maps/fine" in inputs.tables and set(table["height"].to_pylist()) == {3}
    assert table["target_kinds"].to_pylist() == [["second"]] * COUNT and set(table["layer"].to_pylist()) == {None}


def test_maps_that_are_zero_or_not_finite_are_kept_and_flagged(extracted, params, toy):
    def values(pixels, target):
        return {0: np.zeros((2, 3)), 1: np.full((2, 3), np.nan), 2: np.eye(2, 3)}[int(target)]

    toy("saliency", values)
    table, _ = extracted(4).run(STAGE, params(method=Saliency(), targets=["top:3"]), "saliency").values()
    assert table.num_rows == 3 * COUNT
    for row in table.to_pylist():
        assert row["flag"] == [ZERO, NOT_FINITE, None][row["target"]]
        assert len(row["map"]) == 6 and row["score"] == row["target"] / 2
    toy("saliency", lambda pixels, target: np.full((2, 3), np.inf))
    table, _ = extracted().run(STAGE, params(method=Saliency()), "saliency").values()
    assert set(table["flag"].to_pylist()) == {NOT_FINITE}


def test_a_map_of_a_single_window_is_flagged_and_told_once(extracted, params):
    inputs = extracted(4)
    method = Occlusion(patch=16, stride=4, mode="full")
    inputs.tables["predictions"], predictions = [], inputs.tables["predictions"]
    STAGE.check[1](inputs, params(method=method))  # as a run does, before anything else
    inputs.tables["predictions"] = predictions
    table, _ = inputs.run(STAGE, params(method=method), "occlusion").values()
    assert set(table["flag"].to_pylist()) == {"one position"}
    assert [w for w in inputs.warnings if "single" in w] == [
        "occlusion: maps of a single position tell nothing of where, and are not scored; "
        "give a smaller occlusion.patch or stride, or leave them out"
    ]


def test_sizes_that_are_left_open_are_chosen_and_said(extracted, params):
    inputs = extracted()
    table, _ = inputs.run(STAGE, params(method=Occlusion(mode="full"), limit=1), "occlusion").values()
    state = inputs.state()
    assert (state["settled"]["patch"], state["settled"]["stride"]) == ([2, 2], [1, 1])
    assert state["metrics"]["patch"] == [2, 2] and set(table["height"].to_pylist()) == {15}
    assert "occlusion: windows of 2 x 2 pixels, 1 x 1 apart (15 x 15)" in inputs.notes
    inputs.run(STAGE, params(method=Rise(masks=2), limit=1), "rise")
    assert inputs.state()["settled"]["cells"] == 4 and "rise: masks of 4 x 4 cells" in inputs.notes


def test_the_gap_of_a_path_method_is_kept(extracted, params, toy):
    toy("saliency", gap=0.25)
    table, _ = extracted(5).run(STAGE, params(method=Saliency()), "saliency").values()
    assert [r["gap"] for r in table.to_pylist()] == [r["score"] + 0.25 for r in table.to_pylist()]


def test_a_limit_takes_the_most_confident_errors_first(extracted, params, toy):
    toy("saliency")
    inputs = extracted(4)
    wrong = [r for r in inputs.table("predictions").to_pylist() if r["correct"] is False]
    worst = [r["image_id"] for r in sorted(wrong, key=lambda r: (-r["prob"], r["image_id"]))]
    assert len(worst) > 2
    for limit in (1, 2):
        table, _ = inputs.run(STAGE, params(method=Saliency(), limit=limit), "saliency").values()
        assert sorted(set(table["image_id"].to_pylist())) == sorted(worst[:limit])
    table, _ = inputs.run(STAGE, params(method=Saliency(), limit=len(worst) + 1), "saliency").values()
    assert set(table["image_id"].to_pylist()) > set(worst)
    table, _ = inputs.run(STAGE, params(method=Saliency(), limit=99, select="errors"), "saliency").values()
    assert set(table["image_id"].to_pylist()) == set(worst)


def test_the_background_is_drawn_by_the_seed_and_hardly_moves_with_the_data(extracted, params, toy):
    toy("expected_gradients", background=4)

    def drawn(per_part=COUNT, lost=None, **changes):
        inputs = extracted(per_part)
        if lost is not None:
            for name in ("images", "predictions"):
                table = inputs.table(name)
                rest = pa.concat_tables([table.slice(0, lost), table.slice(lost + 1)])
                inputs.tables[name] = [rest]
        inputs.run(STAGE, params(method=ExpectedGradients(), **changes), "expected_gradients")
        return inputs.state()["background"]

    whole = drawn()
    assert whole.shape == (4, 16, 16, 3) and whole.dtype == np.uint8
    for same in (drawn(3), drawn(batch=1), drawn(select="errors"), drawn(limit=1)):
        np.testing.assert_array_equal(same, whole)
    assert not np.array_equal(drawn(seed=1), whole)
    for lost in range(COUNT):
        found = {image.tobytes() for image in drawn(lost=lost)}
        assert len(found - {image.tobytes() for image in whole}) <= 1


def test_a_method_is_built_once_for_all_parts_and_as_configured(extracted, params, toy):
    settings = toy("expected_gradients", background=2)
    inputs = extracted(3)
    inputs.run(STAGE, params(method=ExpectedGradients(), seed=5), "expected_gradients")
    assert sorted(s.targets for s in settings) == [1, 2]
    for setting in settings:
        assert (setting.seed, setting.batch) == (5, 4) and setting.configured == TOY
        np.testing.assert_array_equal(setting.background, inputs.state()["background"])


def test_an_image_that_is_gone_is_told_and_the_others_are_explained(extracted, params, toy, tmp_path):
    toy("saliency")
    inputs = extracted(4)
    table = inputs.tables["images"][1]
    uris = table["uri"].to_pylist()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    changed = [uris[0], str(tmp_path / "gone.png"), str(broken), *uris[3:]]
    parts = list(inputs.tables["images"])
    parts[1] = table.set_column(table.column_names.index("uri"), "uri", pa.array(changed))
    inputs.tables["images"] = parts
    found, rejects = inputs.run(STAGE, params(method=Saliency()), "saliency").values()
    lost = set(table["image_id"].to_pylist()[1:3])
    assert set(found["image_id"].to_pylist()) == set(inputs.table("predictions")["image_id"].to_pylist()) - lost
    said = sorted(inputs.warnings)
    assert len(said) == 2 and "broken.png cannot be explained: not an image" in said[0]
    assert "gone.png cannot be explained: no such file" in said[1]
    assert rejects.schema == tables.rejects() and set(rejects["image_id"].to_pylist()) == lost
    reasons = {r["uri"]: (r["stage"], r["reason"]) for r in rejects.to_pylist()}
    assert reasons[str(tmp_path / "gone.png")] == ("explain", "no such file") and str(broken) in reasons
    assert [part.num_rows for part in inputs.tables["rejects/explain-saliency"]] == [0, 2, 0]


def test_a_column_that_the_run_hides_is_told_where_a_query_names_it(extracted, params, toy):
    toy("saliency")
    inputs = extracted()
    (table,) = inputs.tables["images"]
    inputs.tables["images"] = [table.append_column("meta.prob", pa.array([2.0] * COUNT))]
    for query, said in {"prob >= 0": 1, "`meta.prob` > 1": 0, "all": 0}.items():
        inputs.warnings = []
        explain.fit(inputs, params(method=Saliency(), select=query))
        assert len(inputs.warnings) == said
        assert (
            not said
            or "prob is the run's own; the column prob of the source is called `meta.prob`" in (inputs.warnings[0])
        )


def test_images_without_the_label_asked_for_are_counted(extracted, params, toy):
    toy("saliency")
    inputs = extracted()
    explain.fit(inputs, params(method=Saliency(), targets=["label"]))
    bare = inputs.table("predictions")["label"].null_count
    assert inputs.notes == [f"explain.targets: label: {bare} of {COUNT} chosen images have none, and get no map"]


def test_where_all_images_are_gone_there_are_no_maps_and_nothing_to_configure_with(extracted, params, toy, tmp_path):
    toy("saliency")
    inputs = extracted()
    (table,) = inputs.tables["images"]
    (tmp_path / "other.png").touch()  # a folder that is empty is one that was unmounted
    gone = pa.array([str(tmp_path / "away.png")] * COUNT)
    inputs.tables["images"] = [table.set_column(table.column_names.index("uri"), "uri", gone)]
    found, _ = inputs.run(STAGE, params(method=Saliency()), "saliency").values()
    assert found.num_rows == 0 and found.schema == tables.maps() and len(inputs.warnings) == COUNT
    toy("expected_gradients", background=2)
    with pytest.raises(UserError, match="none of the chosen images can be read again"):
        explain.fit(inputs, params(method=ExpectedGradients()))


def test_a_part_of_which_nothing_is_chosen_is_an_empty_table(extracted, params, toy, photographs):
    toy("saliency")
    inputs = extracted(4)
    query = f'image_id == "{photographs[0][0]}"'
    table, _ = inputs.run(STAGE, params(method=Saliency(), select=query), "saliency").values()
    assert set(table["image_id"].to_pylist()) == {photographs[0][0]}
    assert [part.num_rows > 0 for part in inputs.tables["maps/saliency"]] == [True, False, False]
    assert all(part.schema == tables.maps() for part in inputs.tables["maps/saliency"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"select": "prob > 2"}, "chooses none of 11 images; explain.images: all explains every one"),
        ({"select": 'label == "none"'}, "chooses none"),
    ],
)
def test_nothing_to_explain_is_one_line(extracted, params, changes, words):
    with pytest.raises(UserError, match=words):
        explain.fit(extracted(), params(**changes))


def test_errors_and_labels_of_images_without_labels(extracted, params):
    inputs = extracted()
    for name in ("images", "predictions"):
        (table,) = inputs.tables[name]
        for column in {"label", "correct", "label_prob"} & set(table.column_names):
            at = table.column_names.index(column)
            nothing = pa.nulls(COUNT, table.schema.field(column).type)
            table = table.set_column(at, column, nothing)
        inputs.tables[name] = [table]
    with pytest.raises(UserError, match="errors chooses none of 11 images: none has a label; give labels, or"):
        explain.fit(inputs, params(select="errors"))
    with pytest.raises(UserError, match="explain.targets: label, but no chosen image has one"):
        explain.fit(inputs, params(targets=["label"]))
    table, _ = inputs.run(STAGE, params(), "grad_cam").values()
    assert table["target_kinds"].to_pylist() == [["predicted"]] * COUNT
    inputs.tables["predictions"] = []  # and before any image is read
    with pytest.raises(
        UserError, match="images: errors, but no image has a label; give labels, or explain.images: all"
    ):
        STAGE.check[1](inputs, params(select="errors"))
    with pytest.raises(UserError, match="targets: label, but no image has a label; give labels, or another target"):
        STAGE.check[1](inputs, params(targets=["label"]))
    STAGE.check[1](inputs, params())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"targets": ["hors"]}, "did you mean horse"),
        ({"targets": ["rank:4"]}, "choose 1 to 3"),
        ({"select": "probb > 0.5"}, "did you mean prob"),
        ({"select": "prob > 0.5 and"}, "cannot be read"),
        ({"method": GradCam(layer="backbon/conv_b")}, "did you mean backbone/conv_b"),
        ({"method": Occlusion(patch=64)}, "a window of 64 x 64 pixels is larger"),
    ],
)
def test_what_only_the_model_can_tell_is_said_before_any_image_is_read(extracted, params, changes, words):
    stage, look = STAGE.check
    assert stage == "extract"
    inputs = extracted()
    inputs.tables["predictions"] = []
    look(inputs, params())
    with pytest.raises(UserError, match=words):
        look(inputs, params(**changes))


def test_the_check_reads_no_image_and_a_finished_extract_leaves_it_to_the_fit(extracted, params):
    inputs, look = extracted(), STAGE.check[1]
    look(inputs, params(method=GradCam(layer="backbon/conv_b")))
    inputs.tables["predictions"] = []
    inputs.tables["images"] = [pa.table(inputs.tables["images"][0]).set_column(1, "uri", pa.array(["gone"] * COUNT))]
    look(inputs, params(method=Occlusion(patch=4, stride=4, mode="incremental")))
    look(inputs, params(method=ExpectedGradients()))
