"""Labels as sources have them: several of an image, and quantities."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activation_atlas.stages.sources import open_source
from activation_atlas.stages.sources.answers import answers
from activation_atlas.stages.sources.rows import Rows
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError
from tests.small import draw

CLASSES = ["cat", "dog", "fire engine"]


def rows(labels, columns=None, names=None):
    keys = [str(k) for k in range(len(labels))]
    return Rows(keys, keys, keys, [None] * len(keys), labels, columns, names, labelled_by="labels")


def read(labels, task="auto", classes=CLASSES, columns=None, **said):
    found = answers(rows(labels, columns), ImagesSpec(path="x", **said), task, classes)
    return found.label.to_pylist(), found.warnings


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([["dog", "cat"], [], None, ["Fire_Engine", "dog", "dog"]], [[0, 1], [], None, [1, 2]]),
        ([[1, 0], [2], [None]], [[0, 1], [2], []]),
        (["dog| cat", "cat", "", "fire engine|"], [[0, 1], [0], None, [2]]),
        (["2|0", "1", None], [[0, 2], [1], None]),
    ],
)
def test_several_labels_are_lists_or_one_text(labels, found):
    assert read(labels) == (found, [])


def test_a_class_with_a_bar_in_its_name_is_one_class():
    assert read(["a|b", "c"], classes=["a|b", "c"])[0] == [0, 1]
    assert read(["a|b", "c", "a|b|c"], classes=["a|b", "c", "a"])[0] == [[0], [1], [1, 2]]  # c, and an a of its own


def test_one_label_each_is_several_where_the_model_has_several():
    assert read(["dog", "cat", None], "labels")[0] == [[1], [0], None]
    assert read([1, 0], "labels")[0] == [[1], [0]]


@pytest.mark.parametrize("yes", [1, "1", 1.0, True, "yes", "1.0"])
def test_a_column_for_each_class(yes):
    columns = ["dog", "cat", "Fire Engine"]
    assert read([[yes, 0, 1], [0, 0, 0], [1, None, 0]], columns=columns)[0] == [[1, 2], [], None]
    found = answers(rows([[yes, 0]], ["b", "a"]), ImagesSpec(path="x"))  # the model's order is that of the columns
    assert found.label.to_pylist() == [[0]] and found.names == ["b", "a"]


def test_lists_of_zeros_and_ones_are_a_class_each():
    found, (said,) = read([[1, 0, 1], [0, 0, 0], None])
    assert found == [[0, 2], [], None] and said == "labels have 3 zeros and ones, read as one for each class"
    assert read([[0, 1], [1, 1]], classes=None)[0] == [[1], [0, 1]]
    assert read([[0, 1], [0, 1]], classes=["a", "b"])[0] == [[0, 1], [0, 1]]  # indices, in order
    assert read([[0, 1], [1, 0]]) == ([[0, 1], [0, 1]], [])  # of three classes


def test_columns_of_names():
    assert read([["dog", "cat"], ["dog", None], [None, ""]], columns=["first", "second"])[0] == [[0, 1], [1], []]


def test_labels_of_no_class_are_left_out_and_told():
    found, (said,) = read([["cat", "dogg"], ["dog"]])
    assert found == [[0], [1]] and said == "1 of 3 labels are no class, e.g. 'dogg' (nearest: 'dog'): left out"


@pytest.mark.parametrize(
    ("labels", "told", "said"),
    [
        ([["owl"], ["crow"]], {}, "none of the labels is a class of the model, e.g. 'owl'"),
        ([["cat"]], {"task": "classes"}, "hold several labels of an image, and model.task: classes asks for one"),
        ([[1, 0]], {"columns": ["owl", "cat"]}, "images.label_columns: 'owl' is no class of the model"),
        ([0.5, 2], {}, "hold numbers such as 0.5, which are no classes; if they are quantities"),
        ([[0.5, 2.0]], {"columns": ["a", "b"]}, "say model.task: quantities"),
        (["cat"], {"task": "quantities"}, "none of the labels is a number, e.g. 'cat'"),
        ([float("nan")], {"task": "quantities"}, "none of the labels is a number, e.g. nan"),
        ([[1, 2], [3]], {"task": "quantities"}, "labels hold 1 and 2 numbers"),
    ],
)
def test_labels_of_another_kind_are_one_line(labels, told, said):
    with pytest.raises(UserError) as error:
        read(labels, **told)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_quantities_are_numbers_and_what_is_none_is_told():
    found, (said,) = read([1, "2.5", None, float("nan"), "x"], "quantities")
    assert found == [[1.0], [2.5], None, None, None]
    assert said == "2 of 5 images have labels that are no finite number, e.g. nan: left unlabelled"
    assert read([[1, 2.5], [None, 3], None], "quantities")[0] == [[1.0, 2.5], None, None]


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        draw("blobs", 0).save(tmp_path / f"{name}.png")
    return tmp_path


def opened(path, **said):
    task = said.pop("task", "auto")
    source = open_source(ImagesSpec(path=str(path), **said), CLASSES, task=task)
    return source.listing["label"].to_pylist(), source.listing.column_names


def test_tables_of_paths(folder):
    two = {"path": ["a.png", "b.png"]}
    pq.write_table(pa.table({**two, "label": [["dog", "cat"], []], "box": [[1, 2], [3, 4]]}), folder / "lists.parquet")
    assert opened(folder / "lists.parquet")[0] == [[0, 1], []]
    (folder / "text.csv").write_text("path,label\na.png,dog|cat\nb.png,dog\n")
    assert opened(folder / "text.csv")[0] == [[0, 1], [1]]
    (folder / "flags.csv").write_text("path,dog,cat,weight\na.png,1,1,2.5\nb.png,0,1,7\n")
    labels, names = opened(folder / "flags.csv", label_columns=["cat", "dog"])
    assert labels == [[0, 1], [0]] and "meta.weight" in names and "meta.dog" not in names
    assert opened(folder / "flags.csv", label_column="weight", task="quantities")[0] == [[2.5], [7.0]]
    assert opened(folder / "flags.csv", label_columns=["weight"], task="quantities")[0] == [[2.5], [7.0]]
    with pytest.raises(UserError, match="images.label_columns: .*flags.csv has no column 'dogs'; did you mean dog"):
        opened(folder / "flags.csv", label_columns=["cat", "dogs"])
    lines = [{"file_name": "a.png", "label": ["dog", "cat"]}, {"file_name": "b.png", "label": []}]
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert opened(folder / "x.jsonl")[0] == [[0, 1], []]


def test_parquet_of_images_with_the_names_of_a_sequence(folder):
    image = {"bytes": (folder / "a.png").read_bytes(), "path": "a.png"}
    table = pa.table({"image": [image, image], "label": [[1, 0], [1]]})
    feature = {"label": {"feature": {"names": ["dog", "cat"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": feature}})})
    pq.write_table(table, folder / "x.parquet")
    assert opened(folder / "x.parquet")[0] == [[0, 1], [0]]
    table = table.set_column(1, "label", pa.array([[[1]], [[0]]]))
    pq.write_table(table, folder / "y.parquet")
    with pytest.raises(UserError, match=r"column 'label' holds list<.*, which are no labels"):
        opened(folder / "y.parquet")
