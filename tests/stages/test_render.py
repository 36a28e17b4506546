"""Icons from tables, on models small enough to draw in a moment."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

from activation_atlas.stages import moments, tables
from activation_atlas.stages.render import STAGE, Params, RenderSpec, directions, fidelity, whitening
from activation_atlas.stages.render.moment import second_moment, source
from activation_atlas.stages.specs import ModelSpec, ViewSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.colours import colour_root
from tests.memory import MemoryInputs

C = 6
KEYS = [(1, 0, 0), (2, 0, 0), (2, 0, 1), (2, 1, 0), (2, 1, 1)]
COUNTS = [40, 20, 10, 7, 3]


def build(path, size=16, channels=3, fixed=False):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="first")(inputs)
    if fixed:  # one weight per position
        x = keras.layers.LayerNormalization(axis=(1, 2, 3))(x)
    x = keras.layers.Conv2D(C, 3, strides=2, padding="same", activation="relu", name="maps")(x)
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, outputs).save(path)
    return ModelSpec(path=str(path), range=(-1, 1), classes=["a", "b", "c"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build(tmp_path_factory.mktemp("models") / "small.keras")


def rows(n=60, seed=0):
    return np.abs(np.random.default_rng(seed).normal(size=(n, C))).astype(np.float16)


def layer_part(view: ViewSpec, shard: int, vectors):
    """What is whitened with: a part of an atlas's features, or of its layer's moments."""
    if not view.images:
        return moments.of_part(shard, vectors)
    ids = pa.array([f"{shard:02x}{k:04x}" for k in range(len(vectors))], pa.string())
    return pa.table([ids, tables.from_numpy(vectors)], schema=tables.features(C))


def inputs(view: ViewSpec, parts=2) -> MemoryInputs:
    vectors = rows()
    cells = np.abs(np.random.default_rng(1).normal(size=(len(KEYS), C))).astype(np.float32)
    grid = {
        **{name: pa.array([key[k] for key in KEYS], pa.int16()) for k, name in enumerate(("grid", "cell_x", "cell_y"))},
        "count": pa.array(COUNTS, pa.int64()),
        "images": pa.array(COUNTS, pa.int64()),
        "activation": tables.from_numpy(cells),
        "error_rate": pa.nulls(len(KEYS), pa.float32()),
        "label_entropy": pa.nulls(len(KEYS), pa.float32()),
        "exemplars": pa.array([[]] * len(KEYS), pa.list_(tables.MEMBER)),
    }
    pixels = np.random.default_rng(2).uniform(size=(500, 3)) * [1, 0.5, 0.3]
    colours = {
        "image_id": pa.array(["00"]),
        "count": pa.array([500], pa.int64()),
        "sum": tables.from_numpy(pixels.sum(0)[None]),
        "products": tables.from_numpy((pixels.T @ pixels).reshape(1, 9)),
    }
    split = np.array_split(vectors, parts)
    return MemoryInputs(
        {
            f"grids/{view.name}": [pa.table(grid, schema=tables.grids(C))],
            source(view): [layer_part(view, k, part) for k, part in enumerate(split)],
            "pixels": [pa.table(colours, schema=tables.pixels())],
        }
    )


def params(model, view=None, **render):
    view = view or ViewSpec(name="atlas", layer="maps")
    render = {"grids": [1, 2], "size": 12, "steps": 6, "batch": 3, **render}
    return Params(view=view, model=model, min_count=5, seed=3, render=RenderSpec(**render))


def draw(p):
    held = inputs(p.view)
    return held.run(STAGE, p)[f"icons/{p.view.name}"], held


def pictures(table):
    return [np.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in table["icon"].to_pylist()]


def test_every_cell_that_was_asked_for_gets_an_icon(model):
    table, held = draw(params(model))
    assert table.schema.equals(tables.icons())
    keys = list(zip(*(table[name].to_pylist() for name in ("grid", "cell_x", "cell_y")), strict=True))
    assert keys == KEYS[:4], "the last cell holds fewer than min_count rows"
    icons = pictures(table)
    assert all(icon.shape == (12, 12, 3) and icon.dtype == np.uint8 for icon in icons)
    np.testing.assert_allclose(table["contrast"], [(icon / 255).std() for icon in icons], rtol=1e-5)
    assert set(table["predicted"].to_pylist()) <= {0, 1, 2}
    assert (np.abs(table["cosine"]) <= 1 + 1e-6).all() and not held.warnings
    assert table["retrieval_rank"][0].as_py() == 0, "a grid of one cell has no rivals"


def test_icons_do_not_depend_on_the_batch_or_the_other_grids(model):
    whole = draw(params(model, batch=32))[0]
    assert whole.to_pylist() == draw(params(model, batch=1))[0].to_pylist()
    fine = draw(params(model, grids=[2]))[0]
    assert fine.to_pylist() == whole.slice(1).to_pylist()


def test_more_tries_are_never_worse(model):
    once, thrice = (np.asarray(draw(params(model, tries=n))[0]["objective"]) for n in (1, 3))
    assert (thrice >= once).all() and (thrice > once).any()


@pytest.mark.parametrize("sizes", [(5, 0, 40), (0, 3), (0,), ()])
@pytest.mark.parametrize("images", [False, True])
def test_moments_of_parts_are_those_of_the_rows_bit_by_bit(sizes, images):
    """As they were taken of the rows themselves: in one thread, part after part."""
    view = ViewSpec(name="atlas", layer="maps", images=images)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, C)).astype(np.float16) for n in sizes]
    with threadpool_limits(limits=1):
        wide = [part.astype(np.float64) for part in parts]
        total = sum((part.T @ part for part in wide), np.zeros((C, C)))
        held = MemoryInputs({source(view): [layer_part(view, k, p) for k, p in enumerate(parts)]})
        found = second_moment(held, view)
    assert found is None if not sum(sizes) else (found == total / sum(sizes)).all()


def test_whitening_equals_numpy(model):
    p = params(model, whiten=0.02)
    state = STAGE.fit(inputs(p.view), p)
    a = rows().astype(np.float64)
    moment = sum(np.outer(row, row) for row in a) / len(a)
    ridged = moment + 0.02 * np.trace(moment) / C * np.eye(C)
    np.testing.assert_allclose(state["whitening"] @ ridged, np.eye(C), atol=1e-9)
    again = STAGE.fit(inputs(p.view), p)
    assert all(np.asarray(state[k]).tobytes() == np.asarray(again[k]).tobytes() for k in ("whitening", "colour"))


def test_whitened_directions_tell_apart_what_raw_means_do_not():
    # Two cells that share a loud channel and differ in faint ones.
    means = np.array([[10.0, 1.0, 0.0], [10.0, 0.0, 1.0]])
    v = directions(means, whitening(means.T @ means / 2, 1e-3), raw=0)
    assert means[0] @ means[1] > 0.98 * (means[0] @ means[0]) and v[0] @ v[1] < 0.1
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1)


def test_directions_by_hand():
    means, whiten = np.array([[3.0, 4.0], [0.0, 0.0]]), np.diag([4.0, 3.0])
    np.testing.assert_allclose(directions(means, whiten, 0), [[np.sqrt(0.5), np.sqrt(0.5)], [0, 0]])
    np.testing.assert_allclose(directions(means, whiten, 1), [[0.6, 0.8], [0, 0]])
    half = np.sqrt(0.5) * np.ones(2) + [0.6, 0.8]
    np.testing.assert_allclose(directions(means, whiten, 0.5)[0], half / np.linalg.norm(half))


def test_colour_root_by_hand():
    np.testing.assert_allclose(colour_root(np.diag([4.0, 1.0, 0.25])), np.diag([1.0, 0.5, 0.25]))
    covariance = np.cov(np.random.default_rng(0).normal(size=(3, 50)))
    root = colour_root(covariance)
    ratio = (root @ root) / covariance
    np.testing.assert_allclose(ratio, ratio[0, 0])
    np.testing.assert_array_equal(colour_root(np.zeros((3, 3))), np.eye(3))


def test_fidelity_equals_its_slow_twin():
    rng = np.random.default_rng(4)
    keys = np.array([(10, k, 0) for k in range(5)] + [(20, k, 0) for k in range(9)])
    means, towards = rng.normal(size=(2, 14, 8))
    answers, own = rng.normal(size=(3, 8)), keys[[1, 7, 12]]
    got = fidelity(answers, own, keys, means, towards)
    for k, (answer, mine) in enumerate(zip(answers, (1, 7, 12), strict=True)):
        rivals = [j for j in range(14) if keys[j, 0] == keys[mine, 0] and j != mine]
        cosine = [answer @ m / np.linalg.norm(answer) / np.linalg.norm(m) for m in means]
        assert got["cosine"][k] == pytest.approx(cosine[mine], rel=1e-5)
        assert got["retrieval_rank"][k] == sum(answer @ towards[j] > answer @ towards[mine] for j in rivals)
        assert got["retrieval_rank_raw"][k] == sum(cosine[j] > cosine[mine] for j in rivals)


def test_an_atlas_of_images_asks_the_mean_of_the_map(model):
    p = params(model, ViewSpec(name="codes", layer="maps", images=True))
    assert len(draw(p)[0]) == 4
    assert draw(p)[0]["icon"].to_pylist() != draw(params(model))[0]["icon"].to_pylist()


@pytest.mark.slow
def test_a_model_that_cannot_change_its_size_draws_at_its_own(tmp_path):
    table, held = draw(params(build(tmp_path / "fixed.keras", fixed=True), size=20))
    assert pictures(table)[0].shape == (16, 16, 3)
    assert len(held.warnings) and "16 pixels wide" in held.warnings[0]


def test_a_model_of_grey_images_has_grey_icons(tmp_path):
    table, _ = draw(params(build(tmp_path / "grey.keras", channels=1)))
    assert pictures(table)[0].shape == (12, 12)


def test_no_cell_is_large_enough(model):
    p = params(model).model_copy(update={"min_count": 99})
    table, held = draw(p)
    assert len(table) == 0 and table.schema.equals(tables.icons())
    assert "min_count" in held.warnings[0]


def test_a_silent_layer_is_refused(model):
    p = params(model)
    held = inputs(p.view)
    held.tables[source(p.view)] = [moments.of_part(0, np.zeros((4, C), np.float16))]
    with pytest.raises(UserError, match="never answers"):
        STAGE.fit(held, p)
