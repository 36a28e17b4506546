"""Trees of folders as people have them: which folder is the class, which the split, and what has no label."""

from __future__ import annotations

import pytest

from activation_atlas.stages.sources.labels import Names
from activation_atlas.stages.sources.rows import Rows
from activation_atlas.stages.sources.trees import is_split, label_by_folders

TREE = ["train/cat/1", "train/dog/2"]


def settled(paths, classes=None, **options):
    """({path: (label, split)}, warnings)"""
    blank = [""] * len(paths)
    rows = Rows(paths, blank, blank, [None] * len(paths), folders=[tuple(p.split("/")[:-1]) for p in paths])
    label_by_folders(rows, Names(classes) if classes else None, **options)
    none = [None] * len(paths)
    return dict(zip(paths, zip(rows.labels or none, rows.splits or none, strict=True), strict=True)), rows.warnings


@pytest.mark.parametrize(
    ("classes", "tree"),
    [
        (None, {"train/cat/1": ("cat", "train"), "val/dog/2": ("dog", "val"), "3": (None, None)}),
        (None, {"cat/1": ("cat", None), "dog/2": ("dog", None), "contact_sheet": (None, None)}),
        (None, {"cat/train/1": ("cat", "train"), "dog/test/2": ("dog", "test")}),
        (None, {"images/cat/1": ("cat", None), "images/dog/2": ("dog", None), "docs/3": (None, None)}),
        (None, {"train/images/cat/1": ("cat", "train"), "val/images/dog/2": ("dog", "val")}),
        (None, {"mine/train/cat/1": ("cat", "train"), "mine/train/dog/2": ("dog", "train")}),
        (None, {"cat/train/1": ("cat", "train"), "cat/test/2": ("cat", "test")}),
        (None, {"animals/cat/1": ("cat", None), "animals/dog/2": ("dog", None)}),
        (None, {"train/cat/1": ("cat", "train"), "train/dog/1": ("dog", "train"), "test/test/2": (None, "test")}),
        (None, {"seg_train/seg_train/sea/1": ("sea", "seg_train"), "seg_train/seg_train/ice/2": ("ice", "seg_train"),
                "seg_pred/seg_pred/3": (None, "seg_pred")}),
        (None, {"train2017/1": (None, "train2017"), "val2017/2": (None, "val2017")}),
        (None, {"images/1": (None, None), "images/2": (None, None)}),
        (None, {"private/1": ("private", None), "public/2": ("public", None)}),
        (None, {"jpg/1": (None, None), "png/2": (None, None)}),
        (None, {"data1/1": (None, None), "data2/2": (None, None)}),
        (None, {"data/raw/1": ("raw", None), "data/cropped/2": ("cropped", None)}),
        (None, {"cat/1": ("cat", None), "dog/2": ("dog", None), "test/3": (None, "test")}),
        (None, {"cat/2020/1": ("cat", None), "cat/2": ("cat", None), "dog/3": ("dog", None)}),
        (["bus", "train"], {"train/1": ("train", None), "bus/2": ("bus", None)}),
        (["test", "train"], {"train/1": ("train", None), "test/2": ("test", None)}),
        (["car", "cat"], {"animal/cat/1": ("cat", None), "animal/dog/2": ("dog", None), "x/car/3": ("car", None)}),
        (["animal", "x"], {"animal/cat/1": ("animal", None), "x/car/3": ("x", None), "x/van/3": ("x", None)}),
        (["cat", "dog"], {"cat/1": ("cat", None), "dog/2": ("dog", None), "test/cat/3": ("cat", "test")}),
        (["cat", "dog"], {"train/cat/1": ("cat", "train"), "test/zebra/2": ("zebra", "test")}),
        (["a", "b"], {"train/0/1": ("0", "train"), "val/1/2": ("1", "val")}),  # the folders are indices
    ],
)  # fmt: skip
def test_what_the_folders_of_a_tree_are(classes, tree):
    assert settled(list(tree), classes)[0] == tree


@pytest.mark.parametrize("classes", [None, ["cat", "dog"]])
def test_a_split_without_class_folders_is_told_with_the_remedy(classes):
    found, warnings = settled([*TREE, "test/3", "test/4"], classes)
    assert found["test/3"] == (None, "test") and found["train/dog/2"] == ("dog", "train")
    said = (
        "2 images lie in no class folder (test/): without label; images.split: train, or that folder as images.path, "
    )
    assert warnings == [said + "leaves them out"]
    assert settled([*TREE, "test/3", "test/4"], classes, split="train")[1] == []


def test_what_else_is_told():
    assert settled(["cat/1", "dog/2"])[1] == settled(["1", "2"])[1] == settled(["images/1"])[1] == []
    (said,) = settled(["cat/1", "dog/2", "contact_sheet.png"])[1]
    assert said == "1 image lies in no class folder (beside the folders, e.g. 'contact_sheet.png'): without label"
    (said,) = settled(["train/1", "test/2"])[1]
    assert said == "test/, train/ hold no class folders: no image has a label; give images.labels a table of path,label"
    (said,) = settled(["car/1", "train/2"])[1]
    assert said.endswith("(train/): without label; if train is a class, give model.classes")
    (said,) = settled(["animal/dog/1", "animal/cat/2", "x/car/3"])[1]
    assert "the outer folders, not those in them (car, cat, dog): give model.classes" in said
    assert settled(["train/1"], unlabelled=True) == ({"train/1": (None, "train")}, [])


SPLITS = "train,Test,VAL,validation,test_images,train2017,val-set,testset,hold_out,public test,trainval,eval,dev"
OTHERS = "1.2.840.113619.2.5.1762583153.215519.978957063.78x,trainer,"
OTHERS += "train station,protest,test tube,valley,data,images,2017,devil,tr"


@pytest.mark.parametrize("name", SPLITS.split(","))
def test_names_of_splits(name):
    assert is_split(name)


@pytest.mark.parametrize("name", OTHERS.split(","))
def test_names_that_are_none(name):
    assert not is_split(name)
