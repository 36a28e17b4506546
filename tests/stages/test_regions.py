"""Given segments: read from label images of every form, brought to the model's input, refused in one line."""

import io

import numpy as np
import pytest
from PIL import Image

from activation_atlas.stages.feed.regions import Asked, Regions, found_for, labels_of, on_input
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import Fit, ImageError

LABELS = np.array([[3, 3, 0, 0, 7, 7], [3, 3, 0, 0, 7, 7]], np.uint8).repeat(2, 0)


def png(image) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, "PNG")
    return out.getvalue()


def test_labels_are_stored_numbers_or_colours():
    same = [LABELS, LABELS.astype(np.uint16) * 1000]
    paletted = Image.fromarray(LABELS).convert("P")
    paletted.putpalette([9] * 768)  # all colours alike: it is the number that tells
    coloured = np.stack([LABELS * 0, LABELS * 30, LABELS * 0], 2)
    wanted = np.unique(LABELS, return_inverse=True)[1].ravel()
    for image in (*same, paletted, coloured, np.dstack([coloured, LABELS * 0 + 255])):
        assert np.array_equal(np.unique(labels_of(png(image)), return_inverse=True)[1].ravel(), wanted)
    with pytest.raises(ImageError):
        labels_of(b"no image")
    with pytest.raises(ImageError, match="cannot be decoded"):
        labels_of(png(LABELS.repeat(40, 0))[:-30])


def test_labels_lie_where_the_image_does():
    whole = on_input(LABELS, (4, 6), Fit("none"))
    np.testing.assert_array_equal(whole[0], [1, 1, 0, 0, 2, 2])
    # The middle square of 4 x 6 begins and ends within the outer segments.
    np.testing.assert_array_equal(on_input(LABELS, (4, 4), Fit("center"))[0], [1, 0, 0, 2])
    np.testing.assert_array_equal(on_input(LABELS, (8, 8), Fit("center"))[3], [1, 1, 0, 0, 0, 0, 2, 2])
    # Padded to 6 x 6: a row above and below, which is a segment of its own.
    padded = on_input(LABELS, (6, 6), Fit("pad"))
    np.testing.assert_array_equal(padded[[0, 5]], np.zeros((2, 6)))
    np.testing.assert_array_equal(padded[1], [2, 2, 1, 1, 3, 3])


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    for name, image in (("few", LABELS * 0), ("many", LABELS), ("broken", None)):
        (tmp_path / f"{name}.png").write_bytes(b"no" if image is None else png(image))
    paths = tuple((name, f"{name}.png") for name in ("few", "many", "broken"))

    def given(name, most=None, upright=(4, 6)):
        return Regions(Asked(str(tmp_path), most), None, paths, Fit(), (4, 4))(name, upright)

    assert given("many").max() == 2
    for words, arguments in {
        "in few.png one label lies over all that the model sees; give two": ("few",),
        "many.png has 3 segments, and samples for 2; join some, or give more samples": ("many", 2),
        "the label image many.png has 6 x 4 pixels, the image 8 x 4": ("many", None, (4, 8)),
        "the label image broken.png cannot be read: ": ("broken",),
    }.items():
        with pytest.raises(ImageError, match=words):
            given(*arguments)
    with pytest.raises(UserError, match="lime.masks: none of the 3 files fits an image, e.g. broken.png; name them"):
        found_for({"00": "photos/cat.jpg"}, str(tmp_path), "lime.masks")
    assert found_for({"00": "photos/few.jpg"}, str(tmp_path), "lime.masks") == {"00": "few.png"}
