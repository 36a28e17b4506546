"""Measures of the model: against scikit-learn, by brute force and by hand."""

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import measures, tables
from activation_atlas.stages.extract.predictions import predictions
from activation_atlas.stages.measures.of_labels import Ranked, average_precision, best_f1, f1
from activation_atlas.stages.measures.of_quantities import errors
from activation_atlas.stages.measures.resampling import DRAWS, draws, interval
from activation_atlas.stages.tasks import LABELS, QUANTITIES, Values, Worst, judged
from tests.memory import MemoryInputs
from tests.stages.rows import blobs, memory


def scored(seed, n=60, ties=False):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    scores = rng.normal(positive, 1.0)
    return np.round(scores) if ties else scores, positive


@pytest.mark.slow  # the import of scikit-learn
@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties):
    from sklearn.metrics import average_precision_score

    for seed in range(5):
        scores, positive = scored(seed, ties=ties)
        ranked = Ranked.of(scores, positive)
        assert average_precision(ranked) == pytest.approx(average_precision_score(positive, scores))
        times = next(draws(60, seed))
        again = average_precision_score(positive, scores, sample_weight=times)
        assert average_precision(ranked, times) == pytest.approx(again)
    assert np.isnan(average_precision(Ranked.of(scores, np.zeros(60, bool))))


@pytest.mark.parametrize("ties", [False, True])
def test_best_f1_by_trying_every_threshold(ties):
    scores, positive = scored(7, ties=ties)
    tried = {t: 2 * (positive & (scores >= t)).sum() / ((scores >= t).sum() + positive.sum()) for t in scores}
    value, threshold = best_f1(Ranked.of(scores, positive))
    assert value == pytest.approx(max(tried.values()))
    assert threshold == max(t for t, own in tried.items() if own == max(tried.values()))
    assert f1(np.array([2, 0]), np.array([4, 0]), np.array([2, 0])).tolist() == pytest.approx(
        [2 / 3, np.nan], nan_ok=True
    )


def test_quantities_by_hand():
    label, pred = np.array([[1.0], [2], [3], [6]]), np.array([[2.0], [2], [1], [6]])
    mae, rmse, r2 = errors(pred - label, label)[:, 0]
    # |r| = 1, 0, 2, 0; the labels' squares from their mean of 3: 4 + 1 + 0 + 9.
    assert (mae, rmse, r2) == pytest.approx((3 / 4, np.sqrt(5 / 4), 1 - 5 / 14))
    twice = np.array([2, 0, 1, 1])
    rows = np.repeat(np.arange(4), twice)
    np.testing.assert_allclose(errors(pred - label, label, twice), errors((pred - label)[rows], label[rows]))
    assert np.isnan(errors(np.ones((3, 1)), np.full((3, 1), 0.3))[2, 0])  # all labels alike
    second = 1.7e9 + label  # seconds since 1970: what varies is a billionth of what is measured
    assert errors(pred - label, second)[2, 0] == pytest.approx(1 - 5 / 14)
    assert np.isnan(errors(pred - label, second, np.array([0, 4, 0, 0]))[2, 0])


def test_intervals_are_of_images_drawn_again():
    drawn = [times for times in draws(5, 3)]
    assert len(drawn) == DRAWS and all(times.sum() == 5 for times in drawn)
    assert all((a == b).all() for a, b in zip(drawn, draws(5, 3), strict=True))
    low, high = interval(np.array([[float(k), np.nan] for k in range(101)]))
    assert (low[0], high[0]) == (2.5, 97.5) and np.isnan(low[1])


def ran(task, labels, logits, classes, parts=2):
    ids = [f"{k:032x}" for k in range(len(labels))]
    made = []
    for rows in np.array_split(np.arange(len(labels)), parts):
        images = pa.table(
            {"image_id": [ids[k] for k in rows], "label": pa.array([labels[k] for k in rows], task.stored)}
        )
        said = np.asarray(logits, np.float32)[rows]
        made.append(predictions(images, said, 1 / (1 + np.exp(-said))))
    state = {"classes": classes, "thresholds": [0.5] * len(classes), "input_size": [8, 8]}
    inputs = MemoryInputs({"predictions": made}, {("extract", ""): state})
    rows = inputs.run(measures.STAGE, measures.Params())["measures"]
    assert rows.schema == tables.measures()
    return inputs, {(row["name"], row["measure"]): row for row in rows.to_pylist()}


def test_labels_class_by_class():
    labels = [[0], [0, 1], [], [1], None, [0]]
    logits = [[2, -1], [1, -2], [3, -3], [-1, 2], [9, 9], [-2, -4]]
    inputs, found = ran(LABELS, labels, logits, ["cat", "dog"])
    cat = {what: found["cat", what] for what in ("average_precision", "f1", "recall", "precision", "best_f1")}
    assert (cat["recall"]["value"], cat["precision"]["value"]) == (2 / 3, 2 / 3) and cat["recall"]["positives"] == 3
    # By falling score: no cat, cat, cat, no cat, cat.
    assert cat["average_precision"]["value"] == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert cat["best_f1"]["value"] == pytest.approx(3 / 4) and cat["best_f1"]["threshold"] == pytest.approx(
        0.1192, abs=1e-4
    )
    assert cat["f1"]["low"] <= cat["f1"]["value"] <= cat["f1"]["high"] and cat["f1"]["threshold"] == 0.5
    assert found[None, "accuracy"]["value"] == 2 / 5 and found[None, "accuracy"]["images"] == 5
    mean = (cat["average_precision"]["value"] + found["dog", "average_precision"]["value"]) / 2
    assert found[None, "mean_average_precision"]["value"] == pytest.approx(mean)
    other, _ = ran(LABELS, labels, logits, ["cat", "dog"], parts=3)
    assert other.table("measures").equals(inputs.table("measures"))


def test_one_class_each_and_no_labels_at_all():
    inputs = memory(blobs(30), labels=[0, 0, 1, None, 0, 1], pred=[0, 2, 1, 1, 2, 0])
    rows = inputs.run(measures.STAGE, measures.Params())["measures"].to_pylist()
    found = {(row["name"], row["measure"]): row["value"] for row in rows}
    assert found[None, "accuracy"] == 2 / 5
    assert (found["fireboat", "recall"], found["streetcar", "recall"], found["otter", "recall"]) == (1 / 3, 1 / 2, None)
    assert (found["fireboat", "precision"], found["otter", "precision"]) == (1 / 2, 0)
    _, found = ran(LABELS, [None] * 3, np.zeros((3, 2)), ["cat", "dog"])
    assert not found


def test_the_worst_tenth_of_quantities_are_errors():
    pred = np.zeros((20, 2))
    label = np.c_[np.arange(20) / 100, np.r_[np.zeros(19), 50.0]]  # of very different scales
    labels = [*label.tolist()[:10], None, *label.tolist()[11:]]
    inputs, found = ran(QUANTITIES, labels, pred, ["small", "large"])
    state = inputs.state("measures", "")
    told = judged(inputs.table("predictions"), state)
    wrong = [k for k, right in enumerate(told["correct"].to_pylist()) if right is False]
    assert wrong == [18, 19] and told["correct"][10].as_py() is None  # two of 19: the tenth, rounded up
    assert told["severity"].to_numpy().argmax() == 19 and told["severity"][10].as_py() == -np.inf
    assert found["large", "mae"]["value"] == pytest.approx(50 / 19) and found["large", "mae"]["positives"] is None
    exact = Values(np.ones((5, 1)), np.ones((5, 1)))
    assert Worst.of(exact).apart(exact).tolist() == [0] * 5
    nothing = Values(np.ones((2, 1)), np.full((2, 1), np.nan))
    assert Worst.of(nothing).least == np.inf
