"""What a label is: one class today, and a second kind that every reader follows by its record alone."""

import math

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import grid, tables
from activation_atlas.stages.explain.selection import frame, select, worst_first
from activation_atlas.stages.explain.targets import resolve
from activation_atlas.stages.extract.predictions import predictions
from activation_atlas.stages.report.errors.cases import read_audit
from activation_atlas.stages.report.evidence import read_score
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.tasks import CLASSES, TASKS, Task, assigned, labelled, mistaken, right, task_of
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
    with pytest.raises(ValueError, match="labels of type double are of no kind of answer: classes"):
        task_of(pa.float64())


BOTH = pa.list_(pa.bool_(), 2)


def _pairs(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    found = [(i, k) for i, row in enumerate(column.to_pylist()) for k, there in enumerate(row or ()) if there]
    return tuple(np.array(found, np.int64).reshape(-1, 2).T)


SEVERAL = Task(
    "two labels",
    BOTH,
    predict=lambda logits: pa.array((logits > 0).tolist(), BOTH),
    correct=lambda pred, label: pa.array(
        [None if y is None else y == x for x, y in zip(pred.to_pylist(), label.to_pylist(), strict=True)], pa.bool_()
    ),
    pairs=_pairs,
)
IDS = [f"{k:032x}" for k in range(6)]
LOGITS = np.float32([[2, 1], [2, -1], [-1, -2], [-1, 3], [1, 2], [3, -1]])
LABELS = [[True, True], [True, True], [False, False], [False, True], None, [False, True]]
RIGHT = [True, False, True, True, None, False]


@pytest.fixture
def run(monkeypatch):
    """Six images of a model with two independent answers, all in one cell."""
    monkeypatch.setitem(TASKS, SEVERAL.name, SEVERAL)
    schema = tables.images(task=SEVERAL)
    rows = [{"image_id": i, "uri": f"{i}.png", "label": label} for i, label in zip(IDS, LABELS, strict=True)]
    images = pa.Table.from_pylist(rows, schema)
    said = predictions(images, LOGITS, 1 / (1 + np.exp(-LOGITS)))
    keys = [pa.array(IDS), pa.array([0] * 6, pa.int16()), pa.array([0] * 6, pa.int16())]
    layout = pa.table([*keys, *(pa.array([0.1] * 6, pa.float32()) for _ in "xy")], schema=tables.layouts())
    rows = pa.table([*keys, tables.from_numpy(np.ones((6, 3), np.float16))], schema=tables.activations(3, 0, "float16"))
    parts = {"images": images, "predictions": said, "layouts/a": layout, "activations/l": rows}
    return MemoryInputs({name: [part] for name, part in parts.items()}, {("extract", ""): {"classes": NAMES}})


def test_another_kind_of_label_is_one_more_record(run):
    said = run.part("predictions", 0)
    assert said["label"].type == said["pred"].type == BOTH and said["correct"].to_pylist() == RIGHT
    assert said["label_prob"][1].as_py() == pytest.approx(1 / (1 + math.e))  # the least of the label's
    data = frame(run.part("images", 0), said.drop_columns(["logits"]), NAMES)
    assert data["label"].fillna("?").tolist() == ["cat, dog", "cat, dog", "", "dog", "?", "dog"]
    assert np.flatnonzero(select("errors", data)).tolist() == [1, 5]
    assert np.flatnonzero(select('label == "dog" and not correct', data)).tolist() == [5]
    assert set(worst_first(data)[:2]) == {1, 5}
    assert resolve(["predicted", "label"], LOGITS[1], LABELS[1], NAMES, SEVERAL) == {
        0: ["predicted", "label"],
        1: ["label"],
    }
    assert resolve(["predicted", "label"], LOGITS[2], None, NAMES, SEVERAL) == {}
    assert resolve(["predicted", "second"], LOGITS[4], None, NAMES, SEVERAL) == {
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
    assert dict(audit.counts) == {(1, 1): 1, (1, 0): 1}  # of one class and taken for one
    assert {case.image_id for case in audit.cases} == {IDS[1], IDS[5]}
