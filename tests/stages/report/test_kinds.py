"""The page of mistakes where images are of several labels, or have quantities: cases, their order and their words."""

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import measures
from activation_atlas.stages.drawing.surface import Style, Surface
from activation_atlas.stages.extract.predictions import predictions
from activation_atlas.stages.report.errors.cases import NEITHER, Case, read_audit
from activation_atlas.stages.report.errors.maps import Map, Variant
from activation_atlas.stages.report.errors.measured import by_output, headline
from activation_atlas.stages.report.errors.payload import confusions
from activation_atlas.stages.report.errors.telling import line, own_first, title
from activation_atlas.stages.tasks import LABELS, QUANTITIES
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.place import Place
from tests import memory

CLASSES = ["cat", "dog", "owl"]


def run(task, labels, logits, classes, mapped=()):
    ids = [f"{k:032x}" for k in range(len(labels))]
    images = pa.table({"image_id": ids, "label": pa.array(labels, task.stored)})
    odds = np.float32(logits)
    said = predictions(images, odds, odds if task.measured else 1 / (1 + np.exp(-odds)))
    shown = images.append_column("uri", pa.array([f"{k}.png" for k in range(len(labels))]))
    maps = pa.table({"image_id": [ids[k] for k in mapped]}, pa.schema([("image_id", pa.string())]))
    state = {"classes": classes, "thresholds": [0.5] * len(classes)}
    tables = {"images": [shown], "predictions": [said], "maps/a": [maps]}
    inputs = memory.MemoryInputs(tables, {("extract", ""): state})
    inputs.run(measures.STAGE, measures.Params())
    return inputs


def words(case, classes, task):
    return "".join(piece for piece, _ in title(case, classes, task)), line(case, classes, task)


def test_a_case_is_an_image_and_a_class_of_which_it_is_wrong():
    labels = [[0, 1], [2], [], None, [0]]
    logits = [[2, -3.5, 1], [-1, -1, 2], [-2, -2, -2], [1, 1, -4], [-1, -9, 3]]
    inputs = run(LABELS, labels, logits, CLASSES, mapped=[0, 1, 3])
    audit = read_audit(inputs, ["a"], 10)
    found = [(int(c.image_id, 16), c.label, c.pred) for c in audit.cases]
    # By how sure the model was: dog 1 - 0.03, owl 0.95, cat 1 - 0.27, owl 0.73; then what is no mistake.
    assert found == [(0, 1, None), (4, None, 2), (0, None, 2), (4, 0, None), (1, None, None), (3, None, None)]
    assert [c.mistake for c in audit.cases] == [True] * 4 + [False, None] and audit.possible == 6
    assert (audit.images, audit.labelled, audit.mistakes) == (5, 4, 2)
    assert (audit.explained, audit.explained_mistakes) == (3, 1)
    assert dict(audit.counts) == {(1, NEITHER): 1, (0, NEITHER): 1, (NEITHER, 2): 2}
    assert confusions(audit) == [[None, 2, 2], [0, None, 1], [1, None, 1]]
    said = [words(c, CLASSES, audit.task) for c in audit.cases]
    assert said[0] == ("missed dog, 2.9 %", "labels: cat, dog · predicted: cat, owl")
    assert said[1][0] == "falsely called owl, 95.3 %"
    assert [told for told, _ in said[4:]] == ["rightly owl", "taken for cat, dog"] and said[5][1].startswith(
        "no labels"
    )
    rows = {row["name"]: row for row in by_output(inputs, audit)}
    assert (rows["owl"]["missed"], rows["owl"]["false"], rows["cat"]["missed"], rows["cat"]["positives"]) == (
        0,
        2,
        1,
        2,
    )
    assert [what for what, _, _ in headline(inputs)] == ["Mean average precision"]
    fewer = read_audit(inputs, ["a"], 1)
    assert [(c.label, c.pred) for c in fewer.cases] == [(1, None), (None, 2)]  # the worst, and that of another kind


def test_quantities_are_told_with_numbers_the_farthest_off_first():
    labels = [[1.0, 100.0], [2.0, 50.0], None, *([[0.0, 0.0]] * 17)]
    logits = [[1.5, 99], [2, -300], [7, 7], *([[0, 0]] * 17)]
    inputs = run(QUANTITIES, labels, logits, ["height", "mass"], mapped=[2, 3])
    audit = read_audit(inputs, ["a"], 10)
    assert [(int(c.image_id, 16), c.mistake) for c in audit.cases] == [(0, True), (1, True), (3, False), (2, None)]
    assert (audit.labelled, audit.mistakes, audit.explained_mistakes) == (19, 2, 0) and not audit.counts
    said = [words(c, ["height", "mass"], audit.task) for c in audit.cases]
    assert said[0] == ("height 1.5, not 1 · mass 99, not 100", "height: off by +0.5 · mass: off by −1")
    assert said[3] == ("height 7 · mass 7", "no label")
    (first, value, more), _ = headline(inputs)
    assert first == "Mean error of height" and value == "0.02632" and more.endswith("19 labelled images, R² 0.94")


@pytest.mark.parametrize(("measured", "tops"), [(False, [4.0, 4.0]), (True, [4.0, 1.0])])
def test_quantities_have_scales_of_their_own(measured, tops):
    def drawn(target, value):
        flat = Surface(np.full((2, 2), value, np.float32), Place.whole((2, 2)), (2, 2), Style())
        return Map(target, ["predicted"], flat, 0.0, None)

    variant = Variant("saliency", Saliency(), measured=measured)
    pair = [drawn(0, 4.0), drawn(1, 1.0)]
    assert variant.scales(pair) == tops and variant.scales([]) == []
    case = Case("a", 1, None, 0.1, None, None, None, True)
    assert [m.target for m in own_first(case, pair, LABELS)] == [1, 0]
    assert own_first(case, pair, QUANTITIES) == pair
