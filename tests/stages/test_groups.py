"""Groups of classes: one meaning in every form of file, and from a column; or one line that says what is wrong."""

from __future__ import annotations

import pyarrow as pa
import pytest

from activation_atlas.pipeline.config import load
from activation_atlas.stages.groups import (
    ClassesSpec,
    Given,
    check,
    given,
    groups_of,
    members,
    read_groups,
    reads,
    resolved,
)
from activation_atlas.stages.stage import UserError
from tests.memory import MemoryInputs

CLASSES = ["pug", "dingo", "robin", "wren", "bus", "poodle"]
WANTED = {"birds": [2, 3], "dogs": [0, 1, 5]}
SAME = {
    "names.yaml": "dogs: [pug, dingo, poodle]\nbirds: [robin, wren]\n",
    "ranges.yaml": "birds: [2 - 3]\ndogs: [0-1, poodle]\n",
    "one.yaml": "dogs: [5, 0, 1, 0]\nbirds: 2-3\n",
    "upper.YML": "dogs:\n- pug\n- 1\n- 5\nbirds:\n- 2\n- 3\n",
    "plain.json": '{"dogs": [0, 1, "poodle"], "birds": ["2-3"]}',
    "rows.csv": "class,group\npug,dogs\n1,dogs\n2-3,birds\nbus,\npoodle,dogs\n",
    "turned.csv": "id;Group;Class\n7;dogs;0-1\n8;birds;robin\n9;birds;wren\n4;dogs;5\n",
    "ids.tsv": "group\tclass\ndogs\tn00\ndogs\tn01\nbirds\tn02\nbirds\tn03\ndogs\tn05\n",
}


@pytest.mark.parametrize("name", SAME)
def test_every_form_of_file_means_the_same(name, tmp_path):
    (tmp_path / name).write_text(SAME[name])
    asked = given(ClassesSpec(groups=str(tmp_path / name)), also=[f"n0{k}" for k in range(6)])
    found = groups_of(MemoryInputs(states={("extract", ""): {"classes": CLASSES}}), asked)
    assert found == WANTED and list(found) == sorted(found) and reads(asked) == {}
    assert members(found, 6).astype(int).tolist() == [[0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 1]]


def test_a_class_file_numbered_from_one_numbers_ranges_too(tmp_path):
    (tmp_path / "g.yaml").write_text("one: [1, 2]\nrange: [1-2]\nlast: [5 - 6]\n")
    asked = given(ClassesSpec(groups=str(tmp_path / "g.yaml")), also=[str(k + 1) for k in range(6)])
    found = groups_of(MemoryInputs(states={("extract", ""): {"classes": CLASSES}}), asked)
    assert found == {"one": [0, 1], "range": [0, 1], "last": [4, 5]}


def test_a_class_may_be_in_two_groups_and_names_go_before_numbers():
    assert resolved({"a": ["0-1"], "b": ["1"]}, CLASSES, "f") == {"a": [0, 1], "b": [1]}
    assert resolved({"odd": ["1", "3"]}, ["3", "2", "1"], "f") == {"odd": [0, 2]}
    assert resolved({"low": ["07-08"]}, ["9", "8", "7"], "f") == {"low": [1, 2]}
    assert resolved({"x": ["1-2"]}, ["1-2", "a", "b"], "f") == {"x": [0]}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("pudle", "group dogs: unknown class 'pudle'; did you mean poodle?"),
        ("6", "group dogs: there is no class 6; the model's are 0 to 5"),
        ("4-9", "group dogs: there is no class 6; the model's are 0 to 5"),
        ("3-1", "group dogs: the range 3-1 runs backwards; write 1-3"),
    ],
)
def test_what_is_not_the_models_is_said_with_what_may_be_meant(item, said):
    inputs = MemoryInputs(states={("extract", ""): {"classes": CLASSES}})
    with pytest.raises(UserError, match=f"^classes.groups: f: {said.replace('?', '.')}$"):
        check(inputs, Given(listed={"dogs": ("pug", item)}, where="classes.groups: f"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("g.yaml", "", "holds no groups"),
        ("g.yaml", "[pug, dingo]", "is no mapping; give a mapping of groups to lists of classes"),
        ("g.yaml", "dogs: []", "has no classes in group dogs; list some, or leave it out"),
        ("g.yaml", "dogs: [pug]\ndogs: [dingo]", "has the key 'dogs' twice; give it once"),
        ("g.yaml", "dogs: {pug: 1}", "has in group dogs what is no class"),
        ("g.yaml", "dogs: [pug", "is not YAML"),
        ("g.json", '{"dogs": [0], "dogs": [1]}', "has the key 'dogs' twice"),
        ("g.json", '{"dogs": [true]}', "has in group dogs what is no class: true"),
        ("g.json", '{"dogs": ', "is not JSON"),
        ("g.json", "[" * 100_000, "is nested too deeply; give a mapping of groups"),
        ("g.json", '{"dogs": [null]}', "has in group dogs what is no class: null"),
        ("g.csv", 'class,group\n"pug,dogs\n' + "x" * 200_000, "is no CSV (field larger than field limit (131072))"),
        ("g.csv", "name,kind\npug,dogs\n", "needs the columns class and group; it begins with 'name,kind'"),
        ("g.csv", "class,group\n,dogs\n", "names no class in row 2"),
        ("g.csv", "class,group\n", "holds no groups"),
        ("none.yaml", None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_tells_no_groups_is_refused_in_one_line(name, content, said, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        read_groups(tmp_path / name)
    assert str(error.value).startswith(f"classes.groups: {tmp_path / name} {said}") and "\n" not in str(error.value)


def column(values: list, labels: list[int | None]) -> MemoryInputs:
    parts = [
        pa.table({"label": pa.array(labels[k::2], pa.int32()), "meta.kind": pa.array(values)[k::2]}) for k in range(2)
    ]
    return MemoryInputs({"images": parts}, {("extract", ""): {"classes": CLASSES}})


def test_a_column_puts_a_class_where_most_of_its_images_are():
    labels = [0, 0, 0, 1, 1, 2, 3, None, 4, 5]
    inputs = column(["dogs", "dogs", "birds", "wolves", "dogs ", "birds", "birds", "cats", "", "dogs"], labels)
    asked = Given(column="kind")
    check(inputs, asked)
    assert groups_of(inputs, asked) == {"birds": [2, 3], "dogs": [0, 1, 5]}  # of dingo as many: the first
    assert reads(asked) == {"images": "all"}
    assert inputs.notes == [
        "classes.groups: column 'kind' puts 5 of 6 classes into 2 groups: dogs (3), birds (2); "
        "2 (pug, ...) have images of several, and count for the most frequent"
    ]
    assert groups_of(column([1, 2, None], [0, 1, 2]), asked) == {"1": [0], "2": [1]}


def test_a_column_that_is_not_there_or_tells_nothing_is_refused():
    asked = given(ClassesSpec(groups={"column": "meta.kinds"}))
    with pytest.raises(UserError, match="no metadata column 'kinds'; did you mean kind?"):
        check(column(["a"] * 2, [0, 1]), asked)
    check(MemoryInputs(states={("extract", ""): {"classes": CLASSES}}), asked)  # before any image was read
    with pytest.raises(UserError, match="no labelled image has a value in the column 'kind'"):
        groups_of(column(["a"] * 2, [None, None]), Given(column="kind"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{groups: [a]}", "classes.groups: must be a file, or {column: NAME} of the images' metadata"),
        ("{groups: {colum: kind}}", "classes.groups.colum: unknown key; did you mean column?"),
        ("{group: a.yaml}", "classes.group: unknown key; did you mean groups?"),
    ],
)
def test_the_section_is_checked_and_its_file_lies_beside_the_configuration(section, said, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(f"model: {{path: m.keras}}\nimages: {{path: x}}\nclasses: {section}\n")
    with pytest.raises(UserError) as error:
        load(str(path))
    assert str(error.value).startswith(f"{path}: {said}")
    assert load(str(path), ["classes={groups: g.yaml}"]).classes.groups == str(tmp_path / "g.yaml")
