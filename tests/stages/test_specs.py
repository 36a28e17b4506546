"""Nearest names: what is near is offered, what is not is not. And values that a model takes."""

import pytest
from pydantic import ValidationError

from activation_atlas.stages.specs import ModelSpec, meant, near, near_file, standardisation

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


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, ((0, 255), [0], [1])),
        ({"mean": [0.485, 0.456, 0.406], "std": 0.2}, ((0, 1), [0.485, 0.456, 0.406], [0.2])),
        ({"mean": 0.5, "std": 0.5}, ((0, 1), [0.5], [0.5])),
        ({"mean": [103.939, 116.779, 123.68]}, ((0, 255), [103.939, 116.779, 123.68], [1])),
        ({"mean": 127.5, "std": 127.5}, ((0, 255), [127.5], [127.5])),
        ({"std": 255}, ((0, 255), [0], [255])),
        ({"range": (-1, 1), "mean": 0.1, "std": 0.5}, ((-1, 1), [0.1], [0.5])),
    ],
)  # fmt: skip
def test_mean_and_deviation_are_of_the_range_they_fit(given, expected):
    spec = ModelSpec(path="m.keras", **given)
    assert standardisation(spec.range, spec.mean, spec.std) == expected


@pytest.mark.parametrize(
    "given, said",
    [
        ({"mean": [123.7, 116.3, 103.5], "std": 0.229}, "mean 123.7 is of values in \\[0, 255\\], std 0.229"),
        ({"mean": 0.5, "std": 58}, "mean 0.5 is of values in \\[0, 1\\], std 58 in \\[0, 255\\]; give both of one"),
        ({"mean": 300}, "mean: 300 is no value in \\[0, 255\\]"),
        ({"mean": 120, "range": (0, 1)}, "mean: 120 is no value in \\[0, 1\\]"),
        ({"std": 0}, "std: 0 divides nothing"),
        ({"std": [0.2, -1, 0.2]}, "std: -1 divides nothing"),
        ({"mean": [0.5, 0.5]}, "mean: give one number, or one for each of three"),
        ({"mean": float("nan")}, "mean: give one number"),
        ({"std": 700}, "std: 700 is more than"),
    ],
)  # fmt: skip
def test_mean_and_deviation_that_cannot_be(given, said):
    with pytest.raises(ValidationError, match=said):
        ModelSpec(path="m.keras", **given)
