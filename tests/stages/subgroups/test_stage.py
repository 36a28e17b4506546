"""The table of groups of every kind of answer, and what is said of what cannot be told."""

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import subgroups, tables
from activation_atlas.stages.extract.predictions import predictions
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.subgroups import STAGE, Params
from activation_atlas.stages.tasks import CLASSES, LABELS, QUANTITIES
from tests.memory import CountedInputs, MemoryInputs

NAMES = ["cat", "dog", "fox"]


def folder(logits, labels, task=CLASSES, parts=3, kind=MemoryInputs, classes=NAMES, content=None, **meta):
    """A run folder after extract; ``meta``: columns of the images."""
    n = len(labels)
    columns = {f"meta.{name}": pa.array(values) for name, values in meta.items()}
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    ids = pa.array([f"{k:016x}" for k in range(n)])
    size, split = pa.array([8] * n, pa.int32()), pa.nulls(n, pa.string())
    plain = {"image_id": ids, "uri": ids, "label": pa.array(labels, task.stored), "split": split, **columns}
    plain |= {"sha256": pa.array(content or ids, pa.string()), "width": size, "height": size}
    whole = pa.table(plain, schema=tables.images(fields, task))
    logits = np.asarray(logits, np.float32)
    cut = [whole.slice(int(r[0]), len(r)) for r in np.array_split(np.arange(n), parts)]
    made, start = [], 0
    for images in cut:
        own = logits[start : start + len(images)]
        raised = np.exp(own - own.max(1, keepdims=True))
        chance = 1 / (1 + np.exp(-own)) if task.several else raised / raised.sum(1, keepdims=True)
        made.append(predictions(images, own, chance))
        start += len(images)
    return kind({"images": cut, "predictions": made}, {("extract", ""): {"classes": classes}})


def ran(inputs, **params):
    table = inputs.run(STAGE, Params(**params))["groups"]
    assert table.schema == tables.groups() and table["rank"].to_pylist() == list(range(len(table)))
    rows = table.to_pylist()
    return {tuple(v for v in (r["column"], r["value"], r["and_column"], r["and_value"]) if v): r for r in rows}


def scored(labels, pred, sure=2.0):
    """Logits that predict ``pred``."""
    found = np.zeros((len(labels), len(NAMES)))
    found[np.arange(len(labels)), pred] = sure
    return found


def test_groups_by_hand():
    # 40 images: cats are got right at site A (20 of 20) and half at site B (5 of 10); dogs always (10).
    label = [0] * 30 + [1] * 10
    pred = [0] * 25 + [1] * 5 + [1] * 10
    site = ["A"] * 20 + ["B"] * 10 + ["B"] * 10
    found = ran(folder(scored(label, pred), label, site=site))
    row = found["site", "B"]
    assert (row["images"], row["labelled"], row["errors"], row["measure"]) == (20, 20, 5, "accuracy")
    assert (row["accuracy"], row["gap"], row["against"]) == (0.75, -0.25, "the rest")
    assert (row["low"], row["high"]) == pytest.approx((0.5313, 0.8881), abs=1e-4)
    assert row["p_value"] == pytest.approx(2 * 0.0235622, rel=1e-4)  # (35 choose 15) (5 choose 5) / (40 choose 20)
    assert [(c["class"], c["images"], c["score"]) for c in row["by_class"]] == [(0, 10, 0.5), (1, 10, 1.0)]
    cats = found["label", "cat", "site", "B"]
    assert (cats["accuracy"], cats["errors"], cats["kind"]) == (0.5, 5, "intersection")
    # Beside the cats of site A and the dogs of site B, which are all right: the latter are fewer, and tell less.
    assert cats["gap"] == -0.5 and cats["p_value"] == pytest.approx(2 * 252 / 15504, rel=1e-4)
    assert ("label", "dog", "site", "B") not in found and ("label", "cat", "site", "A") not in found  # dogs, and A
    # Surely worse, of two tests of each kind and one intersection; labels are not: p = .3 and q no less.
    sure = [("label", "cat", "site", "B"), ("prediction", "dog"), ("site", "B")]
    assert list(found)[:3] == sure and sure == [k for k, r in found.items() if r["q_value"] < 0.05 and r["gap"] < 0]
    assert (
        found["prediction", "dog"]["accuracy"] == pytest.approx(2 / 3)
        and found["prediction", "dog"]["by_class"] is None
    )
    assert found["site", "A"]["q_value"] == row["q_value"] == row["p_value"]  # of two tests with the same p
    assert row["text"] == (
        f"site = B: 15 of 20 images right, 75.0 % (53.1 to 88.8), few images, estimate {100 * row['shrunk']:.1f} %, "
        "−25.0 points (−46.9 to −3.8) beside the rest; q = 0.047"
    )
    assert 0.75 < row["shrunk"] < 0.875


def test_small_groups_are_shrunk_marked_and_say_what_is_missing():
    label = [0] * 60 + [2] * 3
    found = ran(folder(scored(label, [0] * 55 + [1] * 5 + [1, 1, 2]), label))
    fox, cat = found["label", "fox"], found["label", "cat"]
    assert fox["small"] and not cat["small"] and fox["p_value"] is None and fox["q_value"] is None
    assert fox["about"] == "3 images: a test needs 10, 7 more" and fox["text"].endswith(fox["about"])
    assert fox["accuracy"] == pytest.approx(1 / 3) and 1 / 3 < fox["shrunk"] < cat["accuracy"]
    assert cat["about"] == "3 other images: a test needs 10, 7 more" and fox["ece"] is None and cat["ece"] is not None


def test_one_class_and_nothing_beside_it():
    found = ran(folder(scored([0] * 12, [0] * 12), [0] * 12))
    assert found["label", "cat"]["about"] == "no other images to compare with: a test needs 10"
    assert found["label", "cat"]["gap"] is None and found["label", "cat"]["accuracy"] == 1


def test_images_without_labels_are_counted_apart():
    label = [0, 0, None, None] * 10
    found = ran(folder(scored(label, [0, 1, 0, 0] * 10), label, site=["A", "B", "A", None] * 10))
    a, missing = found["site", "A"], found["site", "(missing)"]
    assert (a["images"], a["labelled"], a["errors"], a["accuracy"]) == (20, 10, 0, 1)
    assert missing["accuracy"] is None and missing["about"] == "no labelled images: none to test"
    assert missing["rank"] == max(row["rank"] for row in found.values())
    assert missing["text"] == "site = (missing): 10 images; no labelled images: none to test"


def test_no_labels_at_all_are_compared_by_confidence():
    sure = np.array([4.0, 1.0] * 40)[:, None]
    inputs = folder(scored([0] * 80, [0, 1] * 40) * sure / 2, [None] * 80, site=["A", "B"] * 40)
    found = ran(inputs)
    row = found["site", "B"]
    assert row["measure"] == "confidence" and row["errors"] is None and row["accuracy"] is None and row["ece"] is None
    assert row["confidence"] == pytest.approx(np.e / (np.e + 2), rel=1e-5) and row["q_value"] < 0.01
    assert "label" not in {row["kind"] for row in found.values()} and row["text"].startswith(
        "site = B: mean confidence 0.57"
    )


def test_several_labels():
    labels = [[0], [0, 1], [], [1], [2, 0]] * 12
    logits = [[1, -1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1], [1, -1, 1]] * 12
    found = ran(folder(logits, labels, LABELS, site=["A", "A", "A", "B", "B"] * 12))
    dog = found["label", "dog"]
    assert (dog["images"], dog["accuracy"], dog["ece"]) == (24, 0.5, None)
    assert {c["class"]: c["score"] for c in found["site", "A"]["by_class"]} == {0: 1.0, 1: 0.0}
    assert found["label", "dog", "site", "A"]["accuracy"] == 0


def test_quantities():
    rng = np.random.default_rng(0)
    truth = np.linspace(0, 9, 100)[:, None]
    said = truth + np.where(np.arange(100) % 2, 0.5, 2.0)[:, None] * rng.choice([-1, 1], (100, 1))
    labels = [*truth.tolist()[:-1], None]
    inputs = folder(said, labels, QUANTITIES, classes=["age"], site=["A", "B"] * 50)
    found = ran(inputs)
    a = found["site", "A"]
    assert (a["measure"], a["accuracy"], a["errors"], a["confidence"]) == ("mae", None, None, None)
    assert (
        a["mae"] == pytest.approx(2, abs=1e-5)
        and a["gap"] == pytest.approx(1.5, abs=1e-5)
        and a["rank"] < found["site", "B"]["rank"]
    )
    assert a["q_value"] < 1e-6 and a["by_class"][0]["score"] == pytest.approx(2, abs=1e-5)
    assert found["label: age", "0 to 1.727"]["images"] == 20 and "label: age (0 to 1.727, ...)" in inputs.notes[0]
    # Two of very different scale, each off by its root mean square error: (1 + 1) / 2 in units of these.
    two = folder([[1.0, 100]] * 20, [[0.0, 0]] * 20, QUANTITIES, classes=["age", "pay"], site=["A", "B"] * 10)
    row = ran(two)["site", "A"]
    assert row["mae"] == pytest.approx(1) and [c["score"] for c in row["by_class"]] == [1, 100]
    assert row["p_value"] == 1 and row["gap_low"] == row["gap_high"] == 0
    nothing = folder(said, [None] * 100, QUANTITIES, classes=["age"], site=["A", "B"] * 50)
    assert not ran(nothing) and "give labels" in nothing.warnings[0]


def test_what_is_binned_or_left_out_is_said():
    label = [0, 1] * 50
    meta = {
        "path": [f"{k}.png" for k in range(100)],
        "age": list(range(100)),
        "name": ["cat", "dog"] * 50,
        "empty": ["x"] * 100,
    }
    inputs = folder(scored(label, label), label, **meta)
    found = ran(inputs)
    assert inputs.notes[0] == (
        "audit.groups: numbers and dates are cut into up to 5 groups of as many images each: age (0 to 19, ...)"
    )
    assert inputs.notes[1] == (
        "audit.groups: left out: path (100 values, of fewer than 10 images each), name (the same groups as label), "
        "empty (the same value everywhere)"
    )
    assert {key[0] for key in found} == {"label", "prediction", "age"}
    assert ("label", "cat", "age", "0 to 19") in found and not any(len(k) > 2 for k in ran(inputs, intersections=False))
    assert ran(folder(scored(label, label), label, **meta), columns=[]).keys() == {
        (kind, name) for kind in ("label", "prediction") for name in ("cat", "dog")
    }


def test_columns_that_are_not_there_are_refused():
    inputs = folder(scored([0], [0]), [0], parts=1, site=["A"])
    with pytest.raises(UserError, match="audit.groups: unknown column 'sites'; did you mean site"):
        STAGE.check[1](inputs, Params(columns=["sites"]))
    STAGE.check[1](inputs, Params(columns=["meta.site"]))
    asked = folder(scored([0] * 4, [0] * 4), [0] * 4, id=[*"abcd"], parts=1, only=["x"] * 4)
    ran(asked, columns=["only"])
    assert asked.warnings == ["audit.groups: left out: only (the same value everywhere)"]


def test_the_same_table_however_it_is_cut_and_little_is_held():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 400).tolist()
    pred = [k if rng.random() < 0.8 else 0 for k in label]
    meta = {"site": rng.choice([*"ABC"], 400).tolist(), "age": rng.normal(size=400).tolist()}
    logits = scored(label, pred)
    one, many = (folder(logits, label, parts=p, kind=CountedInputs, **meta) for p in (1, 40))
    assert ran(one) == ran(many)
    assert one.tables["groups"][0].equals(many.tables["groups"][0])
    read = [columns for _, _, columns in many.read if columns is not None]
    assert len(read) >= len(many.read) - 2 and not any("logits" in columns for columns in read)


def test_pairs_of_columns_are_crossed_where_there_are_images_for_it(monkeypatch):
    label = [0, 1] * 50
    meta = {"site": [*"AABB"] * 25, "day": [*"12345"] * 20, "hour": list(range(10)) * 10, "many": list(range(20)) * 5}
    inputs = folder(scored(label, label), label, **meta)
    crossed = {(key[0], key[2]) for key in ran(inputs) if len(key) == 4}
    assert crossed == {("label", "site"), ("label", "day"), ("site", "day")}
    assert inputs.notes == [
        "audit.groups: 7 of 10 pairs of columns not crossed, for want of 10 images a group: label and hour, "
        "label and many, site and hour, site and many, day and hour, ..."
    ]
    monkeypatch.setattr(subgroups, "CELLS", 10)
    again = folder(scored(label, label), label, **meta)
    assert {(key[0], key[2]) for key in ran(again) if len(key) == 4} == {("label", "site")}
    assert again.notes[0] == "audit.groups: 2 of 3 pairs of columns left out: over 10 groups"


def test_files_that_repeat_are_said():
    content = [f"{k // 2:064x}"[::-1] for k in range(40)]
    inputs = folder(scored([0] * 40, [0] * 40), [0] * 40, content=content)
    ran(inputs)
    assert len(inputs.warnings) == 1 and "20 of 40 images hold the same bytes as another" in inputs.warnings[0]


@pytest.mark.slow
def test_sure_labels_make_no_room_for_chance_among_the_others():
    rng = np.random.default_rng(5)
    false = []
    for _ in range(30):
        label = rng.integers(0, 3, 300)
        pred = np.where(rng.random(300) < np.array([0.95, 0.8, 0.3])[label], label, (label + 1) % 3)
        meta = {f"noise{k}": rng.integers(0, 4, 300).astype(str).tolist() for k in range(6)}
        found = ran(folder(scored(label, pred), label.tolist(), **meta), intersections=False)
        assert found["label", "fox"]["rank"] <= 1 and found["label", "fox"]["q_value"] < 1e-6
        false.append(any(row["q_value"] < 0.05 for row in found.values() if row["kind"] == "metadata"))
    assert np.mean(false) <= 0.1


def test_a_run_without_images_has_no_groups():
    assert not ran(MemoryInputs({}, {("extract", ""): {"classes": NAMES}}))
