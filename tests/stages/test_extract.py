"""One pass over the images: what is stored is what the model says, whatever the batch or the part; nothing is lost."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from activation_atlas.stages import extract
from activation_atlas.stages.extract import ExtractSpec, Params
from activation_atlas.stages.extract.rows import positions
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables import images as images_schema
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.vision.attribution.blocks import Insertion, Removal
from activation_atlas.stages.vision.images import decode_to
from activation_atlas.stages.vision.model import open_model
from tests import quick
from tests.memory import MemoryInputs
from tests.stages.vision import small_models as small
from tests.stages.vision.test_blocks import rerun

COUNT = 11


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list[tuple[str, str]]:
    """(image_id, path) in the order of ids; the files are larger than the models and not square."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(5)
    found = []
    for k in range(COUNT):
        coarse = rng.integers(40, 180, (5, 6, 3), np.uint8)
        path = folder / f"{k}.png"
        Image.fromarray(coarse).resize((30, 24), Image.Resampling.BICUBIC).save(path)
        found.append((hashlib.sha256(path.name.encode()).hexdigest()[:16], str(path)))
    return sorted(found)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return cache(lambda name: small.save(small.build(small.BUILDERS[name][0]), folder))


def _inputs(found, per_part=COUNT, labels=None) -> MemoryInputs:
    parts = []
    for start in range(0, len(found), per_part):
        ids, uris = zip(*found[start : start + per_part], strict=True)
        count = len(ids)
        label = [k % 3 if k % 4 else None for k in range(start, start + count)] if labels is None else labels
        columns = [ids, uris, label, [None] * count, [""] * count, [30] * count, [24] * count]
        schema = images_schema()
        parts.append(pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema))
    return MemoryInputs({"images": parts})


def _params(path, **changes) -> Params:
    given = {"model": ModelSpec(path=path), "images": ImagesSpec(path="unused"), "positions_per_image": 5, "edge": 0}
    given |= {"by": "gradient"}
    return Params(**{**given, "dtype": "float32", "batch": 4, "decode_threads": 2, **changes})


def _backprop(model, layer, x):
    """Attribution of every position and class by plain backprop: (n, H, W, K)."""

    # In a graph: in eager mode the unused filter gradients are computed too, at which oneDNN may abort.
    @tf.function(autograph=False)
    def attributions(x):
        tensors = model.trunk(layer)(model.to_input(x))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tensors[0])
            scores = tf.unstack(tf.reduce_sum(model.head(layer)(tensors), 0))
        gradients = [tape.gradient(score, tensors[0], unconnected_gradients="zero") for score in scores]
        return tf.einsum("nhwc,knhwc->nhwk", tensors[0], tf.stack(gradients))

    return attributions(tf.constant(x)).numpy()


@pytest.mark.parametrize(
    ("name", "tapped"), quick.first([("nested", ["backbone/conv_a", "backbone/conv_b"]), ("residual", ["branch"])])
)
def test_what_is_stored_is_what_the_model_says(name, tapped, models, photographs):
    params = _params(models(name), layers=tapped, features=tapped[:1])
    written = _inputs(photographs).run(extract.STAGE, params)
    assert list(written) == list(extract.STAGE.writes(params))
    model = open_model(params.model)
    x = np.stack([decode_to(Path(path).read_bytes(), (16, 16)) for _, path in photographs]).astype("float32")
    maps, logits = model.forward(tapped)(model.to_input(x))

    found = written["predictions"].to_pylist()
    keras_says = small.build(small.BUILDERS[name][0]).predict(x, verbose=0)
    assert [row["image_id"] for row in found] == [name for name, _ in photographs]
    np.testing.assert_allclose([row["logits"] for row in found], logits, rtol=1e-4, atol=1e-5)
    for k, row in enumerate(found):
        best = np.argsort(-logits[k].numpy())
        assert row["pred"] == best[0] and row["top_classes"] == best.tolist()
        np.testing.assert_allclose(row["top_probs"], keras_says[k][best], rtol=1e-4, atol=1e-6)
        assert row["prob"] == row["top_probs"][0]
        if k % 4:
            assert row["label"] == k % 3 and row["correct"] == (best[0] == k % 3)
            np.testing.assert_allclose(row["label_prob"], keras_says[k][k % 3], rtol=1e-4, atol=1e-6)
        else:
            assert row["label"] is row["correct"] is row["label_prob"] is None

    ids = [name for name, _ in photographs]
    for layer in tapped:
        rows = written[f"activations/{layer.replace('/', '__')}"]
        keys = list(zip(*(rows[c].to_pylist() for c in ("image_id", "row", "col")), strict=True))
        assert keys == sorted(keys) and len(set(keys)) == len(keys) == 5 * COUNT
        at = tuple(np.array([(ids.index(i), r, c) for i, r, c in keys]).T)
        np.testing.assert_allclose(to_numpy(rows["activation"]), maps[layer].numpy()[at], rtol=1e-4, atol=1e-4)
        expected = _backprop(model, layer, x)[at]
        assert np.abs(to_numpy(rows["attribution"]) - expected).max() <= 2e-5 * np.abs(expected).max()
    pooled = written[f"features/{tapped[0].replace('/', '__')}"]
    mean = maps[tapped[0]].numpy().mean((1, 2))
    np.testing.assert_allclose(to_numpy(pooled["features"]), mean, rtol=1e-4, atol=1e-4)
    assert not written["rejects/extract"].num_rows


def _bytes(table: pa.Table) -> dict[str, list]:
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        fixed = pa.types.is_fixed_size_list(column.type)
        columns[name] = to_numpy(column).tobytes() if fixed else column.to_pylist()
    return columns


@pytest.mark.parametrize("name", [pytest.param("deep", marks=pytest.mark.slow), "linear"])
def test_same_bytes_whatever_the_batch_the_part_or_the_threads(name, models, photographs):
    layer = small.BUILDERS[name][1][-1]
    params = _params(models(name), layers=[layer], dtype="float16")
    reference = _inputs(photographs).run(extract.STAGE, params)
    others = [
        _inputs(photographs, per_part=3).run(extract.STAGE, params),
        _inputs(photographs).run(extract.STAGE, params.model_copy(update={"batch": 7, "decode_threads": 1})),
        _inputs(photographs, per_part=2).run(extract.STAGE, params.model_copy(update={"batch": 1})),
    ]
    for other in others:
        for table in ("predictions", f"activations/{layer}"):
            assert _bytes(other[table]) == _bytes(reference[table]), table
        total = {c: to_numpy(other["pixels"][c]).sum(0) for c in ("sum", "products")}
        for column, value in total.items():
            np.testing.assert_allclose(value, to_numpy(reference["pixels"][column]).sum(0), rtol=1e-12)


def test_positions():
    row, col = positions(0, "00ff", 5, 7, 1, 4)
    assert len(row) == 4 and set(row) <= {1, 2, 3} and set(col) <= set(range(1, 6))
    assert (row.tolist(), col.tolist()) == tuple(map(np.ndarray.tolist, positions(0, "00ff", 5, 7, 1, 4)))
    assert (np.diff(row * 7 + col) > 0).all()
    drawn = {tuple(zip(*map(np.ndarray.tolist, positions(*key, 5, 7, 1, 4)), strict=True)) for key in _KEYS}
    assert len(drawn) == len(_KEYS)
    row, col = positions(0, "00ff", 5, 7, 1, 100)
    assert len(row) == 15
    counts = np.zeros((4, 4))
    for k in range(800):
        row, col = positions(3, f"{k:016x}", 4, 4, 0, 4)
        counts[row, col] += 1
    assert counts.min() > 150 and counts.max() < 250


_KEYS = [(0, "00ff"), (1, "00ff"), (0, "00fe"), (0, "ff00")]


# -- options ---------------------------------------------------------------------


@pytest.mark.slow
def test_modes_of_attribution(models, photographs):
    path = models("deep")
    whole = _inputs(photographs).run(extract.STAGE, _params(path, layers=["mid"]))["activations/mid"]
    attribution = to_numpy(whole["attribution"])

    inputs = _inputs(photographs)
    chosen = inputs.run(extract.STAGE, _params(path, layers=["mid"], attribution=["class 2", "0"]))["activations/mid"]
    np.testing.assert_array_equal(to_numpy(chosen["attribution"]), attribution[:, [2, 0]])
    assert inputs.state("extract", "")["attributed"] == [2, 0]

    inputs = _inputs(photographs)
    none = inputs.run(extract.STAGE, _params(path, layers=["mid"], attribution="none"))["activations/mid"]
    assert none.column_names == ["image_id", "row", "col", "activation"]
    np.testing.assert_array_equal(to_numpy(none["activation"]), to_numpy(whole["activation"]))
    assert inputs.state("extract", "")["attributed"] == []

    inputs = _inputs(photographs)
    written = inputs.run(extract.STAGE, _params(path, layers=["mid"], attribution="top"))
    top = written["activations/mid"]
    best = {row["image_id"]: row["top_classes"] for row in written["predictions"].to_pylist()}
    classes = to_numpy(top["attributed_classes"])
    assert classes.tolist() == [best[i] for i in top["image_id"].to_pylist()]
    np.testing.assert_array_equal(to_numpy(top["attribution"]), np.take_along_axis(attribution, classes, 1))
    state = inputs.state("extract", "")
    assert state["top"] and state["attributed"] == [0, 1, 2]


BLOCKS = {
    "insertion": (Insertion(3), {"by": "insertion", "window": 3, "fill": "zero"}),
    "removal": (Removal(3, "mean"), {"by": "removal", "window": 3, "fill": "mean"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("by", BLOCKS)
def test_attributions_by_blocks(by, models, photographs):
    """As many runs of the head as positions, and everything else as it is by the gradient."""
    block, asked = BLOCKS[by]
    given = {"layers": ["mid"], "positions_per_image": 64}
    gradient = _inputs(photographs).run(extract.STAGE, _params(models("deep"), **given))
    params, inputs = _params(models("deep"), **asked, **given), _inputs(photographs)
    written = inputs.run(extract.STAGE, params)
    state = inputs.state("extract", "")
    assert {name: state[name] for name in asked} == asked
    x = np.stack([decode_to(Path(path).read_bytes(), (16, 16)) for _, path in photographs]).astype("float32")
    expected = rerun(open_model(params.model), "mid", x, block).reshape(64 * COUNT, 3)
    found = to_numpy(written["activations/mid"]["attribution"])
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert _bytes(written["predictions"])["image_id"] == _bytes(gradient["predictions"])["image_id"]
    for column in ("row", "col", "activation"):
        ours, theirs = (table["activations/mid"].select([column]) for table in (written, gradient))
        assert _bytes(ours) == _bytes(theirs)
    narrow = _inputs(photographs, per_part=3).run(extract.STAGE, params.model_copy(update={"batch": 7}))
    assert _bytes(narrow["activations/mid"]) == _bytes(written["activations/mid"])


def test_what_fit_tells_the_other_stages(models):
    state = extract.fit(MemoryInputs(), _params(models("nested"), layers=["backbone/conv_b"], features=["pool"]))
    assert state["classes"] == ["class 0", "class 1", "class 2"] and state["input_size"] == [16, 16]
    assert state["layers"]["backbone/conv_b"] == {
        "channels": 8,
        "height": 6,
        "width": 6,
        "receptive_field": [7, 7],
        "stride": [2, 2],
        "offset": [3, 3],
    }
    assert state["layers"]["pool"]["height"] == 1 and state["ways"] == {"backbone/conv_b": "affine"}
    assert (state["by"], state["window"], state["fill"]) == ("gradient", 3, "zero")


def test_features_of_a_vector_layer_and_no_layers_at_all(models, photographs):
    written = _inputs(photographs).run(extract.STAGE, _params(models("nested"), features=["pool"]))
    model = open_model(ModelSpec(path=models("nested")))
    assert to_numpy(written["features/pool"]["features"]).shape == (COUNT, model.shapes[model.feature_slot("pool")][1])
    assert len(written["predictions"]) == COUNT


def test_a_grey_model(models, photographs):
    written = _inputs(photographs).run(extract.STAGE, _params(models("grey"), layers=["conv"]))
    x = np.stack([decode_to(Path(path).read_bytes(), (16, 16), channels=1) for _, path in photographs])
    expected = small.build(small.grey).predict(x.astype("float32"), verbose=0)
    np.testing.assert_allclose(to_numpy(written["predictions"]["logits"]), expected, rtol=1e-4, atol=1e-3)


def test_moments_of_colour(models, photographs):
    pixels = _inputs(photographs).run(extract.STAGE, _params(models("linear")))["pixels"].to_pylist()
    x = np.concatenate([decode_to(Path(p).read_bytes(), (16, 16))[::4, ::4].reshape(-1, 3) for _, p in photographs])
    assert [own["image_id"] for own in pixels] == [own for own, _ in photographs]
    each = (x / 255).reshape(len(photographs), -1, 3)
    for own, values in zip(pixels, each, strict=True):
        assert own["count"] == len(values)
        np.testing.assert_allclose(own["sum"], values.sum(0))
        np.testing.assert_allclose(np.reshape(own["products"], (3, 3)), values.T @ values)


# -- what goes wrong -------------------------------------------------------------


def _scaled(factor, tmp_path, name="mid"):
    """A model whose layer grows with the image's brightness, far beyond float16 or to NaN."""
    image = keras.Input((16, 16, 3))
    x = layers.Rescaling(factor, name=name)(image)
    x = layers.Rescaling(1 / factor)(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = small.build(lambda: keras.Model(image, layers.Dense(3, activation="softmax")(x)))
    return small.save(model, tmp_path)


def test_values_beyond_float16_stop_the_run_with_the_remedy(tmp_path, photographs):
    path = _scaled(1e4, tmp_path)
    for changes in ({"layers": ["mid"]}, {"features": ["mid"]}):
        with pytest.raises(UserError, match=r"layer mid: a value does not fit float16; set extract.dtype: float32$"):
            _inputs(photographs).run(extract.STAGE, _params(path, dtype="float16", **changes))
        _inputs(photographs).run(extract.STAGE, _params(path, **changes))


def test_nothing_is_lost(tmp_path, photographs):
    """White overflows; a text is no image; a file is gone: each a row that says why, and the rest as if alone."""
    path = _scaled(1.37e36, tmp_path)
    found = dict(photographs)
    ids = sorted(found)
    for k, (name, make) in enumerate({"white": _white, "text": _text, "gone": _gone}.items()):
        found[ids[2 * k + 1]] = str(make(tmp_path / f"{name}.png"))
    params = _params(path, layers=["mid"], positions_per_image=2)
    written = _inputs(sorted(found.items())).run(extract.STAGE, params)
    rejects = {row["image_id"]: row for row in written["rejects/extract"].to_pylist()}
    assert list(rejects) == [ids[1], ids[3], ids[5]] and {row["stage"] for row in rejects.values()} == {"extract"}
    assert rejects[ids[1]]["reason"] == "the model gives NaN or infinite values (logits)"
    assert all(rejects[i]["reason"] and "\n" not in rejects[i]["reason"] for i in rejects)
    kept = written["predictions"]["image_id"].to_pylist()
    assert sorted([*kept, *rejects]) == ids
    assert sorted(set(written["activations/mid"]["image_id"].to_pylist())) == kept
    good = [(i, found[i]) for i in kept]
    alone = _inputs(good, labels=written["predictions"]["label"].to_pylist()).run(extract.STAGE, params)
    for table in ("predictions", "activations/mid", "pixels"):
        assert _bytes(alone[table]) == _bytes(written[table])


def _white(path):
    Image.new("RGB", (20, 20), "white").save(path)
    return path


def _text(path):
    path.write_text("not an image")
    return path


def _gone(path):
    return path


def test_a_part_of_which_nothing_is_left(models, tmp_path):
    bad = _text(tmp_path / "bad.png")
    params = _params(models("linear"), layers=["relu"], features=["relu"])
    inputs = _inputs([("00", str(bad))], labels=[0])
    with pytest.raises(UserError, match="none of the 1 images could be used; the first: .*bad.png"):
        inputs.run(extract.STAGE, params)
    rows = {name: table.num_rows for name in extract.STAGE.writes(params) for (table,) in [inputs.tables[name]]}
    assert rows.pop("rejects/extract") == 1
    assert not any(rows.values())
    with pytest.raises(UserError, match="none of the 1"):
        inputs.run(extract.STAGE, params.model_copy(update={"attribution": "top"}))
    assert inputs.tables["activations/relu"][0].num_rows == 0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"layers": ["backbone/conv_x"]}, "there is none; did you mean backbone/conv_"),
        ({"layers": ["pool"]}, "has no positions"),
        (
            {"layers": ["backbone/conv_b"], "edge": 3},
            "no position of its 6 x 6 is 3 from the border; lower extract.edge",
        ),
        ({"attribution": ["clas 1"]}, "extract.attribution: unknown class 'clas 1'; did you mean class 1?"),
        ({"images": ImagesSpec(path="x", resize=20)}, r"images.resize: \[20, 20\], but the model takes \[16, 16\]"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_image_is_read(changes, match, models):
    with pytest.raises(UserError, match=match):
        extract.fit(MemoryInputs(), _params(models("nested"), **changes))


def test_speed_options_are_not_part_of_the_fingerprint(models):
    names = set(_params(models("linear")).model_dump())
    assert not names & {"batch", "decode_threads", "max_rejects"} and "dtype" in names
    assert set(ExtractSpec.model_fields) < set(Params.model_fields)
