"""What labels mean: names of classes or indices, from 0 or from 1, and what is said where it is not certain."""

from __future__ import annotations

import pytest

from activation_atlas.stages.sources.labels import FOLDERS, match
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError

SIX = ["coal", "navy", "leaf", "teal", "wine", "plum"]


def read(labels, classes=None, names=None, what="labels", **said):
    """(indices, warnings)"""
    indices, _, warnings = match(labels, classes, names, what, **said)
    return indices, warnings


@pytest.mark.parametrize("kind", [str, int, float, lambda k: f" {k} ", lambda k: f"{k}.0"])
@pytest.mark.parametrize("what", ["labels", FOLDERS])
def test_a_number_that_is_a_name_means_that_class(kind, what):
    indices, warnings = read([kind(k) for k in (0, 0, 1)], ["1", "0"], what=what)
    assert indices == [1, 1, 0]
    (said,) = warnings
    assert said.startswith(f"{what} could be indices of classes, and are read as names ('0")
    assert said.endswith("is class 1, '0'): say images.labels_are: indices if they are")
    assert read([kind(k) for k in (0, 0, 1)], ["1", "0"], what=what, kind="indices") == ([0, 0, 1], [])
    assert read([kind(k) for k in (0, 0, 1)], ["1", "0"], what=what, kind="names") == ([1, 1, 0], [])


def test_twelve_numbers_in_the_order_of_texts():
    classes = sorted(map(str, range(12)))
    assert read([str(k) for k in range(12)], classes)[0] == [classes.index(str(k)) for k in range(12)]


@pytest.mark.parametrize(
    ("labels", "classes", "indices"),
    [
        (["007", "7", 7, "010"], ["010", "007"], [1, 1, 1, 0]),  # zero-padded, here or there
        (["7", "10"], ["10", "7"], [1, 0]),
        (["07", "7"], ["7", "07"], [1, 0]),  # where two classes differ in the padding alone, exactly
        ([2020, "2019"], ["2019", "2020"], [1, 0]),  # years
        (["-1", "1", "0"], ["1", "0", "-1"], [2, 0, 1]),  # a negative number may be a class
        ([0.5, "0.50", 1.0], ["1.0", "0.5"], [1, 1, 0]),
        ([True, False], ["True", "False"], [0, 1]),
        ([True, False], ["cat", "dog"], [1, 0]),
        ([b"dog"], ["cat", "dog"], [1]),
    ],
)
def test_names_that_are_numbers(labels, classes, indices):
    assert read(labels, classes)[0] == indices


def test_a_sign_and_a_point_are_no_punctuation_of_numbers():
    indices, warnings = read(["10", "1", "1.0", "-1"], ["10", "1"])
    assert indices == [0, 1, 1, None]  # not class 10 for 1.0, nor class 1 for -1
    assert [said.partition(",")[0] for said in warnings] == ["1 image has labels of -1"]


def test_few_that_are_no_names_are_left_out_and_counted():
    indices, warnings = read(["9", "8", "7", "7", "99"], ["7", "8", "9"])
    assert indices == [2, 1, 0, 0, None]
    assert warnings == ["1 of 5 images have labels that are no class, e.g. '99' (classes are '7', '8', '9'): "
                        "left unlabelled"]  # fmt: skip


def test_indices_where_they_find_more_though_some_are_names():
    classes = [str(k) for k in range(1, 11)]
    indices, warnings = read(list(range(10)), classes)
    assert indices == list(range(10)) and "read as indices" in warnings[0] and "labels_are: names" in warnings[0]
    assert read(["1", "2", "3"], ["1", "2", "3"]) == ([0, 1, 2], [])  # 3 can be no index: not told


def test_a_number_among_names_is_an_index_but_not_among_numbers():
    assert read(["cat", "2"], ["cat", "crane", "crane"])[0] == [0, 2]
    assert read(["10", "20", "1"], ["10", "20"])[0] == [0, 1, None]


# -- from 1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, int, float])
@pytest.mark.parametrize("what", ["labels", FOLDERS])
def test_labels_from_1_to_k_count_from_1(kind, what):
    labels = [kind(k) for k in (1, 2, 3, 4, 5, 6, 6)]
    indices, warnings = read(labels, SIX, what=what)
    assert indices == [0, 1, 2, 3, 4, 5, 5]
    assert warnings == [f"{what} leave 0 unused and run to 6, of 6 classes: read as counted from 1 (1 is 'coal'); say "
                        "images.first_label: 0 if they are not"]  # fmt: skip
    indices, warnings = read(labels, SIX, what=what, first=0)
    assert indices == [1, 2, 3, 4, 5, None, None] and "2 of 7" in warnings[0] and "numbered 0 to 5" in warnings[0]
    assert read(labels, SIX, what=what, first=1) == ([0, 1, 2, 3, 4, 5, 5], [])


def test_what_only_may_count_from_1_is_said_and_not_done():
    indices, warnings = read([1, 2, 6, 9], SIX)
    assert indices == [1, 2, None, None] and warnings[0].endswith(
        "left unlabelled; 0 is unused and 6 is used: if they count from 1, say images.first_label: 1"
    )
    assert read([1, 2, 3], SIX) == ([1, 2, 3], [])
    assert read([1, 2, 3], SIX, first=1) == ([0, 1, 2], [])
    assert read([1, 2, 3], first=1) == ([0, 1, 2], [])  # classes unknown
    assert read([0, 6, 1], SIX)[0] == [0, None, 1]
    assert read([-1, 1, 6], SIX)[0] == [None, 0, 5]  # unlabelled, first, last


def test_digits_are_names_though_ten_stands_for_none():
    assert read(list(range(1, 11)), [str(k) for k in range(10)])[0] == [*range(1, 10), None]


# -- other names of classes ----------------------------------------------------------------------


def test_wordnet_ids_are_other_names():
    assert read(["n02", "tench"], ["tench", "goldfish"], also=["n01", "n02"]) == ([1, 0], [])
    with pytest.raises(UserError, match="'n01440764' .an id of WordNet: give imagenet_class_index.json"):
        read(["n01440764"], ["tench", "goldfish"], what=FOLDERS)


def test_numbers_that_a_class_file_gives_are_other_names():
    indices, warnings = read([2, 1, 1], ["cat", "dog", "cow"], also=["1", "2", "3"])
    assert (
        indices == [1, 0, 0] and "read as the numbers that model.classes gives ('2' is class 1, 'dog')" in warnings[0]
    )
    assert read([2, 1, 1], ["cat", "dog", "cow"], also=["1", "2", "3"], first=0) == ([2, 1, 1], [])


# -- classes unknown -----------------------------------------------------------------------------


def test_without_classes_numbers_are_indices_and_folders_are_names():
    assert match(["010", "9"], None, None, "labels") == ([10, 9], None, [])
    indices, names, warnings = match(["10", "9"], None, None, FOLDERS)
    assert indices == [0, 1] and names == ["10", "9"]
    assert "order of texts, as Keras reads folders (10, 9, ...)" in warnings[0]
    assert match(["10", "9"], None, None, FOLDERS, kind="indices") == ([10, 9], None, [])
    assert match(["0", "1"], None, None, FOLDERS)[2] == []
    assert match([7, 9], None, None, "labels", kind="names")[:2] == ([0, 1], ["7", "9"])
    assert match([None, ""], None, None, "labels") == ([None, None], None, [])


def test_numbers_of_a_source_that_names_them():
    assert read([0, 1], ["cat", "dog"], ["dog", "cat"], kind="indices")[0] == [0, 1]
    assert read([0, 1], ["cat", "dog"], ["dog", "cat"], kind="names")[0] == [1, 0]
    assert read([0, 1], ["1", "0"], ["0", "1"])[0] == [1, 0]  # index 0 is called 0, which is the model's class 1
    assert read([1, 2], None, ["cat", "dog"], first=1)[0] == [0, 1]


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="first_label is for labels that are indices"):
        ImagesSpec(path="x", labels_are="names", first_label=1)
    with pytest.raises(UserError, match="none of the labels is a class"):
        read(["cat"], ["cat"], kind="indices")


def test_a_class_of_another_number_is_told():
    indices, (said,) = read(["0", "1", "2"], ["1", "2", "3"])
    assert indices == [0, 1, 2]
    assert said == (
        "labels could be names of classes, and are read as indices ('1' is class 1, '2'): say "
        "images.labels_are: names if they are"
    )


def test_indices_that_were_asked_for_are_numbers():
    with pytest.raises(UserError, match="'a' is no whole number, which images.first_label: 1 asks for"):
        read(["a", "b"], ["a", "b"], first=1)


def test_negative_numbers_beside_others_are_told():
    assert read([-1, -1], ["a", "b"]) == ([None, None], []), "a test set's"
    indices, (said,) = read([-1, 1, 1], ["a", "b"])
    assert indices == [None, 1, 1]
    assert said.startswith("1 image has labels of -1, taken for unlabelled: if that is a class, say")
    assert read([-1, 0, 1], ["a", "b", "c"], first=-1) == ([0, 1, 2], [])
