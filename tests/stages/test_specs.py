"""Nearest names: what is near is offered, what is not is not."""

import pytest

from activation_atlas.stages.specs import meant, near, near_file

LAYERS = ["stem/conv_1", "stem/conv_2", "relu", "predictions"]


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("secnd", ["first", "second"], ["second"]),
        ("Grad-CAM", ["cam", "grad_cam", "score_cam"], ["grad_cam"]),
        ("conv_1", [*LAYERS, "conv_11"], ["stem/conv_1", "conv_11"]),
        ("trunk/conv_2", LAYERS, ["stem/conv_2"]),
        ("retriever", ["golden retriever", "Labrador retriever", "tabby"], ["golden retriever", "Labrador retriever"]),
        ("clas 1", ["class 0", "class 1", "class 2"], ["class 1"]),
        ("zebra", ["stripes", "checks", "blobs"], []),
        ("cat", ["catamaran", "cathedral", "dog"], []),
        ("xyz", LAYERS, []),
        ("", LAYERS, []),
        ("?!", LAYERS, []),
        ("a", [], []),
    ],
)
def test_only_what_is_near_is_near(name, known, expected):
    assert near(name, known) == expected


def test_what_is_said_of_an_unknown_name():
    assert meant("relus", LAYERS) == "did you mean relu?"
    assert meant("conv", LAYERS) == "did you mean stem/conv_1 or stem/conv_2?"
    assert meant("xyz", LAYERS) == "there are stem/conv_1, stem/conv_2, relu, predictions"
    assert meant("xyz", list("abcdefg")) == "there are a, b, c, d, e, ..."
    assert (meant("xyz", ["relu"]), meant("xyz", [])) == ("there is relu", "there is none")


def test_a_file_is_near_by_its_name_without_the_ending():
    assert near_file("modl.keras", ["model.keras", "other.keras"]) == "model.keras"
    assert near_file("model.h5", ["model.keras"]) == "model.keras"
    assert near_file("a.keras", ["b.keras", "model.keras"]) == ""
