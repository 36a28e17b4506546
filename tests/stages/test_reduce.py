"""Layouts: which rows belong, where they lie, and that nothing else has a say in it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from activation_atlas.stages.keys import positions
from activation_atlas.stages.reduce import REDUCERS, STAGE, Params, ReduceSpec
from activation_atlas.stages.reduce.argument import is_relative, lead
from activation_atlas.stages.reduce.components import fit_components, project, unit
from activation_atlas.stages.reduce.fidelity import fidelity
from activation_atlas.stages.reduce.members import attributed_index, preference, row_hash, sample
from activation_atlas.stages.reduce.neighbours import Index
from activation_atlas.stages.reduce.place import limits, normalise, place
from activation_atlas.stages.stage import Shard, UserError
from tests.stages.rows import blobs, memory, view, with_features


def params(reduce: dict | None = None, seed: int = 0, **options) -> Params:
    return Params(view=view(**options), seed=seed, reduce=ReduceSpec(**(reduce or {})))


def laid_out(inputs, given: Params):
    return inputs.run(STAGE, given, "atlas")["layouts/atlas"]


def places(layout) -> np.ndarray:
    return np.stack([layout["x"].to_numpy(), layout["y"].to_numpy()], 1)


def as_bytes(state: dict) -> dict[str, bytes]:
    return {k: v.tobytes() if isinstance(v, np.ndarray) else repr(v).encode() for k, v in state.items()}


# --- every reducer


COMPILED = pytest.param("umap", marks=pytest.mark.slow)
"""UMAP compiles itself for half a minute in every process."""


@pytest.mark.parametrize("method", [COMPILED if m == "umap" else m for m in REDUCERS])
class TestReducers:
    def test_places_every_row_in_the_square(self, method):
        inputs = memory(blobs(200))
        layout = laid_out(inputs, params({"method": method}))
        assert layout.num_rows == 200
        xy = places(layout)
        assert xy.dtype == np.float32 and (xy >= 0).all() and (xy < 1).all()
        assert np.ptp(xy, axis=0).min() > 0.5
        rows = layout.select(["image_id", "row", "col"]).to_pylist()
        assert rows == sorted(rows, key=lambda r: (r["image_id"], r["row"], r["col"]))

    def test_state_is_plain_arrays_and_the_same_bytes_on_a_rerun(self, method):
        states = []
        for _ in range(2):
            inputs = memory(blobs(150))
            laid_out(inputs, params({"method": method, "fit_rows": 120}))
            states.append(inputs.states["reduce", "atlas"])
        assert as_bytes(states[0]) == as_bytes(states[1])
        assert all(not (isinstance(v, np.ndarray) and v.dtype.hasobject) for v in states[0].values())

    def test_another_seed_is_another_sample(self, method):
        states = []
        for seed in (0, 1):
            inputs = memory(blobs(150))
            laid_out(inputs, params({"method": method, "fit_rows": 60}, seed=seed))
            states.append(inputs.states["reduce", "atlas"]["layout"])
        assert states[0].tobytes() != states[1].tobytes()

    def test_shards_have_no_say(self, method):
        found = []
        for shard_images in (1, 7, 40):
            inputs = memory(blobs(200), shard_images=shard_images)
            layout = laid_out(inputs, params({"method": method, "fit_rows": 90}))
            found.append((places(layout).tobytes(), as_bytes(inputs.states["reduce", "atlas"])))
        assert found[0] == found[1] == found[2]

    def test_companions_have_no_say(self, method):
        inputs = memory(blobs(200), shard_images=100)
        given = params({"method": method, "fit_rows": 90})
        layout = places(laid_out(inputs, given))
        whole = inputs.tables["activations/deep"][0]
        for start, stop in ((0, 1), (13, 60), (199, 200)):
            inputs.tables["activations/deep"] = [whole.slice(start, stop - start)]
            alone = places(STAGE.run(inputs, given, Shard(0, 0, 1))["layouts/atlas"])
            assert alone.tobytes() == layout[start:stop].tobytes()

    @pytest.mark.parametrize("rows", [1, 4, 30])
    def test_pairs_of_any_size(self, method, rows):
        inputs = memory(blobs(60), attributions())
        layout = laid_out(inputs, params({"method": method, "fit_rows": 20}, pair=("fireboat", "crane"), rows=rows))
        xy = places(layout)
        assert len(xy) >= rows and np.isfinite(xy).all() and (xy >= 0).all() and (xy < 1).all()

    @pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 9])
    def test_few_rows(self, method, rows):
        inputs = memory(blobs(rows))
        xy = places(laid_out(inputs, params({"method": method})))
        assert xy.shape == (rows, 2) and np.isfinite(xy).all() and (xy >= 0).all() and (xy < 1).all()
        if rows == 1:
            assert xy.tolist() == [[0.5, 0.5]]

    @pytest.mark.parametrize("metric", ["cosine", "euclidean"])
    @pytest.mark.parametrize("kind", ["identical", "zero", "some_zero", "one_channel"])
    def test_degenerate_rows(self, method, metric, kind):
        vectors = blobs(60, 6)
        if kind == "identical":
            vectors[:] = vectors[0]
        if kind == "zero":
            vectors[:] = 0
        if kind == "some_zero":
            vectors[::3] = 0
        if kind == "one_channel":
            vectors = vectors[:, :1]
        inputs = memory(vectors)
        xy = places(laid_out(inputs, params({"method": method, "metric": metric, "fit_rows": 40})))
        assert xy.shape == (60, 2) and np.isfinite(xy).all() and (xy >= 0).all() and (xy < 1).all()


@pytest.mark.parametrize(
    "method, option",
    [pytest.param("umap", "n_neighbors", marks=pytest.mark.slow), ("tsne", "n_neighbors"), ("tsne", "perplexity")],
)
def test_options_clamp_to_the_rows_and_say_so(method, option):
    inputs = memory(blobs(20))
    laid_out(inputs, params({"method": method, option: 90}))
    assert len(inputs.warnings) == 1 and option in inputs.warnings[0] and "20 rows" in inputs.warnings[0]


def test_an_unknown_method_names_its_nearest():
    with pytest.raises(ValidationError, match="unknown method 'umpa'; did you mean umap"):
        ReduceSpec(method="umpa")


def test_pca_places_unfitted_rows_exactly():
    vectors = blobs(120)
    all_fitted = memory(vectors)
    laid_out(all_fitted, params({"method": "pca"}))
    some = memory(vectors)
    layout = laid_out(some, params({"method": "pca", "fit_rows": 50}))
    state = some.states["reduce", "atlas"]
    raw = np.concatenate([t for t in [vectors.astype(np.float16)]])
    expected = project(raw, state["components"], state["center"], "cosine") @ state["axes"]
    assert np.allclose(places(layout), normalise(expected, state["low"], state["high"]), atol=1e-6)


# --- which rows belong


def attributions(rows: int = 60, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(rows, classes)).astype(np.float16)


def chosen(layout) -> set[tuple]:
    return set(zip(*(layout[n].to_pylist() for n in ("image_id", "row", "col")), strict=True))


def every_key(inputs) -> list[tuple]:
    rows = inputs.table("activations/deep")
    return list(zip(*(rows[n].to_pylist() for n in ("image_id", "row", "col")), strict=True))


@pytest.mark.parametrize("fit_rows", [5, 1000])
def test_winner_keeps_rows_whose_largest_attribution_is_the_class(fit_rows):
    values = attributions()
    inputs = memory(blobs(60), values)
    layout = laid_out(inputs, params({"method": "pca", "fit_rows": fit_rows}, class_="otter", keep="winner"))
    keys = every_key(inputs)
    assert chosen(layout) == {keys[i] for i in np.flatnonzero(values.argmax(1) == 2)}


def argued(values: np.ndarray, column: int) -> list[float]:
    """The slow twin of :func:`lead`, class by class."""
    found = []
    for row in values.astype(np.float64).tolist():
        mean = sum(row) / len(row)
        spread = (sum((v - mean) ** 2 for v in row) / len(row)) ** 0.5
        found.append((row[column] - mean) / spread**0.5 if spread else 0.0)
    return found


def test_the_lead_by_hand():
    # Mean 2 and deviations 2, 0, 0, -2: the spread is sqrt(2), its root 2 ** 0.25. Ten times as much counts sqrt(10).
    values = np.array([[4, 2, 2, 0], [40, 20, 20, 0], [3, 3, 3, 3]], np.float16)
    found = lead(values, [0, 1, 3])
    assert found.dtype == np.float32 and found[2].tolist() == [0, 0, 0]
    assert np.allclose(found[:2], np.outer([1, 10**0.5], [2 / 2**0.25, 0, -2 / 2**0.25]))
    shared = lead(values + np.float16(8), [0, 1, 3])  # what all classes share says nothing
    assert np.array_equal(shared, found)


@pytest.mark.parametrize(
    "changed, relative",
    [({}, True), ({"kind": "sigmoid"}, False), ({"top": True}, False), ({"attributed": [0, 1, 3]}, False)],
)
def test_classes_are_compared_where_a_softmax_does_and_all_are_known(changed, relative):
    extract = {"classes": list("abcd"), "attributed": [0, 1, 2, 3], "top": False, "kind": "softmax"}
    assert is_relative(extract | changed) is relative
    assert not is_relative(extract | {"classes": ["a"], "attributed": [0]})


@pytest.mark.parametrize("shard_images", [1, 30])
def test_top_keeps_the_rows_that_lead_most_whatever_the_parts(shard_images):
    values = attributions()
    values[20:40] *= 8
    values[41] = values[13] = [-1, 6, 0, 0]  # the same, and the last that is kept: the smaller key is
    inputs = memory(blobs(60), values, shard_images=shard_images)
    score = argued(values, 1)
    best = sorted(range(60), key=lambda i: (-score[i], i))
    rows = best.index(13) + 1
    layout = laid_out(inputs, params({"method": "pca"}, class_="streetcar", rows=rows))
    keys = every_key(inputs)
    assert best[rows] == 41 and chosen(layout) == {keys[i] for i in best[:rows]}
    assert set(best[:rows]) != set(np.argsort(-values[:, 1], kind="stable")[:rows])  # of largest attribution


@pytest.mark.parametrize("shard_images", [2, 30])
def test_of_sigmoids_top_keeps_the_largest_positive_and_breaks_ties_by_key(shard_images):
    values = attributions()
    values[:, 1] = np.where(np.arange(60) % 4 == 0, 1, -1)
    values[33, 1] = 2
    inputs = memory(blobs(60), values, shard_images=shard_images, kind="sigmoid")
    layout = laid_out(inputs, params({"method": "pca"}, class_="streetcar", rows=5))
    keys = every_key(inputs)
    assert chosen(layout) == {keys[i] for i in (33, 0, 4, 8, 12)}


@pytest.mark.parametrize(
    "kind, said", [("softmax", "an attribution above the mean of all classes"), ("sigmoid", "a positive attribution")]
)
def test_top_with_fewer_positive_rows_says_so(kind, said):
    values = attributions()
    values[:, 0] = -9
    values[7] = [1, -1, -1, -1]
    inputs = memory(blobs(60), values, kind=kind)
    layout = laid_out(inputs, params({"method": "umap"}, class_="0", rows=5))
    assert layout.num_rows == 1 and f"1 rows with {said}" in inputs.warnings[0]


@pytest.mark.parametrize("options", [{"keep": "top"}, {"keep": "winner"}])
def test_a_class_without_rows_is_one_line(options):
    values = attributions()
    values[:, 0] = -9
    with pytest.raises(UserError) as error:
        laid_out(memory(blobs(60), values), params({}, class_="fireboat", **options))
    assert "0 rows" in str(error.value) and "\n" not in str(error.value)


def test_unknown_and_unextracted_classes_are_one_line():
    with pytest.raises(UserError, match="unknown class 'oter'; did you mean otter"):
        laid_out(memory(blobs(60), attributions()), params({}, class_="oter"))
    with pytest.raises(UserError, match="'crane' were not extracted .extracted: fireboat, otter."):
        laid_out(memory(blobs(60), attributions()[:, :2], attributed=[0, 2]), params({}, class_="crane"))


def test_where_all_classes_are_numbers_none_is_an_index():
    names = {"classes": ["10", "20", "007"], "attributed": [0, 1, 2]}
    assert [attributed_index(name, names, "a") for name in ("20", "7")] == [1, 2]
    for name in ("2", "²"):
        with pytest.raises(UserError, match=f"atlas 'a': unknown class '{name}'"):
            attributed_index(name, names, "a")


def test_chosen_classes_are_found_by_their_index():
    values = attributions()[:, :2]
    inputs = memory(blobs(60), values, attributed=[3, 1])
    layout = laid_out(inputs, params({"method": "pca"}, class_="streetcar", keep="winner"))
    keys = every_key(inputs)
    assert chosen(layout) == {keys[i] for i in np.flatnonzero(values[:, 1] > values[:, 0])}
    assert "compares the 2 extracted classes only, of 4" in inputs.warnings[0]


def test_in_the_mode_top_unlisted_classes_count_zero():
    values, classes = attributions()[:, :2], np.tile([2, 3], (60, 1))
    classes[10:] = [0, 1]
    inputs = memory(blobs(60), values, top_classes=classes)
    layout = laid_out(inputs, params({"method": "pca"}, class_="otter", keep="winner"))
    keys = every_key(inputs)
    assert chosen(layout) == {keys[i] for i in range(10) if values[i, 0] > max(values[i, 1], 0)}


def test_a_pair_is_the_union_and_its_axis_the_preference():
    values = attributions()
    inputs = memory(blobs(60), values)
    layout = laid_out(inputs, params({}, pair=("fireboat", "crane"), rows=10))
    left, right = (np.argsort(-np.array(argued(values, c)), kind="stable")[:10] for c in (0, 3))
    union = sorted(set(left) | set(right))
    keys = every_key(inputs)
    assert chosen(layout) == {keys[i] for i in union}
    d = values[union, 3].astype(np.float32).astype(float) - values[union, 0].astype(np.float32)
    scaled = np.clip(d / np.percentile(np.abs(d), 99), -1, 1)
    assert np.allclose(layout["x"].to_numpy(), np.minimum((scaled + 1) / 2, 1), atol=1e-6)
    assert inputs.states["reduce", "atlas"]["layout"].shape == (len(union), 1)


def test_whole_images_have_no_position():
    inputs = with_features(memory(blobs(100)), blobs(20))
    layout = laid_out(inputs, params({"method": "pca"}, images=True))
    assert layout.num_rows == 20 and set(layout["row"].to_pylist()) == set(layout["col"].to_pylist()) == {-1}


def test_values_that_are_not_finite_stop_the_run():
    vectors = blobs(40)
    vectors[3, 2] = np.nan
    with pytest.raises(UserError, match="1 of 40 rows of activations/deep hold NaN"):
        laid_out(memory(vectors), params())


def test_no_rows_at_all_is_one_line():
    inputs = memory(blobs(8))
    inputs.tables["activations/deep"] = [t.slice(0, 0) for t in inputs.tables["activations/deep"]]
    with pytest.raises(UserError, match="0 rows"):
        laid_out(inputs, params())


# --- the pieces, by hand


def test_preference_by_hand():
    d = np.array([-4.0, -2.0, 0.0, 2.0, 4.0, 1.0])
    p99 = np.percentile([4, 2, 0, 2, 4, 1], 99)
    assert p99 == 4
    x = preference(d)
    assert x.dtype == np.float32
    assert np.allclose(x, [0, 0.25, 0.5, 0.75, 1, 0.625]) and x.max() < 1
    assert preference(np.zeros(3)).tolist() == [0.5, 0.5, 0.5]


def test_normalisation_by_hand():
    layout = np.arange(101, dtype=np.float32)[:, None] * [1, -2]
    low, high = limits(layout)
    # 1st and 99th percentile: 1 and 99, -198 and -2; widened by 9.8 and 19.6.
    assert np.allclose(low, [-8.8, -217.6]) and np.allclose(high, [108.8, 17.6])
    placed = normalise(np.array([[-8.8, 17.6], [50, -100], [1e9, -1e9], [108.8 - 1e-9, 0]]), low, high)
    assert placed.dtype == np.float32
    assert np.allclose(placed[:3], [[0, 1], [0.5, 0.5], [1, 0]], atol=1e-6)
    assert placed.max() < 1 and placed.min() == 0
    assert normalise(np.array([[3.0]]), np.array([3.0]), np.array([3.0])).tolist() == [[0.5]]


def test_svd_components_against_numpy():
    raw = blobs(3000, 30).astype(np.float16)
    components, center = fit_components(raw, 8, "cosine")
    lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
    right = np.linalg.svd(raw / lengths, full_matrices=False)[2][:8].T
    assert np.allclose(np.abs(components.T @ right), np.eye(8), atol=1e-3) and not center.any()
    assert np.allclose(np.linalg.norm(project(raw, components, center, "cosine"), axis=1), 1, atol=1e-6)


def test_euclidean_components_keep_distances():
    raw = blobs(500, 10).astype(np.float32)
    components, center = fit_components(raw, 10, "euclidean")
    near = project(raw, components, center, "euclidean")
    assert np.allclose(np.linalg.norm(near[:50] - near[50:100], axis=1), np.linalg.norm(raw[:50] - raw[50:100], axis=1))


def test_unit_vectors_of_the_largest_and_smallest_halves():
    rows = np.array([[65504, 65504], [6e-8, 0], [0, 0]], np.float16)
    assert np.allclose(unit(rows), [[0.5**0.5, 0.5**0.5], [1, 0], [0, 0]])


def test_neighbours_in_one_list_are_exact_and_in_many_nearly():
    rng = np.random.default_rng(0)
    vectors = unit(blobs(6000, 20) + 0.1)
    asked = unit(blobs(50, 20, seed=0)[:50] + rng.gamma(1, 0.2, size=(50, 20)))
    square = ((asked[:, None] - vectors[None]) ** 2).sum(2)
    true = np.argsort(square, axis=1, kind="stable")[:, :15]
    exact = Index(vectors, np.zeros((1, 20), np.float32), np.zeros(6000, np.int32))
    assert (exact.search(asked, 15)[0] == true).mean() > 0.99
    index = Index.build(vectors, 0)
    assert len(index.centroids) == 77
    found = index.search(asked, 15)[0]
    kept = np.mean([len(set(a) & set(b)) / 15 for a, b in zip(found.tolist(), true.tolist(), strict=True)])
    assert kept > 0.9


@pytest.mark.parametrize("rows", [300, 5000])
def test_the_graph_leaves_each_row_itself_out(rows):
    vectors = unit(blobs(rows, 20))
    near, distance = Index.build(vectors, 0).graph(10)
    assert near.shape == distance.shape == (rows, 10)
    assert not (near == np.arange(rows)[:, None]).any() and near.min() >= 0
    assert (np.diff(distance, axis=1) >= 0).all()
    assert np.allclose(distance[7], np.linalg.norm(vectors[near[7]] - vectors[7], axis=1), atol=1e-6)


def test_a_row_is_placed_with_most_of_its_neighbours_and_not_between_islands():
    rng = np.random.default_rng(0)
    vectors = rng.normal(scale=0.01, size=(15, 3)).astype(np.float32)
    layout = np.zeros((15, 2), np.float32)
    layout[:6] = [100, 100]
    index = Index.build(vectors, 0)
    asked = np.zeros((1, 3), np.float32)
    weight = 1 / (vectors.astype(np.float64) ** 2).sum(1)
    most = [100, 100] if weight[:6].sum() > weight[6:].sum() else [0, 0]
    assert place(asked, index, layout, None).tolist() == [most]


def test_the_graph_of_equal_rows():
    near, distance = Index.build(np.ones((20, 3), np.float32), 0).graph(5)
    assert near.min() >= 0 and not distance.any()


@pytest.mark.slow
def test_an_unfitted_twin_lies_where_its_fitted_twin_lies():
    vectors = np.repeat(blobs(100), 2, axis=0)
    inputs = memory(vectors, positions=2)
    xy = places(laid_out(inputs, params({"method": "umap", "fit_rows": 100})))
    fitted = set(inputs.states["reduce", "atlas"]["image_id"].astype(str).tolist())
    assert 50 < len(fitted) < 100
    state = inputs.states["reduce", "atlas"]
    own = {(i.decode(), c) for i, c in zip(state["image_id"], state["col"].tolist(), strict=True)}
    keys = every_key(inputs)
    for a in range(0, 200, 2):
        if ((keys[a][0], keys[a][2]) in own) != ((keys[a + 1][0], keys[a + 1][2]) in own):
            assert np.allclose(xy[a], xy[a + 1], atol=1e-3)


def test_the_sample_is_the_rows_of_smallest_hash():
    inputs = memory(blobs(100))
    from activation_atlas.stages.reduce.members import Members

    members = Members.choose(inputs, view())
    few, total = sample(inputs, members, 10, 0)
    keys = positions(inputs.table("activations/deep"))
    order = np.argsort(row_hash(keys, 0))[:10]
    assert total == 100 and few.to_pylist() == [keys.to_pylist()[i] for i in sorted(order)]


def test_fidelity_is_sklearns_trustworthiness():
    from sklearn.manifold import trustworthiness

    raw = blobs(300, 10)
    layout = raw[:, :2].astype(np.float32)
    for metric in ("cosine", "euclidean"):
        found = fidelity(raw, layout, metric, 0)
        assert found["trustworthiness"] == pytest.approx(
            trustworthiness(raw, layout, n_neighbors=15, metric=metric), abs=2e-3
        )
    # The slow twin of preservation, row by row.
    kept = []
    for i in range(300):
        far = np.linalg.norm(raw - raw[i], axis=1)
        near = np.linalg.norm(layout - layout[i], axis=1)
        far[i] = near[i] = np.inf
        kept.append(len(set(np.argsort(far)[:15]) & set(np.argsort(near)[:15])) / 15)
    assert found["neighbour_preservation"] == pytest.approx(np.mean(kept), abs=2e-3)
    assert fidelity(raw, raw, "euclidean", 0)["trustworthiness"] == 1


def test_metrics_name_their_reference():
    inputs = memory(blobs(200))
    laid_out(inputs, params({"fit_rows": 150, "n_neighbors": 15}))
    metrics = inputs.states["reduce", "atlas"]["metrics"]
    assert metrics["rows"] == 200 and metrics["fitted_rows"] == 150
    assert "150 of 150 fitted rows" in metrics["reference"] and 0.8 < metrics["trustworthiness"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_libraries_loaded_on_the_way_are_held_to_one_thread_as_well(method):
    """In a process of its own, where they are not loaded yet."""
    code = f"""
import os
import subprocess
import sys

import numpy as np
from threadpoolctl import threadpool_info
from activation_atlas.stages.reduce.neighbours import Index
from activation_atlas.stages.reduce.reducers import Options, one_thread, import_umap, {method}
used = []
def told(kind, name):
    own = getattr(kind, name)
    def call(*a, **k):
        used.append(max(pool["num_threads"] for pool in threadpool_info()))
        return own(*a, **k)
    setattr(kind, name, call)
index = Index.build(np.random.default_rng(0).normal(size=(40, 5)).astype("f4"), 0)
with one_thread():
    if {method!r} == "tsne":
        import openTSNE
        told(openTSNE.TSNE, "fit")
    else:
        told(import_umap(), "fit_transform")
    {method}(index, 2, Options(5, 0.1, None), 0)
assert used == [1], used
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
