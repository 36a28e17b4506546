"""What is said, of made-up predictions."""

import numpy as np
import pytest

from activation_atlas.stages.doubt.judging import judged
from activation_atlas.stages.doubt.ranges import FIRST, MOST, information
from tests.stages.doubt.ways import Told, no_ways, noise, seen

TWELVE = np.arange(96) % 12


def kinds(of, ways=None, told=None):
    found, trial = judged(of, ways or no_ways(of), told, 0)
    return [d.kind for d in found], {d.kind: d for d in found}, trial


@pytest.mark.parametrize("n", [3, 10, 20, 50, 200])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_of_a_model_that_is_right_nothing_is_said(n, classes):
    for seed in range(5):
        good = noise(n, classes, right=0.8, seed=seed)
        assert kinds(good)[0] == []
        unlabelled = seen(np.full(n, -1), good.pred, good.classes)
        assert kinds(unlabelled)[0] == []


def test_another_range_is_told_with_what_each_would_have_right():
    wrong = seen(TWELVE, np.zeros(96, int))
    ways = Told({"[0, 1]": TWELVE, "BGR": np.zeros(96, int)}, 12, wrong.pred, now="[-1, 1]")
    found, said, trial = kinds(wrong, ways)
    assert found == ["accuracy", "one class", "range"]
    assert said["range"].message == (
        "with model.range [0, 1] 48 of 48 images are right, as configured ([-1, 1]) 4; "
        "of 24 of them 2 as configured, 2 with BGR"
    )
    assert said["range"].remedy == "give model.range: [0, 1]"
    assert "all 88 that are labelled as something else" in said["one class"].message
    assert [(t.name, t.right) for t in trial.tried] == [("[0, 1]", 48), ("BGR", 2)]


def test_a_range_that_still_gives_more_than_chance_is_told_too():
    """60 % where 90 % could be; a way that has 3 more of 96 right is not told."""

    def right(share):
        return np.where(np.arange(96) % 20 < 20 * share, TWELVE, (TWELVE + 5) % 12)

    half = seen(TWELVE, right(0.6))
    assert kinds(half, Told({"[0, 1]": right(0.9)}, 12, half.pred))[0] == ["range"]
    assert kinds(half, Told({"[0, 1]": right(0.65)}, 12, half.pred))[0] == []


def test_of_ways_about_as_good_the_simplest_is_told():
    wrong = seen(TWELVE, np.zeros(96, int))
    nearly = TWELVE.copy()
    nearly[3] = 0
    assert kinds(wrong, Told({"[-1, 1]": nearly, "[0, 1]": TWELVE}, 12, wrong.pred))[2].better.name == "[-1, 1]"


def test_a_way_to_say_the_most_frequent_class_is_no_better_one():
    """Nine in ten are class 0 and the model says 1; another range says 0."""
    label = (np.arange(200) % 10 == 0).astype(int)
    wrong = seen(label, np.ones(200, int))
    assert "range" not in kinds(wrong, Told({"[0, 1]": np.zeros(200, int)}, 2, wrong.pred))[0]


def test_where_all_is_well_no_way_is_tried_and_where_not_few_images_are():
    good = seen(TWELVE, TWELVE)
    ways = no_ways(good)
    assert kinds(good, ways)[2] is None and not ways.asked
    middling = noise(2000, 10, right=0.7)
    ways = Told({"a": np.zeros(2000, int), "b": np.zeros(2000, int)}, 10, middling.pred)
    kinds(middling, ways)
    assert max(count for _, count in ways.asked) == FIRST
    better = Told({"a": noise(2000, 10, right=0.72).pred}, 10, middling.pred)
    kinds(middling, better)
    assert max(count for _, count in better.asked) <= MOST


def test_another_order_is_told_with_the_list_that_would_be_right():
    names = [f"c{k}" for k in range(12)]
    _, said, _ = kinds(seen(TWELVE, 11 - TWELVE, names))
    assert list(said) == ["accuracy", "order"]
    assert "in reversed order (c11, c10, c9" in said["order"].message
    assert "96 of 96 images would be right instead of 0" in said["order"].message
    _, said, _ = kinds(seen(TWELVE % 2, 1 - TWELVE % 2, ["cat", "dog"]))
    assert list(said) == ["accuracy", "order"]
    assert "as if 'cat' and 'dog' were swapped" in said["order"].message
    assert "worse than chance" in said["accuracy"].message
    _, said, _ = kinds(seen(TWELVE[TWELVE > 0], TWELVE[TWELVE > 0] - 1))
    assert "counted from 1" in said["order"].message and "images.first_label: 1" in said["order"].remedy


def test_folders_are_named_where_the_classes_have_no_names():
    order = np.random.default_rng(0).permutation(3)
    folders = {0: "ant", 1: "bee", 2: "cat"}
    of = seen(TWELVE % 3, order[TWELVE % 3], [f"class {k}" for k in range(3)], folders=folders)
    meant = ", ".join(folders[int(k)] for k in np.argsort(order))
    assert f"the folders were in another order ({meant})" in kinds(of)[1]["order"].message


def test_a_range_and_an_order_that_are_both_wrong_are_both_told():
    wrong = seen(TWELVE, np.zeros(96, int))
    ways = Told({"BGR": np.zeros(96, int), "[0, 1]": 11 - TWELVE}, 12, wrong.pred)
    found, said, _ = kinds(wrong, ways)
    assert found == ["accuracy", "one class", "order", "range"]
    assert "with pixels as [0, 1]" in said["order"].message and said["range"].remedy == "give model.range: [0, 1]"


def test_labels_of_another_data_set_are_told():
    found, said, _ = kinds(noise(400, 10))
    assert found == ["accuracy", "labels"]
    assert "no order of the classes, nor any of 1 other" in said["labels"].message
    assert kinds(noise(20, 10, right=0.1, seed=2))[0] == ["accuracy"], "a weak model, perhaps: no more is said"
    few = seen(np.arange(200), np.random.default_rng(0).permutation(200))
    assert "too few images to try all" in kinds(few)[1]["labels"].message


def test_without_labels_one_class_for_all_is_told_more_weakly():
    of = seen(np.full(500, -1), np.full(500, 2), ["a", "b", "coal"])
    found, said, _ = kinds(of)
    assert found == ["one class"]
    assert said["one class"].message.startswith("all 500 images are taken for 'coal'")
    assert kinds(seen(np.full(500, -1), np.arange(500) % 3))[0] == []


def test_without_labels_a_range_that_tells_images_apart_is_told():
    of = seen(np.full(96, -1), np.zeros(96, int), [f"c{k}" for k in range(12)], prob=0.3)
    found, said, _ = kinds(of, Told({"[0, 1]": TWELVE}, 12, of.pred))
    assert found == ["one class", "range"] and "no proof without labels" in said["range"].message
    nearly = np.where(TWELVE == 3, 0, TWELVE)
    alike = kinds(of, Told({"[-1, 1]": nearly, "[0, 1]": TWELVE}, 12, of.pred))[2]
    assert alike.better.name == "[-1, 1]", "of ways about as good the simplest"
    # A part of the images labelled, too few to tell: the same.
    some = seen(np.where(np.arange(96) < 5, TWELVE, -1), of.pred, of.classes, prob=0.3)
    assert kinds(some, Told({"[0, 1]": TWELVE}, 12, of.pred))[0] == found


def test_a_model_that_is_sure_of_nothing_is_told():
    untrained = noise(300, 12)
    ways = Told({"other": untrained.pred}, 12, untrained.pred, sure=0.5)
    found, said, _ = kinds(untrained, ways)
    assert found == ["accuracy", "uniform"] and "99.5 % of the entropy of uniform ones" in said["uniform"].message
    assert kinds(seen(np.full(300, -1), untrained.pred, untrained.classes), ways)[0] == ["uniform"]
    right = seen(TWELVE, TWELVE)
    ways = Told({"other": TWELVE}, 12, TWELVE, sure=0.5)
    assert kinds(right, ways)[0] == [], "cosines under a softmax are sure of nothing, and right"


def test_a_range_that_explains_more_than_an_order_is_meant_and_the_other_way_round():
    wrong = seen(TWELVE, (TWELVE * 5 + 1) % 12)
    assert kinds(wrong, Told({"[0, 1]": TWELVE}, 12, wrong.pred))[0] == ["accuracy", "order", "range"], "either may be"
    less = seen(TWELVE, np.where(np.arange(96) < 12, 0, wrong.pred))
    assert kinds(less, Told({"[0, 1]": TWELVE}, 12, less.pred))[0] == ["accuracy", "range"]
    half = np.where(np.arange(96) % 2 == 0, TWELVE, 0)
    assert kinds(wrong, Told({"[0, 1]": half}, 12, wrong.pred))[0] == ["accuracy", "order"]


def test_what_the_model_tells_of_its_range_is_told_where_nothing_else_tells():
    told = ("model m begins with Rescaling", "leave model.range out")
    assert kinds(seen(TWELVE, TWELVE), told=told)[0] == []
    assert kinds(seen(np.full(96, -1), TWELVE), told=told)[0] == ["range"]
    assert kinds(noise(300, 12), told=told)[0] == ["accuracy", "range"]


def test_information_by_hand():
    assert information(np.eye(4)) == pytest.approx(np.log(4))
    assert information(np.full((4, 4), 0.25)) == 0
    assert information(np.array([[1.0, 0], [1, 0]])) == 0
    half = np.array([[0.75, 0.25], [0.25, 0.75]])
    assert information(half) == pytest.approx(np.log(2) + 0.75 * np.log(0.75) + 0.25 * np.log(0.25))
