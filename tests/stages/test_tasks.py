"""What a label is: one class, several, or quantities, and that every reader follows the record of its kind."""

import math

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import grid, tables
from activation_atlas.stages.explain.said import known
from activation_atlas.stages.explain.selection import frame, select, worst_first
from activation_atlas.stages.explain.targets import resolve
from activation_atlas.stages.extract.predictions import predictions
from activation_atlas.stages.report.errors.cases import NEITHER, read_audit
from activation_atlas.stages.report.score import read_score
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.tasks import (
    CLASSES,
    LABELS,
    QUANTITIES,
    assigned,
    labelled,
    log_odds,
    mistaken,
    right,
    task_of,
)
from tests.memory import MemoryInputs

NAMES = ["cat", "dog"]


def test_one_class_each():
    labels = assigned(pa.chunked_array([[2, None], [0, 2]], pa.int32()), pa.array([1], pa.int32()))
    assert labels.known.tolist() == [True, False, True, True, True] and len(labels) == 5
    assert labels.only.tolist() == [2, -1, 0, 2, 1] and labels.counts(4).tolist() == [1, 1, 2, 0]
    assert labels.of(2).tolist() == [True, False, False, True, False]
    assert labels.of(0, 1).tolist() == [False, False, True, False, True] and not labels.of().any()
    assert labels.names(["a", "b", "c"]).tolist() == ["c", None, "a", "c", "b"]
    place, index = labels.each(np.array([4, 1, 0, 0]))
    assert place.tolist() == [0, 2, 3] and index.tolist() == [1, 2, 2]
    probabilities = np.arange(15, dtype=np.float32).reshape(5, 3)
    assert labels.least(probabilities).to_pylist() == [2, None, 6, 11, 13]
    pred = CLASSES.predict(np.float32([[0, 1, 1], [0, 0, 0], [3, 2, 1]]))  # the first of equals
    assert pred.to_pylist() == [1, 0, 0] and CLASSES.predict(np.zeros((0, 3))).to_pylist() == []
    correct = CLASSES.correct(pred, pa.array([1, None, 2], pa.int32()))
    assert correct.to_pylist() == [True, None, False] and labelled(correct).tolist() == [True, False, True]
    assert right(correct).tolist() == [True, False, False] and mistaken(correct).tolist() == [False, False, True]
    assert CLASSES.classes(None) == [] and CLASSES.classes(2) == [2] and CLASSES.predicted(np.array([0, 3])) == [1]
    with pytest.raises(ValueError, match="labels of type double are of no kind of answer: classes, labels, quantities"):
        task_of(pa.float64())


def test_several_labels_are_lists():
    label = pa.array([[0, 2], None, [], [1]], LABELS.stored)
    logits = np.float32([[1, -1, 0], [-1, -1, -1], [-1, -1, 1e-9], [-1, 0, -1]])
    pred = LABELS.predict(logits)
    assert pred.to_pylist() == [[0, 2], [], [2], [1]] and LABELS.predict(logits[:0]).to_pylist() == []
    assert LABELS.correct(pred, label).to_pylist() == [True, None, False, True]
    assert LABELS.classes([0, 2]) == [0, 2] and LABELS.classes(None) == [] == LABELS.classes([])
    assert LABELS.predicted(logits[0]) == [0, 2]
    labels, said = assigned(label[1:], label[:1]), assigned(pred)
    assert labels.known.tolist() == [False, True, True, True] and labels.only.tolist() == [-1, -1, 1, -1]
    false = said.without(assigned(label))
    assert false.known.tolist() == [True, False, True, True]
    assert (false.image.tolist(), false.index.tolist()) == ([2], [2])
    assert log_odds([0.5, 0.75]).tolist() == pytest.approx([0, math.log(3)])


def test_quantities_are_of_no_class_and_neither_right_nor_wrong():
    label, pred = pa.array([[1.5, 2.0], None], QUANTITIES.stored), QUANTITIES.predict(np.float32([[1, 2], [3, -4]]))
    assert pred.to_pylist() == [[1, 2], [3, -4]] and QUANTITIES.correct(pred, label).to_pylist() == [None, None]
    assert QUANTITIES.classes([1.0, 2.0]) == QUANTITIES.predicted(np.float32([7, 8])) == [0, 1]
    assert QUANTITIES.classes(None) == [] and labelled(label).tolist() == [True, False]
    assert not assigned(label).known.any() and assigned(label).names(NAMES).tolist() == [None, None]
    assert task_of(label.type) is QUANTITIES and QUANTITIES.unnamed(2) == ["output 0", "output 1"]


IDS = [f"{k:032x}" for k in range(6)]
LOGITS = np.float32([[2, 1], [2, -1], [-1, -2], [-1, 3], [1, 2], [3, -1]])
TRUTH = [[0, 1], [0, 1], [], [1], None, [1]]
RIGHT = [True, False, True, True, None, False]


@pytest.fixture
def run():
    """Six images of a model with two independent answers, all in one cell."""
    schema = tables.images(task=LABELS)
    rows = [{"image_id": i, "uri": f"{i}.png", "label": label} for i, label in zip(IDS, TRUTH, strict=True)]
    images = pa.Table.from_pylist(rows, schema)
    said = predictions(images, LOGITS, 1 / (1 + np.exp(-LOGITS)))
    keys = [pa.array(IDS), pa.array([0] * 6, pa.int16()), pa.array([0] * 6, pa.int16())]
    layout = pa.table([*keys, *(pa.array([0.1] * 6, pa.float32()) for _ in "xy")], schema=tables.layouts())
    rows = pa.table([*keys, tables.from_numpy(np.ones((6, 3), np.float16))], schema=tables.activations(3, 0, "float16"))
    parts = {"images": images, "predictions": said, "layouts/a": layout, "activations/l": rows}
    return MemoryInputs({name: [part] for name, part in parts.items()}, {("extract", ""): {"classes": NAMES}})


def test_several_labels_of_an_image(run):
    said = run.part("predictions", 0)
    assert said["label"].type == said["pred"].type == LABELS.stored and said["pred"].to_pylist()[2:4] == [[], [1]]
    assert said["correct"].to_pylist() == RIGHT
    assert said["label_prob"][1].as_py() == pytest.approx(1 / (1 + math.e))  # the least of the label's
    data = frame(run.part("images", 0), said.drop_columns(["logits"]), NAMES)
    assert data["label"].fillna("?").tolist() == ["cat, dog", "cat, dog", "", "dog", "?", "dog"]
    assert np.flatnonzero(select("errors", data)).tolist() == [1, 5]
    assert np.flatnonzero(select('label == "dog" and not correct', data)).tolist() == [1, 5]
    assert np.flatnonzero(select('missed == "dog"', data)).tolist() == [1, 5]
    assert np.flatnonzero(select('false == "cat" and label != "cat"', data)).tolist() == [5]
    assert np.flatnonzero(select('"cat" == pred', data)).tolist() == [0, 1, 4, 5]
    assert np.flatnonzero(select('label.isin(["cat"]) and `pred` == "cat"', data)).tolist() == [0, 1]
    assert np.flatnonzero(select('label in ["cat", "dog"]', data)).tolist() == [0, 1, 3, 5]
    assert np.flatnonzero(select('label not in ["cat"]', data)).tolist() == [2, 3, 5]
    assert np.flatnonzero(select('label.str.contains("cat, dog")', data)).tolist() == [0, 1]
    assert set(worst_first(data)[:2]) == {1, 5}
    # Image 1 misses the dog, of logit -1, image 5 the same and sees a cat, of logit 3, where there is none.
    ranked = known(run, ranked=True)
    assert ranked["severity"].to_pylist()[1] == pytest.approx(1 / (1 + math.exp(-1)))
    assert ranked["severity"].to_pylist()[5] == pytest.approx(1 / (1 + math.exp(-3)))
    assert ranked.drop_columns(["severity"]) == known(run, ranked=False).drop_columns(["severity"])
    assert worst_first(frame(run.part("images", 0), ranked, NAMES))[:2].tolist() == [5, 1]
    assert resolve(["predicted", "label"], LOGITS[1], TRUTH[1], NAMES, LABELS) == {
        0: ["predicted", "label"],
        1: ["label"],
    }
    assert resolve(["predicted", "label"], LOGITS[2], None, NAMES, LABELS) == {}
    assert resolve(["missed", "false"], LOGITS[5], TRUTH[5], NAMES, LABELS) == {1: ["missed"], 0: ["false"]}
    assert resolve(["missed", "false"], LOGITS[4], None, NAMES, LABELS) == {}
    assert resolve(["predicted"], LOGITS[5], None, NAMES, LABELS, pred=[1]) == {1: ["predicted"]}  # its threshold
    assert resolve(["predicted", "second"], LOGITS[4], None, NAMES, LABELS) == {
        0: ["predicted", "second"],
        1: ["predicted"],
    }


def test_error_rates_follow_the_record(run):
    params = grid.Params(view=ViewSpec(name="a", layer="l"), grids=[1], min_count=1)
    cell = run.run(grid.STAGE, params, "a")["grids/a"].to_pylist()[0]
    assert cell["error_rate"] == pytest.approx(2 / 5)
    assert cell["label_entropy"] == pytest.approx(-(2 / 6 * math.log2(2 / 6) + 4 / 6 * math.log2(4 / 6)))  # of mentions
    score, audit = read_score(run), read_audit(run, [], 10)
    assert (score.images, score.labelled, score.correct) == (6, 5, 3)
    assert (audit.images, audit.labelled, audit.mistakes) == (6, 5, 2)
    assert dict(audit.counts) == {(1, NEITHER): 2, (NEITHER, 0): 1}  # a dog missed twice, a cat seen where none is
    assert sorted(case.image_id for case in audit.cases) == [IDS[1], IDS[5], IDS[5]]
