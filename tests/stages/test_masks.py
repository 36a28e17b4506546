"""Which mask is whose, and folders that hold none."""

import pytest

from activation_atlas.stages.sources.masks import listed, matched
from activation_atlas.stages.stage import UserError


def test_masks_are_found_by_path_stem_and_id():
    uris = {"00": "/x/images/cat/1.jpg", "01": "/x/images/dog/1.jpg", "02": "/x/images/dog/2.jpg", "03": "/x/y.png"}
    uris |= {
        "04": "/data/all.parquet#7@train/lion.png",
        "05": "demo:scenes#test/owl/0.png",
        "ff": "s3://bucket/far.jpg",
    }
    masks = ["cat/1.png", "dog/1.png", "2.PNG", "train/lion.png", "test/owl/0.png", "ff.png"]
    found = {"00": "cat/1.png", "01": "dog/1.png", "02": "2.PNG", "04": "train/lion.png", "05": "test/owl/0.png"}
    found |= {"ff": "ff.png"}
    assert matched(uris, masks, "evaluate.masks") == found


def test_a_mask_that_fits_two_images_is_refused():
    with pytest.raises(UserError, match="1.png fits 2 images, e.g. /a/cat/1.jpg and /a/dog/1.jpg; lay the masks"):
        matched({"00": "/a/cat/1.jpg", "01": "/a/dog/1.jpg"}, ["1.png"], "evaluate.masks")


def test_a_folder_of_masks_that_is_not_there_or_holds_none(tmp_path):
    with pytest.raises(UserError, match="evaluate.masks: .*nowhere is no folder"):
        listed(str(tmp_path / "nowhere"), "evaluate.masks")
    with pytest.raises(UserError, match="holds no PNG files"):
        listed(str(tmp_path), "evaluate.masks")
