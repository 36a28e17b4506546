"""Tables from elsewhere: written, held against one another, read as if a model had made them."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import activation_atlas as aa
from activation_atlas.pipeline.config import load
from activation_atlas.stages.extract import Params, run
from activation_atlas.stages.extract.elsewhere import fit, probabilities
from activation_atlas.stages.extract.rows import positions
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables import images as images_schema
from activation_atlas.stages.tables import to_numpy
from tests.memory import MemoryInputs

CLASSES = ["cat", "dog", "owl"]
PATHS = [f"{kind}s/{k}.png" for kind in CLASSES for k in range(3)]
GUIDE = Path(__file__).parents[2] / "docs/guides/other_frameworks.md"


def seen(path):
    """What a network might make of an image: logits, a map of 5 x 6 x 4, attributions of 5 x 6 x 3."""
    rng = np.random.default_rng(len(path) + 1000 * PATHS.index(path))
    return rng.normal(size=3), rng.normal(size=(5, 6, 4)), rng.normal(size=(5, 6, 3))


def export(root, paths=PATHS, **options):
    options = {"input_size": (50, 60), "positions_per_image": 4, "seed": 3, "part_images": 4, **options}
    with aa.TableWriter(root, CLASSES, ["deep/a"], **options) as writer:
        for path in paths:
            logits, activation, attribution = seen(path)
            writer.add(path, logits, {"deep/a": activation}, {"deep/a": attribution})
    return root


def inputs_of(paths=PATHS, **options):
    """The images as the run lists them, and the parameters of extract."""
    root = options.pop("root")
    ids = sorted((aa.image_id(p), p) for p in paths)
    rows = [{"image_id": i, "uri": p, "label": CLASSES.index(p[:3])} for i, p in ids]
    inputs = MemoryInputs({"images": [pa.Table.from_pylist(rows, images_schema())]}, stage="extract")
    options = {"layers": ["deep/a"], "dtype": "float32", **options}
    return inputs, Params(model=ModelSpec(tables=str(root)), images=ImagesSpec(path="x"), **options)


def extracted(**options):
    inputs, params = inputs_of(**options)
    inputs.states["extract", ""] = fit(params)
    return inputs, run(inputs, params, SimpleNamespace(index=0))


def test_what_was_added_is_what_a_run_has(tmp_path):
    root = export(tmp_path / "out", dtype="float32")
    inputs, made = extracted(root=root, features=["deep/a"])
    rows, said, means = made["activations/deep__a"], made["predictions"], made["features/deep__a"]
    order = sorted(PATHS, key=aa.image_id)
    assert said["image_id"].to_pylist() == [aa.image_id(p) for p in order] and not len(made["rejects/extract"])
    at = 0
    for k, path in enumerate(order):
        logits, activation, attribution = seen(path)
        row, col = positions(3, aa.image_id(path), 5, 6, 1, 4)
        mine = rows.slice(at, len(row))
        assert set(mine["image_id"].to_pylist()) == {aa.image_id(path)}
        assert mine["row"].to_pylist() == row.tolist() and mine["col"].to_pylist() == col.tolist()
        np.testing.assert_array_equal(to_numpy(mine["activation"]), activation[row, col].astype(np.float32))
        np.testing.assert_array_equal(to_numpy(mine["attribution"]), attribution[row, col].astype(np.float32))
        np.testing.assert_allclose(to_numpy(means["features"])[k], activation.mean((0, 1)), rtol=1e-6)
        assert said["pred"][k].as_py() == logits.argmax() and said["label"][k].as_py() == CLASSES.index(path[:3])
        np.testing.assert_allclose(said["prob"][k].as_py(), 1 / np.exp(logits - logits.max()).sum(), rtol=1e-6)
        at += len(row)
    assert at == len(rows)
    layer = inputs.state()["layers"]["deep/a"]
    assert (layer["stride"], layer["offset"]) == ([10, 10], [4.5, 4.5]) and inputs.state()["classes"] == CLASSES


def test_attributions_may_be_given_at_the_positions_alone_and_of_some_classes(tmp_path):
    with aa.TableWriter(tmp_path / "out", CLASSES, ["deep/a"], input_size=(50, 60), attributed=["owl", 0]) as writer:
        for path in PATHS:
            logits, activation, attribution = seen(path)
            row, col = writer.positions(path, 5, 6)
            writer.add(path, logits, {"deep/a": activation}, {"deep/a": attribution[row, col][:, [2, 0]]})
    inputs, made = extracted(root=tmp_path / "out", attribution=["cat"])
    rows = made["activations/deep__a"]
    _, _, first = seen(sorted(PATHS, key=aa.image_id)[0])
    row, col = rows["row"][0].as_py(), rows["col"][0].as_py()
    assert inputs.state()["attributed"] == [0]
    np.testing.assert_allclose(to_numpy(rows["attribution"])[0], first[row, col, :1], rtol=1e-3)
    with pytest.raises(UserError, match="holds no attributions of 'dog'"):
        extracted(root=tmp_path / "out", attribution=["dog"])


def test_classes_may_share_a_name_and_are_then_told_by_their_index(tmp_path):
    two, given = ["crane", "owl", "crane"], {"input_size": (9, 9)}
    with pytest.raises(UserError, match="attributed: 2 classes are called crane, 0 and 2; give an index"):
        aa.TableWriter(tmp_path / "out", two, ["v"], attributed=["crane"], **given)
    with pytest.raises(UserError, match="attributed: 3 is none of the 3 classes, 0 to 2"):
        aa.TableWriter(tmp_path / "out", two, ["v"], attributed=[3], **given)
    with aa.TableWriter(tmp_path / "out", two, ["v"], attributed=[2], **given) as writer:
        writer.add(PATHS[0], [0, 1, 2], {"v": np.ones(5)}, {"v": [[0.5]]})
    inputs, made = extracted(root=tmp_path / "out", paths=PATHS[:1], layers=["v"])
    assert inputs.state()["attributed"] == [2] and inputs.state()["classes"] == two
    assert to_numpy(made["activations/v"]["attribution"]).tolist() == [[0.5]]


def test_the_highest_classes_of_each_image_are_those_of_its_logits(tmp_path):
    rows = extracted(root=export(tmp_path / "out"), attribution="top")[1]["activations/deep__a"]
    logits, _, attribution = seen(sorted(PATHS, key=aa.image_id)[0])
    kinds = np.argsort(-logits)
    assert to_numpy(rows["attributed_classes"])[0].tolist() == kinds.tolist()
    at = rows["row"][0].as_py(), rows["col"][0].as_py()
    np.testing.assert_allclose(to_numpy(rows["attribution"])[0], attribution[at][kinds], rtol=1e-3)


def test_ids_of_ones_own_are_known_by_their_path(tmp_path):
    root = export(tmp_path / "out")
    own = {aa.image_id(path): f"mine {k}" for k, path in enumerate(PATHS)}
    before = extracted(root=root)[1]
    for file in root.rglob("*.parquet"):
        rows = pq.read_table(file)
        ids = pa.array([own[i] for i in rows["image_id"].to_pylist()])
        pq.write_table(rows.set_column(0, "image_id", ids), file)
    after = extracted(root=root)[1]
    assert all(after[name].equals(before[name]) for name in before)


def test_lists_of_another_writer_are_read_too(tmp_path):
    root = export(tmp_path / "out")
    before = extracted(root=root)[1]
    for file in root.rglob("*.parquet"):
        pq.write_table(pa.Table.from_pylist(pq.read_table(file).to_pylist()), file)  # lists of doubles, int64
    after = extracted(root=root)[1]
    assert all(after[name].equals(before[name]) for name in before)


def test_an_image_that_is_not_there_or_nan_is_rejected(tmp_path):
    root = export(tmp_path / "out", PATHS[:-1])
    file = next((root / "activations/deep__a").glob("*.parquet"))
    rows = pq.read_table(file).to_pylist()
    rows[0]["activation"][2] = float("nan")
    pq.write_table(pa.Table.from_pylist(rows), file)
    made = extracted(root=root)[1]
    reasons = dict(zip(*(made["rejects/extract"][c].to_pylist() for c in ("image_id", "reason")), strict=True))
    assert reasons == {
        aa.image_id(PATHS[-1]): f"model.tables has nothing of it (image_id {aa.image_id(PATHS[-1])})",
        rows[0]["image_id"]: "the tables hold NaN or infinite values (layer deep/a)",
    }
    kept = set(made["predictions"]["image_id"].to_pylist())
    assert len(kept) == 7 and set(made["activations/deep__a"]["image_id"].to_pylist()) == kept


def changed(root, table, change):
    file = root / table / "part-00000.parquet"
    rows = pq.read_table(file).to_pylist()
    pq.write_table(pa.Table.from_pylist(change(rows)), file)


DEEP, SAID, FIRST = "activations/deep__a", "predictions", aa.image_id(PATHS[0])


def each(**values):
    """Changes columns of all rows, each by what it was."""
    return lambda rows: [{**row, **{name: change(row[name]) for name, change in values.items()}} for row in rows]


def first(**values):
    return lambda rows: [{**rows[0], **values}, *rows[1:]]


BAD = {
    "length": (
        DEEP,
        first(activation=[1.0] * 3),
        r"1 of 16 rows of activation .* the 4 channels, e.g. image \w{16} has 3",
    ),
    "logits": (SAID, each(logits=lambda v: v[:2]), "4 of 4 rows of logits are not of the 3 classes"),
    "missing": (SAID, lambda r: r[1:], f"1 of 9 images of {DEEP} are not in predictions, e.g. {FIRST}"),
    "no rows": (DEEP, lambda r: r[4:], f"1 of 9 images of predictions are not in {DEEP}, e.g. {FIRST}"),
    "twice": (DEEP, lambda r: [*r, r[3]], f"1 of 36 keys are there more than once, e.g. image_id {FIRST}, row"),
    "outside": (DEEP, first(row=5), r"1 of 36 positions are not on the 5 x 6 map, e.g. \(5,"),
    "argued": (DEEP, each(attribution=lambda v: v[:2]), "of the 3 classes attributed"),
    "texts": (DEEP, each(activation=lambda v: ["a"] * 4), "activation is list.*; write lists of float16"),
    "numbers": (SAID, each(image_id=lambda v: 7), "image_id is int64; write texts"),
    "column": (DEEP, lambda r: [{k: v for k, v in x.items() if k != "col"} for x in r], "has no column col; there are"),
}


@pytest.mark.parametrize("case", BAD)
def test_rows_that_do_not_meet_are_one_line(tmp_path, case):
    table, change, said = BAD[case]
    changed(root := export(tmp_path / "out"), table, change)
    with pytest.raises(UserError, match=said) as told:
        extracted(root=root)
    assert "\n" not in str(told.value)


def test_a_writer_refuses_what_cannot_be(tmp_path):
    logits, activation, attribution = seen(PATHS[0])
    maps, argued = {"deep/a": activation}, {"deep/a": attribution}
    writer = aa.TableWriter(tmp_path / "out", CLASSES, ["deep/a"], input_size=(50, 60))
    writer.add(PATHS[0], logits, maps, argued)
    wrong = [
        ((PATHS[0], logits, maps, argued), "is written already"),
        ((PATHS[1], logits[:2], maps, argued), "2 logits, but there are 3 classes"),
        ((PATHS[1], logits, {}, argued), r"activations of \[\], but layers are \['deep/a'\]"),
        ((PATHS[1], logits, {"deep/a": activation[:4]}, argued), r"\(4, 6, 4\), but those before are \(5, 6, 4\)"),
        ((PATHS[1], logits, {"deep/a": activation[0]}, argued), r"give \(height, width, channels\)"),
        ((PATHS[1], logits, {"deep/a": activation * np.inf}, argued), "the activations are NaN or infinite"),
        ((PATHS[1], logits, {"deep/a": activation * 1e6}, argued), "do not fit float16; give dtype='float32'"),
        ((PATHS[1], logits, maps, {"deep/a": attribution[..., :2]}), r"of shape \(5, 6, 2\); give \(5, 6, 3\)"),
        ((PATHS[1], logits, maps, None), "attributions are for all images or for none"),
    ]  # fmt: skip
    for given, said in wrong:
        with np.errstate(all="ignore"), pytest.raises(UserError, match=said):
            writer.add(*given)
    with pytest.raises(UserError, match="its writer was not closed"):
        extracted(root=tmp_path / "out")
    writer.add(PATHS[1], *({"deep/a": x} if x.ndim == 3 else x for x in seen(PATHS[1])))
    writer.close()
    assert len(extracted(root=tmp_path / "out", paths=PATHS[:2])[1]["predictions"]) == 2
    with pytest.raises(UserError, match="exists; give a folder that does not"):
        export(tmp_path / "out")


def test_one_logit_of_two_classes_is_a_sigmoid(tmp_path):
    with aa.TableWriter(tmp_path / "out", ["no", "yes"], ["v"], input_size=(8, 8), kind="sigmoid") as writer:
        writer.add("cats/0.png", [0.7], {"v": np.ones(5)})
    said = extracted(root=tmp_path / "out", paths=["cats/0.png"], layers=["v"])[1]["predictions"]
    np.testing.assert_allclose(said["prob"][0].as_py(), 1 / (1 + np.exp(-0.7)), rtol=1e-6)


def test_one_number_is_no_sigmoid_of_two_quantities_nor_beside_pairs_of_logits(tmp_path):
    quantities = aa.TableWriter(tmp_path / "q", ["age", "weight"], ["v"], input_size=(8, 8), kind="quantity")
    with pytest.raises(UserError, match="1 logits, but there are 2 classes"):
        quantities.add("cats/0.png", [3.5], {"v": np.ones(5)})
    for k, (first, then) in enumerate((([3.5], [1, 2]), ([1, 2], [3.5]))):
        writer = aa.TableWriter(tmp_path / str(k), ["no", "yes"], ["v"], input_size=(8, 8), kind="sigmoid")
        writer.add("cats/0.png", first, {"v": np.ones(5)})
        with pytest.raises(UserError, match=f"{len(then)} logits, but those before are {len(first)}"):
            writer.add("cats/1.png", then, {"v": np.ones(5)})
        writer.close()
        assert json.loads((tmp_path / str(k) / "network.json").read_text())["kind"] == ["softmax", "sigmoid"][k]


def test_the_only_position_of_a_vector_is_kept(tmp_path):
    writer = aa.TableWriter(tmp_path / "out", CLASSES, ["v"], input_size=(8, 8))
    assert [axis.tolist() for axis in writer.positions("cats/0.png", 1, 1)] == [[0], [0]]


def test_what_the_network_cannot_be_is_said_before_any_image(tmp_path):
    for options, said in (
        ({"attributed": ["cat", 0]}, "attributed: a class is there twice"),
        ({"layers": ["a/b", "a__b"]}, "layers: two names would be one folder"),
        ({"kind": "tanh"}, "kind: Input should be 'softmax'"),
    ):
        given = {"layers": ["v"], "input_size": (8, 8), **options}
        with pytest.raises(UserError, match=f"aa.TableWriter: {said}"):
            aa.TableWriter(tmp_path / "out", CLASSES, **given)
    assert not (tmp_path / "out").exists()


def test_probabilities_are_those_of_the_kind():
    logits = np.array([[1.0, 2.0, 4.0], [-900.0, 0.0, 900.0]], np.float32)
    np.testing.assert_allclose(probabilities(logits, "softmax")[1], [0, 0, 1])
    np.testing.assert_allclose(
        probabilities(logits, "softmax")[0], np.exp(logits[0]) / np.exp(logits[0]).sum(), rtol=1e-6
    )
    np.testing.assert_allclose(probabilities(logits, "sigmoid")[1], [0, 0.5, 1], atol=1e-30)
    np.testing.assert_array_equal(probabilities(logits, "quantity"), logits)


def test_a_configuration_of_tables_says_what_it_cannot_have(tmp_path):
    root = export(tmp_path / "out")
    config = {"model": {"tables": root}, "images": {"path": tmp_path}, "atlases": [{"name": "a", "layer": "deep/b"}]}
    with pytest.raises(UserError, match=r"layer deep/b: model.tables has no such layer; did you mean deep/a\?"):
        aa.plan(config, out=tmp_path / "run")
    with pytest.raises(UserError, match="model.range: model.tables say what the network is; leave it out"):
        load({**config, "model": {"tables": root, "range": [0, 1]}})
    said = json.loads((root / "network.json").read_text())
    (root / "network.json").write_text(json.dumps({**said, "attributed": [0, 3]}))
    with pytest.raises(UserError, match="attributed: 3 is none of the 3 classes"):
        aa.plan(config, out=tmp_path / "run")
    with pytest.raises(UserError, match="nowhere does not exist; give the folder that aa.TableWriter made"):
        aa.plan({**config, "model": {"tables": tmp_path / "nowhere"}}, out=tmp_path / "run")
    with pytest.raises(UserError, match="a folder of tables, which stands in a model's place in a configuration alone"):
        aa.plan({**config, "model": {"path": root}}, out=tmp_path / "run")


def loop():
    """The guide's own export."""
    space = {}
    exec(re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S).group(1), space)  # noqa: S102
    return space["export"]


def test_the_guides_code_can_be_read():
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, GUIDE.name, "exec")


def test_the_guides_loop_writes_what_torch_computes(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tables cannot be made here")
    torch.manual_seed(0)
    parts = {"body": torch.nn.Conv2d(3, 4, 3, stride=4, padding=1), "act": torch.nn.ReLU()}
    end = {"pool": torch.nn.AdaptiveAvgPool2d(1), "flat": torch.nn.Flatten(), "head": torch.nn.Linear(4, 3)}
    model = torch.nn.Sequential()
    for name, part in {**parts, **end}.items():
        model.add_module(name, part)
    images = torch.rand(len(PATHS), 3, 24, 24)
    batches = [(PATHS[k : k + 4], images[k : k + 4]) for k in range(0, len(PATHS), 4)]
    loop()(model, batches, ["act"], CLASSES, tmp_path / "out", (24, 24))
    made = extracted(root=tmp_path / "out", layers=["act"])[1]
    rows = made["activations/act"]
    # Pooling and a dense layer: what a position argues for is its activation times the weights, by 36 positions.
    weights = model.head.weight.detach().numpy()
    np.testing.assert_allclose(
        to_numpy(rows["attribution"]), to_numpy(rows["activation"]) @ weights.T / 36, atol=1e-3, rtol=1e-2
    )
    order = [PATHS.index(p) for p in sorted(PATHS, key=aa.image_id)]
    with torch.no_grad():
        np.testing.assert_allclose(to_numpy(made["predictions"]["logits"]), model(images).numpy()[order], rtol=1e-5)
