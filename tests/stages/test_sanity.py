"""Rank correlation, agreement, means, and whether maps change when the model forgets."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from activation_atlas.stages import tables
from activation_atlas.stages.correlation import correlation, ranks, standard
from activation_atlas.stages.sanity import COMPARED, STAGE, Params
from activation_atlas.stages.sanity.randomization import stored
from activation_atlas.stages.sanity.ranks import mean, share
from activation_atlas.stages.sanity.smooth import copies
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import GradientXInput
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.attribution.pixels import random_map
from activation_atlas.stages.vision.place import Place
from tests.memory import CountedInputs, MemoryInputs
from tests.small import CLASSES, draw
from tests.stages.vision import small_models

SIZE = small_models.SIZE


# -- ranks ---------------------------------------------------------------------------


def test_ranks_by_hand():
    assert ranks(np.array([[3.0, 1.0], [3.0, 7.0]])).tolist() == [1.5, 0, 1.5, 3]


@pytest.mark.parametrize("levels", [3, 10, 10_000])
def test_correlation_is_scipys_with_and_without_ties(levels):
    rng = np.random.default_rng(levels)
    one = rng.integers(0, levels, (7, 9)).astype("float32")
    other = one + rng.integers(0, levels, (7, 9))
    expected = spearmanr(one.reshape(-1), other.reshape(-1)).statistic
    assert correlation(standard(one), standard(other)) == pytest.approx(expected, abs=1e-6)
    assert correlation(standard(one), standard(-one)) == pytest.approx(-1, abs=1e-6)


def test_a_map_of_one_value_correlates_with_nothing():
    assert standard(np.zeros((3, 3))) is None
    assert correlation(None, standard(np.arange(4))) is None


def test_means_and_intervals():
    values = list(np.random.default_rng(0).normal(2, 1, 400))
    found = mean([*values, None], 0)
    assert found.n == 400 and found.mean == pytest.approx(np.mean(values))
    half = 1.96 * np.std(values) / 20
    assert found.high - found.mean == pytest.approx(half, rel=0.15)
    assert found.mean - found.low == pytest.approx(half, rel=0.15)
    assert mean([1.0, None], 0).low is None and mean([None], 0).mean is None
    assert mean([2.0, 2.0], 0).low == 2.0


def test_what_holds_of_every_image_seen_need_not_hold_of_all():
    found = share([1.0] * 10)
    assert (found.mean, found.high, found.n) == (1.0, 1.0, 10) and found.low == pytest.approx(0.7225, abs=1e-4)
    assert share([]).mean is None


# -- the sample --------------------------------------------------------------------------


def of_many(parts: int, images: int, side: int) -> list[pa.Table]:
    """Maps of ``images`` images in each part, two targets each, all different."""
    rng = np.random.default_rng(0)
    return [
        of_maps(
            (f"{k:02x}{i:02x}", target, rng.normal(size=(side, side)).astype("float32"), None)
            for i in range(images)
            for target in (1, 2)
        )
        for k in range(parts)
    ]


def most_of_one(part: pa.Table) -> int:
    """Bytes that reading one part takes."""
    inputs = CountedInputs({"maps/a": [part]})
    inputs.part("maps/a", 0)
    return inputs.pool.max_memory()


def test_of_the_maps_that_are_made_again_only_the_samples_are_held():
    parts = of_many(8, 6, 32)
    inputs = CountedInputs({"maps/a": parts})
    chosen = ["0502", "0101", "0105", "0600"]
    found, flagged = stored(inputs, "maps/a", chosen)
    assert flagged == 0
    assert list(found) == chosen and [target for target, _ in found.values()] == [2] * 4
    assert np.array_equal(found["0502"][1].reshape(-1), parts[5]["map"][5].values.to_numpy())
    assert inputs.pool.bytes_allocated() == 0, "nothing of a part is held with a map of it"
    assert inputs.pool.max_memory() < 1.2 * most_of_one(parts[0]), "one part at a time"
    assert {part for _, part, columns in inputs.read if "map" in columns} == {1, 5, 6}, "other parts are not read"


def test_of_the_maps_that_are_compared_one_part_is_held():
    parts = of_many(6, 6, 32)
    methods = [GradCam(**{"as": v}) for v in "abc"]
    states = {("extract", ""): {"input_size": [32, 32]}, ("evaluate", "a"): {"chosen": ["0102", "0405", "0400"]}}
    inputs = CountedInputs({f"maps/{v}": parts for v in "abc"}, states)
    found = agreement_of(inputs, methods=methods, against={})
    assert [(r["n"], round(r["mean"], 5)) for r in found.to_pylist()] == [(3, 1.0)] * 3
    assert inputs.pool.max_memory() < 1.2 * most_of_one(parts[0])
    assert {part for _, part, columns in inputs.read if "map" in (columns or ())} == {1, 4}


# -- over all methods ------------------------------------------------------------------


def of_maps(rows) -> pa.Table:
    """(image, target, map, flag) rows of a table of maps."""
    about = {"target_kinds": ["predicted"], "layer": None, "score": 0.0, "gap": None}
    made = [
        {
            "image_id": i,
            "target": t,
            "height": v.shape[0],
            "width": v.shape[1],
            "map": v.reshape(-1).tolist(),
            "flag": f,
        }
        | about
        | Place.even(v.shape, (4, 4)).row()
        for i, t, v, f in rows
    ]
    return pa.Table.from_pylist(made, schema=tables.maps())


def of_figures(rows) -> pa.Table:
    empty = dict.fromkeys(tables.faithfulness().names)
    return pa.Table.from_pylist([empty | row for row in rows], schema=tables.faithfulness())


def overall(**changes) -> Params:
    methods = [GradCam(**{"as": "a"}), GradCam(**{"as": "b"}), Occlusion(patch=2, stride=2, **{"as": "o"})]
    against = {m.variant: "random" for m in methods}
    common = {"model": {"path": "m"}, "images": {"path": "x"}, "methods": methods, "against": against}
    return Params(**{**common, "agreement": True, **changes})


def agreement_of(inputs, **changes) -> pa.Table:
    """The two steps, one after the other."""
    inputs.run(STAGE, overall(compared=True, **changes), COMPARED)
    return inputs.run(STAGE, overall(**changes))["agreement"]


@pytest.fixture
def everything():
    rng = np.random.default_rng(0)
    found, maps = {}, {v: [] for v in "abo"}
    for k in range(4):
        a, o = rng.normal(size=(4, 4)).astype("float32"), rng.normal(size=(2, 2)).astype("float32")
        image = f"{k:02x}"
        maps["a"].append((image, 1, a, None))
        maps["b"].append((image, 1, -a if k == 0 else a, "zero" if k == 3 else None))
        maps["o"].append((image, 1, o, None))
    for v, rows in maps.items():
        found[f"maps/{v}"] = [of_maps(rows[:2]), of_maps(rows[2:])]
    for v, drop in (("a", 0.1), ("b", 0.5), ("o", 0.3), ("random", 0.3)):
        both = [{"image_id": f"{k:02x}", "target": 1, "target_kinds": ["predicted", "label"]} for k in range(4)]
        figures = [row | {"deletion": drop + 0.1 * k, "pointing": k == 1} for k, row in enumerate(both)]
        found[f"faithfulness/{v}"] = [of_figures(figures[:2]), of_figures(figures[2:])]
    states = {("extract", ""): {"input_size": [4, 4]}, ("evaluate", "a"): {"chosen": ["00", "01", "02", "03"]}}
    return MemoryInputs(found, states), maps


def test_agreement_by_hand(everything):
    inputs, maps = everything
    found = agreement_of(inputs)
    assert found.schema == tables.agreement()
    rows = {(r["variant"], r["other"]): r for r in found.to_pylist()}
    assert list(rows) == [("a", "b"), ("a", "o"), ("a", "random"), ("b", "o"), ("b", "random"), ("o", "random")]
    # What two maps score that have nothing in common, on the pixels of the input.
    chance = [spearmanr(a[2].reshape(-1), random_map(a[0], 0, (4, 4), True).reshape(-1)).statistic for a in maps["a"]]
    assert rows["a", "random"]["mean"] == pytest.approx(np.mean(chance), abs=1e-6) and rows["a", "random"]["n"] == 4
    assert [rows[v, "random"]["left_out"] for v in "abo"] == [0, 1, 0]
    assert rows["a", "b"]["mean"] == pytest.approx((-1 + 1 + 1) / 3, abs=1e-6) and rows["a", "b"]["n"] == 3
    assert [r["left_out"] for pair, r in rows.items() if "random" not in pair] == [1, 0, 1], "a map of b says nothing"
    # Windows of 2 x 2, side by side: each pixel has its window's value.
    each = [
        spearmanr(a[2].reshape(-1), np.kron(o[2], np.ones((2, 2))).reshape(-1)).statistic
        for a, o in zip(maps["a"], maps["o"], strict=True)
    ]
    assert rows["a", "o"]["mean"] == pytest.approx(np.mean(each), abs=1e-6) and rows["a", "o"]["n"] == 4


def test_agreement_keeps_to_the_chosen_images(everything):
    inputs, _ = everything
    inputs.states["evaluate", "a"]["chosen"] = ["01", "02"]
    rows = agreement_of(inputs).to_pylist()
    assert rows[0]["mean"] == pytest.approx(1, abs=1e-6) and {r["n"] for r in rows} == {2}


def test_means_stand_beside_the_random_map(everything):
    inputs, _ = everything
    found = inputs.run(STAGE, overall(agreement=False))
    assert set(found) == {"trust"} and found["trust"].schema == tables.trust()
    rows = {(r["variant"], r["kind"], r["measure"]): r for r in found["trust"].to_pylist()}
    assert rows["a", "predicted", "deletion"]["mean"] == pytest.approx(0.25)
    better = [rows[v, "label", "deletion"]["better"] for v in "abo"]
    assert better == [1.0, 0.0, 0.0]  # a draw is no win
    assert rows["a", "label", "pointing"]["mean"] == 0.25 and rows["a", "label", "pointing"]["better"] is None
    assert rows["random", "label", "deletion"]["against"] is None
    said = inputs.states["sanity", ""]["metrics"]["a"]["predicted"]["deletion"]
    assert said == {"mean": 0.25, "random": 0.45, "better than random": 1.0}


def test_maps_that_say_nothing_are_in_no_mean_and_counted(everything):
    inputs, _ = everything
    first, rest = (part.to_pylist() for part in inputs.tables["faithfulness/a"])
    first[0] |= {"deletion": None, "pointing": None, "flag": "constant"}
    first[1] |= {"flag": "the mask cannot be read"}  # its deletion counts
    inputs.tables["faithfulness/a"] = [of_figures(first), of_figures(rest)]
    for part in (0, 1):  # all of b
        silent = [row | {"deletion": None, "flag": "zero"} for row in inputs.part("faithfulness/b", part).to_pylist()]
        inputs.tables["faithfulness/b"][part] = of_figures(silent)
    rows = inputs.run(STAGE, overall(agreement=False))["trust"].to_pylist()
    rows = {(r["variant"], r["measure"]): r for r in rows if r["kind"] == "label"}
    a, b, random = (rows[v, "deletion"] for v in ("a", "b", "random"))
    assert (a["n"], a["left_out"]) == (3, 1) and a["mean"] == pytest.approx((0.2 + 0.3 + 0.4) / 3)
    assert (b["n"], b["left_out"], b["mean"], b["better"]) == (0, 4, None, None)
    assert (random["n"], random["left_out"]) == (4, 0)
    # The gain is over the same images, image by image: 0.2 in each of three.
    gain = rows["a", "gain"]
    assert (gain["n"], gain["left_out"], gain["better"], gain["against"]) == (3, 1, 1.0, "random")
    assert [gain[k] for k in ("mean", "low", "high")] == pytest.approx([0.2] * 3) and ("b", "gain") not in rows
    assert inputs.states["sanity", ""]["metrics"]["a"]["label"]["deletion"]["left out"] == 1


def test_the_gain_adds_up_what_was_asked(everything):
    inputs, _ = everything
    for variant, more in (("o", 0.3), ("random", 0.1)):
        both = [
            of_figures([row | {"insertion": more + 0.01 * k} for k, row in enumerate(part.to_pylist())])
            for part in inputs.tables[f"faithfulness/{variant}"]
        ]
        inputs.tables[f"faithfulness/{variant}"] = both
    rows = inputs.run(STAGE, overall(agreement=False))["trust"].to_pylist()
    (gain,) = [r for r in rows if (r["variant"], r["kind"], r["measure"]) == ("o", "label", "gain")]
    # Deletion as the random map's, insertion 0.2 above it.
    assert gain["mean"] == pytest.approx(0.2) and gain["n"] == 4 and gain["better"] == 1


def test_means_of_what_is_filled_in(everything):
    inputs, _ = everything
    for variant, left in (("a", 0.2), ("b", 0.6), ("o", 0.4), ("random", 0.4)):
        about = {"target": 1, "target_kinds": ["label"], "morf_first": True, "lerf_first": True, "lerf": None}
        rows = [
            about | {"image_id": f"{k:02x}", "percent": p, "morf": left + 0.1 * k + (0.05 if p == 10 else -0.05)}
            for k in range(3)
            for p in (10, 20)
        ]
        inputs.tables[f"road/{variant}"] = [pa.Table.from_pylist(rows, schema=tables.road())]
    made = inputs.run(STAGE, overall(agreement=False, road=True))["trust"].to_pylist()
    rows = {(r["variant"], r["measure"]): r for r in made if r["kind"] == "label"}
    found = rows["a", "road_morf"]
    assert found["mean"] == pytest.approx(0.3) and (found["n"], found["better"], found["against"]) == (3, 1, "random")
    assert found["low"] < found["mean"] < found["high"] and rows["b", "road_morf"]["better"] == 0
    assert not any(measure == "road_lerf" for _, measure in rows)
    curves = inputs.tables["road_curves"][0].to_pylist()
    told = {(r["variant"], r["kind"], r["percent"]) for r in curves}
    assert told == {(v, "label", p) for v in ("a", "b", "o", "random") for p in (10, 20)}
    assert rows["o", "gain"]["mean"] == pytest.approx(0), "the gain is that of deletion and insertion"


# -- a model that forgets ----------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network whose map by gradient x input hangs on its weights, and drawings to explain."""
    import keras
    from keras import layers

    image = x = keras.Input((SIZE, SIZE, 3))
    for k in range(3):
        x = layers.Conv2D(8, 3, padding="same", activation="tanh", name=f"conv_{k}")(x)
    x = layers.Dense(len(CLASSES), name="top")(layers.Flatten()(x))
    built = small_models.build(lambda: keras.Model(image, x))
    folder = tmp_path_factory.mktemp("forgetful")
    for k in range(6):
        draw(CLASSES[k % 3], k, SIZE).save(folder / f"{k}.png")
    return small_models.save(built, folder), folder


def forgetting(network, method, maps=None, unconfigured=None, smooth=None, given=None):
    """The stage over maps that the method itself made, or over ``maps``."""
    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.vision.attribution.methods import METHODS, explainer
    from activation_atlas.stages.vision.images import decode
    from activation_atlas.stages.vision.model import open_model

    path, folder = network
    ids, configured = [f"{k:02x}" for k in range(6)], {"height": SIZE, "width": SIZE}
    uris = [str(folder / f"{k}.png") for k in range(6)]
    spec = ModelSpec(path=path, range=(-1, 1))
    pixels = np.stack([decode((folder / f"{k}.png").read_bytes()) for k in range(6)])
    if maps is None:
        configured = METHODS[method.name].configure(open_model(spec), method, lambda count: pixels[:count])
        maps = explainer(spec, method, configured, 6, 1)(pixels, np.ones((6, 1), np.int32), ids).values[:, 0]
    inputs = MemoryInputs(
        {
            "images": [pa.table({"image_id": ids, "uri": uris})],
            f"maps/{method.variant}": [of_maps([(i, 1, m, None) for i, m in zip(ids, maps, strict=True)])],
        },
        {
            ("evaluate", method.variant): {"chosen": ids},
            ("explain", method.variant): {"settled": configured},
            ("extract", ""): {"input_size": [SIZE, SIZE]},
        },
    )
    if unconfigured is not None:
        unconfigured.setitem(METHODS, method.name, replace(METHODS[method.name], configure=None))
    again = {"images": 5, "depths": 4, "smooth": smooth}
    if given is not None:
        given.append(inputs)
    return randomization_of(inputs, method, {"model": spec, "randomization": again, "batch": 4})


def randomization_of(inputs, method, changes) -> pa.Table:
    """The two steps, one after the other."""
    changes = {"images": {"path": "x"}, **changes}
    inputs.run(STAGE, Params(method=method, **changes), method.variant)
    inputs.tables |= {f"faithfulness/{v}": [of_figures([])] for v in (method.variant, "random")}
    whole = Params(methods=[method], against={method.variant: "random"}, **changes)
    return inputs.run(STAGE, whole)[f"randomization/{method.variant}"]


def test_a_gradient_forgets_with_the_model(network):
    given = []
    found = forgetting(network, GradientXInput(), given=given)
    assert found.schema == tables.randomization()
    rows = found.to_pylist()
    assert [(r["depth"], r["layers"], r["layer"]) for r in rows] == [
        (1, 4, "top"), (2, 4, "conv_2"), (3, 4, "conv_1"), (4, 4, "conv_0")
    ]  # fmt: skip
    assert all(r["images"] == r["n"] == 5 for r in rows)
    assert abs(rows[-1]["mean"]) < 0.15 and rows[-1]["low"] < rows[-1]["mean"] < rows[-1]["high"]
    assert rows[-1]["mean_abs"] is not None
    assert all(r["copies"] is None and r["mean_smooth"] is None and r["n_smooth"] == 0 for r in rows)
    (row,) = given[0].table("randomization/random").to_pylist()
    assert (row["depth"], row["layers"], row["layer"], row["n"]) == (4, 4, "conv_0", 5) and abs(row["mean"]) < 0.3
    assert given[0].states["sanity", ""]["metrics"]["randomization"]["random"]["4 of 4 layers"] is not None


@pytest.mark.slow
def test_the_smooth_form_is_of_maps_averaged_over_noisy_copies(network):
    """One image, one depth, as the paper is written: the mean map of each model, and their rank correlation."""
    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.vision.attribution.methods import METHODS, Setting
    from activation_atlas.stages.vision.images import decode
    from activation_atlas.stages.vision.model import open_model
    from activation_atlas.stages.vision.model.randomised import at_depth

    method, given = GradientXInput(), []
    rows = forgetting(network, method, smooth=4, given=given).to_pylist()
    assert all(r["copies"] == 4 and r["n_smooth"] == 5 and r["mean_smooth_abs"] is not None for r in rows)
    assert rows[-1]["low_smooth"] < rows[-1]["mean_smooth"] < rows[-1]["high_smooth"]
    spec, pixels = ModelSpec(path=network[0], range=(-1, 1)), decode((network[1] / "2.png").read_bytes())
    deep = at_depth(spec, 4, 1, 0)[-1]
    means = []
    for model in (open_model(spec), deep):
        setting = Setting(model, method, METHODS[method.name].configure(model, method, None), 1, 1)
        explain = METHODS[method.name].build(setting)
        each = [
            explain(copy[None], np.ones((1, 1), np.int32), ["02"]).values[0, 0] for copy in copies(pixels, "02", 0, 4)
        ]
        means.append(np.mean(each, 0).reshape(-1))
    (found,) = [r for r in given[0].part("shuffled/gradient_x_input", 1).to_pylist() if r["image_id"] == "02"]
    assert found["correlation_smooth"] == pytest.approx(spearmanr(*means).statistic, abs=2e-3)
    assert found["correlation_smooth_abs"] == pytest.approx(spearmanr(*np.abs(means)).statistic, abs=2e-3)
    assert abs(found["correlation_smooth"] - found["correlation"]) > 1e-3, "it is another figure"


def test_shuffled_models_are_asked_where_the_model_was(network, monkeypatch):
    """Layer and place are proved with the true weights; with others the numbers would prove another."""
    rows = forgetting(network, GradCam(layer="conv_1"), unconfigured=monkeypatch).to_pylist()
    assert len(rows) == 4 and rows[0]["n"] > 0


def test_an_edge_detector_does_not(network, monkeypatch):
    """A map that is the image whatever the model: what the check is there to find."""
    import dataclasses

    from activation_atlas.stages.vision.attribution import methods

    def build(setting):
        def show(pixels, targets, ids):
            values = pixels.astype("float32").mean(-1)[:, None]
            return methods.Maps(values, np.zeros((len(pixels), 1), np.float32))

        return show

    blind = dataclasses.replace(methods.METHODS["gradient_x_input"], build=build, signed=False)
    monkeypatch.setitem(methods.METHODS, "gradient_x_input", blind)
    rows = forgetting(network, GradientXInput(**{"as": "blind"}), smooth=2).to_pylist()
    assert [r["mean"] for r in rows] == pytest.approx([1, 1, 1, 1], abs=1e-5)
    assert [r["mean_smooth"] for r in rows] == pytest.approx([1, 1, 1, 1], abs=1e-5), "the same copies for all models"
    assert rows[0]["mean_abs"] is None and rows[0]["n_abs"] == 0


def test_what_is_not_asked_for_leaves_no_trace_in_a_fingerprint():
    again = {"images": 5, "depths": 4}
    plain = overall(randomization=again).model_dump()
    assert plain["randomization"] == again and not {"road", "complexity"} & plain.keys()
    asked = overall(randomization={**again, "smooth": 9}, complexity=True).model_dump()
    assert asked["randomization"]["smooth"] == 9 and asked["complexity"] is True


def test_without_a_map_that_says_anything_nothing_is_compared(network):
    from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion

    path, folder = network
    table = of_maps([("00", 1, np.zeros((2, 2), np.float32), "zero")])
    inputs = MemoryInputs(
        {"images": [pa.table({"image_id": ["00"], "uri": [str(folder / "0.png")]})], "maps/occlusion": [table]},
        {
            ("evaluate", "occlusion"): {"chosen": ["00"]},
            ("explain", "occlusion"): {},
            ("extract", ""): {"input_size": [SIZE, SIZE]},
        },
    )
    again = {"images": 1, "depths": 2}
    method = Occlusion(patch=SIZE // 2, stride=SIZE // 2, mode="incremental")
    asked = {"model": {"path": str(path)}, "randomization": again}
    assert randomization_of(inputs, method, asked).num_rows == 0
    assert "all maps of the sample say nothing" in inputs.notes[0] and not inputs.warnings
