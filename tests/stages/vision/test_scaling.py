"""The range that a model's first steps tell, and the usual ways to bring pixels to a model."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model import Model, open_model
from activation_atlas.stages.vision.model.loading import Loaded
from activation_atlas.stages.vision.model.scaling import contradiction, told
from activation_atlas.stages.vision.preparations import BGR_MEAN, DEVIATION, MEAN, own, usual

SIZE = 12


def _nested(x):
    inner = keras.Input((SIZE, SIZE, 3))
    body = keras.Model(inner, layers.Conv2D(4, 3)(layers.Rescaling(1 / 127.5, offset=-1)(inner)), name="backbone")
    return body(layers.RandomFlip()(layers.Resizing(SIZE, SIZE)(x)))


def _trained_norm(x):
    norm = layers.BatchNormalization(name="norm")
    y = norm(x)
    norm.set_weights([np.full(3, 1.0), np.zeros(3), np.full(3, 120.0), np.full(3, 64.0**2)])
    return y


BEGINNINGS = {  # what a model does with its input, and the range that this tells
    "1/255": (lambda x: layers.Rescaling(1 / 255)(x), (0, 255)),
    "1/127.5 - 1, nested, behind other layers": (_nested, (0, 255)),
    "(x - 127) / 128": (lambda x: layers.Rescaling(1 / 128, offset=-127 / 128)(x), (0, 255)),
    "operations": (lambda x: (ops.cast(x, "float32") / 255 - 0.5) * 2, (0, 255)),
    "preprocess_input, torch": (lambda x: keras.applications.densenet.preprocess_input(x), (0, 255)),
    "preprocess_input, caffe": (lambda x: keras.applications.resnet.preprocess_input(x), (0, 255)),
    "Normalization of [0, 255]": (lambda x: layers.Normalization(mean=120.0, variance=4000.0)(x), (0, 255)),
    "Normalization of [0, 1]": (lambda x: layers.Normalization(mean=MEAN, variance=DEVIATION**2)(x), (0, 1)),
    "2 x - 1": (lambda x: x * 2 - 1, (0, 1)),
    "255 x": (lambda x: layers.Rescaling(255)(layers.ZeroPadding2D(1)(x)), (0, 1)),
    "127.5 x + 127.5": (lambda x: layers.Rescaling(127.5, offset=127.5)(x), (-1, 1)),
    "a batch norm's moments": (_trained_norm, (0, 255)),
    "an untrained batch norm": (lambda x: layers.BatchNormalization()(x), None),
    "nothing": (lambda x: x, None),
    "a rescaling of what the network made": (lambda x: layers.Rescaling(1 / 255)(layers.Conv2D(3, 1)(x)), None),
}  # fmt: skip


def made(begin, **spec) -> Model:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(begin(image)))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(x))
    low, high = spec.get("range", (0, 255))
    prepare = (lambda x: x) if (low, high) == (0, 255) else (lambda x: x * ((high - low) / 255.0) + low)
    return Model(Loaded("m.keras", model, prepare), ModelSpec(path="m.keras", **spec))


@pytest.mark.parametrize("begin", BEGINNINGS)
def test_the_first_steps_tell_the_range(begin):
    build, expected = BEGINNINGS[begin]
    found = told(made(build))
    assert (found and found.range) == expected


def test_a_range_that_contradicts_them_is_said():
    begin = BEGINNINGS["1/255"][0]
    spec = {"range": (-1.0, 1.0)}
    what, remedy = contradiction(made(begin, **spec), ModelSpec(path="m.keras", **spec))
    assert what.startswith("model m.keras begins with rescaling")
    assert what.endswith("which takes [0, 255] to [0, 1]; model.range is [-1, 1]")
    assert remedy == "leave model.range out, or give model.range: [0, 255]"
    assert contradiction(made(begin), ModelSpec(path="m.keras")) is None
    what, remedy = contradiction(made(BEGINNINGS["2 x - 1"][0]), ModelSpec(path="m.keras"))
    assert "model.range is not given, and is then [0, 255]" in what and remedy == "give model.range: [0, 1]"


@pytest.fixture(scope="module")
def colours():
    return made(BEGINNINGS["nothing"][0])


def test_the_usual_ways_are_those_of_keras(colours):
    """Beside `preprocess_input` in its three modes, on noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3)).astype("float32")
    found = {way.name: way.apply(pixels.copy()) for way in usual(colours)}
    assert list(found)[:4] == ["[-1, 1]", "[0, 1]", "ImageNet mean and deviation", "BGR less ImageNet mean"]
    assert list(found)[4:] == ["BGR", "BGR [-1, 1]", "BGR [0, 1]"]
    keras_own = {"[-1, 1]": "tf", "ImageNet mean and deviation": "torch", "BGR less ImageNet mean": "caffe"}
    for name, mode in keras_own.items():
        expected = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
        assert np.allclose(found[name], expected, atol=1e-4), name
    assert np.array_equal(found["BGR"], pixels[..., ::-1]) and BGR_MEAN[0] < BGR_MEAN[2]


def test_the_models_own_way_is_not_among_them():
    names = [way.name for way in usual(made(BEGINNINGS["nothing"][0], range=(-1.0, 1.0)))]
    assert "[-1, 1]" not in names and names[0] == "[0, 255]" and "BGR [-1, 1]" not in names and "BGR" in names


def test_of_greys_black_and_white_are_changed_about():
    image = keras.Input((SIZE, SIZE, 1))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(image)))
    grey = Model(Loaded("m.keras", model, lambda x: x), ModelSpec(path="m.keras"))
    assert [way.name for way in usual(grey)] == ["[-1, 1]", "[0, 1]", "[255, 0]", "[1, -1]", "[1, 0]"]


def test_the_settings_that_are_advised_do_what_was_tried(tmp_path):
    """Given in the section `model`: the same values, whatever was given before."""
    pixels = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3)).astype("float32")
    body = keras.Sequential(
        [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    )
    body.build((None, SIZE, SIZE, 3))
    body.save(tmp_path / "model.keras")
    path = str(tmp_path / "model.keras")
    for given in ({}, {"mean": [120, 110, 100], "std": 60, "channels": "bgr"}):
        before = open_model(ModelSpec(path=path, **given))
        for way in usual(before):
            after = open_model(ModelSpec(path=path, **way.settings))
            np.testing.assert_allclose(own(after, pixels), way.apply(pixels), rtol=1e-5, atol=1e-4, err_msg=way.name)
            assert set(way.leave) == set(given) - set(way.settings)
    assert [w.settings for w in usual(before) if w.name == "RGB"] == [{"mean": [120, 110, 100], "std": 60}]


def test_mean_and_deviation_that_contradict_the_first_steps_are_said(tmp_path):
    body = keras.Sequential(
        [layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    body.build((None, SIZE, SIZE, 3))
    body.save(tmp_path / "m.keras")
    spec = ModelSpec(path=str(tmp_path / "m.keras"), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    what, remedy = contradiction(open_model(spec), spec)
    assert what.endswith("which takes [0, 255] to [0, 1]; with model.mean and model.std it is given [-1.986, 2.439]")
    assert remedy == "leave model.mean and model.std out"
