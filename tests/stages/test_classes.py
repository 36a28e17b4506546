"""From a class's name to its index: one rule, and every place that asks goes by it."""

import numpy as np
import pytest

from activation_atlas.stages import report
from activation_atlas.stages.classes import class_index
from activation_atlas.stages.explain.targets import check, resolve
from activation_atlas.stages.extract import attributed
from activation_atlas.stages.groups import resolved
from activation_atlas.stages.reduce.members import attributed_index
from activation_atlas.stages.stage import UserError
from tests.memory import MemoryInputs
from tests.stages.report.test_numbers import atlas_of

CRANES = ["crane", "heron", "crane"]
KERAS = ["crane (n02012849)", "heron", "crane (n03126707)", "maillot"]
FAMILIES = ["crane", "crane (n03126707)"]


def test_a_class_by_its_name_or_its_index():
    for name, classes, index in (
        ("dog", ["cat", "dog"], 1),
        ("1", ["cat", "dog"], 1),
        ("1", ["7", "1"], 1),
        ("7", ["10", "20", "007"], 2),
        ("2", CRANES, 2),
        ("crane (n03126707)", KERAS, 2),
        ("crane", FAMILIES, 0),
    ):
        assert class_index(name, classes, "here") == index


@pytest.mark.parametrize(
    ("name", "classes", "said"),
    [
        ("crane", CRANES, "2 classes are called crane, 0 and 2; give an index"),
        ("crane", KERAS, "2 classes are called crane, 0 and 2; say which: 'crane (n02012849)' or 'crane (n03126707)'"),
        ("7", ["07", "1", "007"], "2 classes are called 7, 0 and 2; say which: '07' or '007'"),
        ("7", ["7", "7"], "2 classes are called 7, 0 and 1; tell them apart in model.classes"),
        ("2", ["cat", "dog"], "there is no class 2; the model's are 0 to 1"),
        ("1", ["10", "20"], "unknown class '1'; did you mean 10?"),
        ("maillots", KERAS, "unknown class 'maillots'; did you mean maillot?"),
        ("9" * 5000, ["cat"], "unknown class '999"),
        ("", ["cat"], "unknown class ''; there is cat"),
    ],
)
def test_what_is_no_class_or_several_is_one_line(name, classes, said):
    with pytest.raises(UserError) as error:
        class_index(name, classes, "here")
    assert str(error.value).startswith(f"here: {said}") and "\n" not in str(error.value)


def extract(classes):
    return {"classes": classes, "attributed": list(range(len(classes)))}


def asked_of_report(name, classes):
    params = report.Params(views=[], images={"path": "x"}, report={"classes": [name]}, title="t")
    report.STAGE.check[1](MemoryInputs(states={("extract", ""): extract(classes)}), params)


def asked_of_atlas(name, classes):
    atlas = atlas_of(None, len(classes), class_=name)
    atlas.classes = classes
    return atlas.own_classes


ASKS = {
    "extract.attribution": lambda name, classes: attributed([name], classes),
    "atlas 'late'": lambda name, classes: attributed_index(name, extract(classes), "late"),
    "atlas 'a'": asked_of_atlas,
    "explain.targets": lambda name, classes: check([name], classes),
    "target": lambda name, classes: resolve([name], np.arange(4.0), None, classes),
    "classes.groups: group birds": lambda name, classes: resolved({"birds": [name]}, classes, "classes.groups"),
    "report.classes": asked_of_report,
}


@pytest.mark.parametrize("where", ASKS)
def test_every_place_that_is_given_a_class_goes_by_the_one_rule(where):
    shared = f"^{where}: 2 classes are called crane, 0 and 2"
    with pytest.raises(UserError, match=f"{shared}; give an index$"):
        ASKS[where]("crane", CRANES)
    with pytest.raises(UserError, match=f"{shared}; say which: 'crane .n02012849.'"):
        ASKS[where]("crane", KERAS)
    with pytest.raises(UserError, match=f"^{where}: unknown (class|target) 'maillots'; did you mean maillot"):
        ASKS[where]("maillots", KERAS)
