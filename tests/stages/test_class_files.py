"""The class files that tools write: each is read alike by every command, or refused in one line."""

from __future__ import annotations

import json

import pytest

from activation_atlas.stages.classes import Classes, classes_of, read_classes
from activation_atlas.stages.stage import UserError

IMAGENET = {"1": ["n02012849", "crane"], "0": ["n01484850", "great_white_shark"], "2": ["n03126707", "crane"]}

SAME = {  # cat, dog, owl
    "blank lines.txt": "cat\n\ndog\nowl\n\n\n",
    "windows.txt": b"\xef\xbb\xbfcat\r\ndog\r\nowl\r\n",
    "utf16.txt": "cat\ndog\nowl".encode("utf-16"),
    "numbered.txt": "0 cat\n1 dog\n2 owl",
    "shuffled.txt": "2: owl\n0: cat\n1: dog",
    "commas.txt": "0,cat\n1,dog\n2,owl",
    "tabs.txt": "0\tcat\n1\tdog\n2\towl",
    "dots.txt": "0. cat\n1. dog\n2. owl",
    "turned.txt": "owl 2\ncat 0\ndog 1",
    "python.txt": "{'dog': 1, 'cat': 0, 'owl': 2}",
    "python.json": "{0: 'cat', 1: 'dog', 2: 'owl'}",
    "list.json": '["cat", "dog", "owl"]',
    "indices.json": '{"dog": 1, "cat": 0, "owl": 2}',
    "names.json": '{"2": "owl", "0": "cat", "1": "dog"}',
    "texts.json": '{"dog": "1", "cat": "0", "owl": "2"}',
    "config.json": '{"id2label": {"1": "dog", "0": "cat", "2": "owl"}, "label2id": {"dog": 1}, "num_labels": 3}',
    "only_label2id.json": '{"label2id": {"dog": 1, "cat": 0, "owl": 2}}',
    "objects.json": '[{"id": 2, "name": "owl"}, {"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]',
    "plain_objects.json": '[{"label": "cat"}, {"label": "dog"}, {"label": "owl"}]',
    "pairs.json": '[[0, "cat"], [2, "owl"], [1, "dog"]]',
    "header.csv": "index,name\n1,dog\n0,cat\n2,owl\n",
    "headless.csv": "dog,1\ncat,0\nowl,2\n",
    "semicolons.csv": "id;name;colour\n0;cat;red\n1;dog;red\n2;owl;blue\n",
    "label_first.csv": "label,name\n1,dog\n0,cat\n2,owl\n",
    "pandas.csv": ",0\n0,cat\n1,dog\n2,owl\n",
    "one_column.csv": "class\ncat\ndog\nowl\n",
    "one_row.csv": "cat,dog,owl\n",
    "old_mac.csv": "name,index\rcat,0\rdog,1\rowl,2\r",
    "tabs.tsv": "name\tindex\nowl\t2\ncat\t0\ndog\t1\n",
    "data.yaml": "train: images/train\nnc: 3\nnames: [cat, dog, owl]\n",
    "numbered.yaml": "names:\n  2: owl\n  0: cat\n  1: dog\n",
}


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_classes(path)


@pytest.mark.parametrize("name", SAME)
def test_three_classes_in_every_form(name, tmp_path):
    assert read(tmp_path / name, SAME[name]) == Classes(["cat", "dog", "owl"])


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("a.txt", "1\n0", ["1", "0"]),
        ("a.txt", "0 1\n1 0", ["1", "0"]),
        ("a.csv", "0,1\n1,0", ["1", "0"]),
        ("a.csv", "name,id\n0,1\n1,0", ["1", "0"]),
        ("a.json", "[1, 0]", ["1", "0"]),
        ("a.json", '{"0": "1", "1": "2", "2": "0"}', ["1", "2", "0"]),  # texts: the keys are indices
        ("a.json", '{"0": 1, "1": 2, "2": 0}', ["2", "0", "1"]),  # numbers: the values are, as Keras writes them
        ("a.yaml", "- no\n- 007", ["no", "007"]),
        ("a.txt", "1 star\n2 stars\n3 stars", ["1 star", "2 stars", "3 stars"]),
        ("a.txt", "class 0\nclass 1", ["class 0", "class 1"]),
        ("a.txt", "16:9\n4:3", ["16:9", "4:3"]),
        ("a.txt", "18 wheeler\n4 x 4", ["18 wheeler", "4 x 4"]),
        ("a.txt", "[unknown]\ntench, Tinca", ["[unknown]", "tench, Tinca"]),
        ("a.txt", "crane\ncrane", ["crane", "crane"]),
    ],
)
def test_names_that_are_numbers_or_look_like_something_else(name, content, names, tmp_path):
    assert read(tmp_path / name, content) == Classes(names)


def test_counts_are_no_index(tmp_path):
    (tmp_path / "c.csv").write_text("class,count\nb,1\na,0\n")
    assert read_classes(str(tmp_path / "c.csv")).names == ["b", "a"]


def test_ids_of_wordnet_are_kept_beside_the_names(tmp_path):
    ids = ["n01484850", "n02012849", "n03126707"]
    found = read(tmp_path / "imagenet_class_index.json", json.dumps(IMAGENET))
    assert found == Classes(["great white shark", "crane (n02012849)", "crane (n03126707)"], ids)
    mapping = read(tmp_path / "LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish")
    assert mapping == Classes(["tench, Tinca tinca", "goldfish"], ["n01440764", "n01443537"])
    assert read(tmp_path / "a.csv", "wnid,name\nn01440764,tench\nn01443537,goldfish").also == mapping.also
    assert read(tmp_path / "synsets.txt", "n01440764\nn01443537") == Classes(mapping.also)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "2 dog\n1 cat"), ("a.json", '{"dog": 2, "cat": 1}'), ("a.csv", "id,name\n2,dog\n1,cat")],
)
def test_numbers_from_1_are_kept_as_other_names(name, content, tmp_path):
    assert read(tmp_path / name, content) == Classes(["cat", "dog"], ["1", "2"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "", "holds no names"),
        ("a.json", "{}", "holds no names"),
        ("a.json", '{"a": 0,', "is not JSON"),
        ("a.json", "", "is not JSON .*; it must hold a list of names"),
        ("a.json", "3", "must hold a list of names, or an object of index: name or of name: index"),
        ("a.json", "null", "must hold a list of names"),
        ("a.json", "true", "must hold a list of names"),
        ("a.json", '"cat"', "must hold a list of names"),
        ("a.json", "[]", "holds no names"),
        ("a.json", '{"names": {}}', "holds no names"),
        ("a.json", '{"names": null}', "must hold"),
        ("a.json", '{"a": "x"}', "must hold"),
        ("a.json", '{"a": 0.0, "b": 1.0}', "must hold"),
        ("a.json", '{"cat": true, "dog": false}', "must hold"),
        ("a.json", '{"0": "cat", "1": null}', "must hold .* there is null"),
        ("a.json", "[true, false]", "must hold .* there is true"),
        ("a.json", '["cat", null]', "must hold .* there is null"),
        ("a.json", '[["cat"], ["dog"]]', "must hold .* there is .'cat'."),
        ("a.json", '[[["cat", "dog"]]]', "must hold .* there is ..'cat', 'dog'.."),
        ("a.json", '[{"colour": "red"}]', "must hold .* there is {'colour': 'red'}"),
        ("a.json", '{"0": {"name": ["cat"]}}', "must hold .* there is {'name': .'cat'.}"),
        ("a.json", "[" * 100_000, "is nested too deeply; it must hold a list of names"),
        (
            "a.json",
            f'{{"cat": 0, "dog": {"9" * 5000}}}',
            "has the number 999999999999999999..., which is the index of no",
        ),
        ("a.json", f'{{"0": "cat", "{"9" * 5000}": "dog"}}', "must hold"),
        ("a.json", '{"cat": 0, "dog": 999999999999}', "has no class of index 1, but one of 999999999999"),
        ("a.json", '{"cat": -1, "dog": 0}', "has the index -1; number the classes from 0"),
        ("a.json", "{[1]: 'cat'}", "is not JSON"),
        ("a.json", "{'cat': 0, 'cat': 1}", "the key 'cat' twice"),
        ("a.json", "[{(1, 2): 'cat'}]", "must hold .* there is {.1, 2.: 'cat'}"),
        ("a.yaml", "0: cat\n0: dog", "the key '0' twice; give it once"),
        ("a.yaml", "names: &a\n  names: *a", "is not YAML .line 1: found unconstructable recursive node"),
        (
            "a.csv",
            'name,id\n"cat,0\n' + "x" * 200_000,
            "is no CSV .field larger than field limit .131072..: is a quote not",
        ),
        ("a.json", '["cat", ""]', "no name for index 1"),
        ("a.json", '{"cat": 0, "cat": 1}', "the key 'cat' twice"),
        ("a.json", '{"cat": 0, "dog": 0}', "gives two classes the index 0: 'cat' and 'dog'"),
        ("a.json", '{"0": "cat", "3": "dog"}', "has no class of index 1, but one of 3"),
        ("a.txt", "0: cat\n2: dog", "has no class of index 1, but one of 2"),
        ("a.csv", "id,name\n1,cat\n5,dog", "has no class of index 2, but one of 5"),
        ("a.csv", "a,b\nc,d", "several columns, of which none is called name"),
        ("a.csv", "cat, felis\ndog", "put names that hold a ',' in quotes"),
        ("a.yaml", "a: [", "is not YAML"),
        ("a.txt", b"caf\xe9", "is not UTF-8 text"),
        ("a.txt", "cat".encode("utf-16-le"), "is not text"),
    ],
)
def test_what_cannot_be_understood_is_one_line(name, content, said, tmp_path):
    with pytest.raises(UserError, match=f"model.classes: .*{name} .*{said}") as error:
        read(tmp_path / name, content)
    assert "\n" not in str(error.value)


def test_a_list_stays_and_a_file_that_is_not_there_is_told():
    assert classes_of(None) is None and classes_of(["a", "b"]) == Classes(["a", "b"])
    with pytest.raises(UserError, match="cannot be read"):
        classes_of("nowhere.txt")
