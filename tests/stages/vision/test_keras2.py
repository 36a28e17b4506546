"""Files of Keras 2: read with every weight and the same numbers, or refused in words; other files that cannot be read.

The files are of today's Keras, their descriptions written as Keras 2 wrote them: arguments that are no more, calls as
lists, nested models whose calls count from one, slashes in names, operations of TensorFlow as layers.
"""

import copy
import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

from activation_atlas.stages import saved
from activation_atlas.stages.saved import description, obstacle, outputs
from activation_atlas.stages.saved import layers as layer_names
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import open_model
from activation_atlas.stages.vision.model.loading import load

IMAGES = np.random.default_rng(2).uniform(0, 255, (3, 16, 16, 3)).astype("float32")


def layer(kind, name, *inputs, **config):
    """A layer as Keras 2 describes it; an input is a name, or (name, call)."""
    places = [[*((i, 0) if isinstance(i, str) else i), 0, {}] for i in inputs]
    return {"class_name": kind, "config": {"name": name, "trainable": True, "dtype": "float32", **config}, "name": name,
            "inbound_nodes": [places] if places else []}  # fmt: skip


def operation(function, called, source, kind="TFOpLambda", **given):
    return {"class_name": kind, "config": {"name": called, "trainable": True, "dtype": "float32", "function": function},
            "name": called, "inbound_nodes": [[source, 0, 0, given]]}  # fmt: skip


def image(name, *shape):
    config = {"batch_input_shape": [None, *shape], "dtype": "float32", "sparse": False, "ragged": False, "name": name}
    return {"class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": []}


def graph(name, first, last, *inner):
    config = {"name": name, "layers": list(inner), "input_layers": [[first, 0, 0]], "output_layers": [[last, 0, 0]]}
    return {"class_name": "Functional", "config": config}


def old():
    """What Keras 2 says of the model that `new` builds."""
    same = {"padding": "same", "activation": "linear", "use_bias": True, "data_format": "channels_last"}
    square = {"kernel_size": [3, 3], "strides": [1, 1], "dilation_rate": [1, 1], "groups": 1}
    flipped = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]
    trunk = graph(
        "trunk",
        "in",
        "out/relu",
        image("in", 16, 16, 3),
        layer("DepthwiseConv2D", "deep", "in", depth_multiplier=1, **same, **square),
        layer("BatchNormalization", "norm", "deep", axis=[3], epsilon=0.001, momentum=0.99, center=True, scale=True),
        layer("SeparableConv2D", "apart", "norm", filters=5, kernel_initializer=None, **same, **square),
        layer("ReLU", "out/relu", "apart", max_value=6.0, negative_slope=0.0, threshold=0.0),
    )
    call = {"name": "trunk", "inbound_nodes": [[["norm/sub", 0, 0, {"training": False}]]]}
    return graph(
        "model",
        "image",
        "dense",
        image("image", 16, 16, 3),
        operation("__operators__.getitem", "flip", "image", "SlicingOpLambda", slice_spec=flipped),
        operation("math.truediv", "norm/div", "flip", y=127.5, name=None),
        operation("math.subtract", "norm/sub", "norm/div", y=1.0, name=None),
        {**trunk, **call},
        layer("Conv2DTranspose", "up", ("trunk", 1), filters=4, output_padding=None, **same, **square),
        layer("SpatialDropout2D", "drop", "up", rate=0.5, noise_shape=None, seed=None),
        layer("RandomFlip", "turn", "drop", mode="horizontal", seed=None, rng_type="stateful"),
        operation("math.reduce_mean", "mean", "turn", axis=[1, 2]),
        layer("Dense", "dense", "mean", units=3, activation="softmax", use_bias=True),
    )


@pytest.fixture(scope="module")
def new():
    keras.utils.set_random_seed(5)
    inner = keras.Input((16, 16, 3), name="in")
    x = layers.DepthwiseConv2D(3, padding="same", name="deep")(inner)
    x = layers.SeparableConv2D(5, 3, padding="same", name="apart")(layers.BatchNormalization(name="norm")(x))
    trunk = keras.Model(inner, layers.ReLU(6.0, name="out_relu")(x), name="trunk")
    first = keras.Input((16, 16, 3), name="image")
    x = trunk(first[..., ::-1] / 127.5 - 1.0)
    x = layers.Conv2DTranspose(4, 3, padding="same", name="up")(x)
    x = layers.Dense(3, activation="softmax", name="dense")(ops.mean(x, axis=[1, 2]))
    model = keras.Model(first, x)
    rng = np.random.default_rng(3)
    model.set_weights(
        [rng.uniform(0.1, 0.9, w.shape) * rng.choice([-1, 1], w.shape[-1:]) ** w.ndim for w in model.weights]
    )
    return model


@pytest.fixture
def write(new, tmp_path):
    """The weights of `new` in a file with another description."""

    def write(ending, config, version="2.15.0"):
        made, path = tmp_path / f"new{ending}", tmp_path / f"old{ending}"
        new.save(made)
        if ending == ".h5":
            made.rename(path)
            with h5py.File(path, "a") as file:
                file.attrs["model_config"] = json.dumps(config)
                file.attrs["keras_version"] = file["model_weights"].attrs["keras_version"] = version
        else:
            with zipfile.ZipFile(made) as there, zipfile.ZipFile(path, "w") as here:
                here.writestr("metadata.json", json.dumps({"keras_version": version}))
                here.writestr("config.json", json.dumps(config))
                here.writestr("model.weights.h5", there.read("model.weights.h5"))
        return str(path)

    return write


@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_what_both_mean_alike_is_read_and_gives_the_same_numbers(new, write, ending):
    path = write(ending, old())
    found = load(ModelSpec(path=path)).keras
    assert np.array_equal(found.predict(IMAGES, verbose=0), new.predict(IMAGES, verbose=0))
    model = open_model(ModelSpec(path=path))
    assert "trunk/out_relu" in model.program.names and model.program.names.keys() >= {"up", "norm_sub", "mean"}


def changed(place, **values):
    config = old()
    (found,) = [inner for inner in config["config"]["layers"] if inner["name"] == place]
    found["config"].update(values)
    return config


@pytest.mark.parametrize(
    ("place", "values", "words"),
    [
        ("dense", {"activation": "hard_sigmoid"}, "layer dense: hard_sigmoid is 0.2 x . 0.5 in Keras 2 and x / 6"),
        ("mean", {"function": "math.reduce_std"}, "layer mean: the operation tf.math.reduce_std of TensorFlow"),
        ("up", {"groups": 2}, r"Conv2DTranspose.*\{'groups': 2\}"),
        ("dense", {"units": 4}, "old.h5.*new.keras"),
    ],
)
def test_what_keras_3_does_not_have_is_one_line(write, place, values, words):
    with pytest.raises(UserError, match="was saved by Keras 2.15.0, and Keras 3 cannot read it") as error:
        load(ModelSpec(path=write(".h5", changed(place, **values))))
    said = str(error.value)
    assert "\n" not in said and len(said) < 500 and "model.load_weights('old.h5')" in said
    assert re.search(words, said)


def test_weights_that_are_not_those_of_the_file_are_refused(write):
    path = write(".h5", old())
    with h5py.File(path, "a") as file:
        file["model_weights/extra/left"] = np.ones(3, "float32")
    with pytest.raises(UserError, match="cannot read it .* weights are not those of the file"):
        load(ModelSpec(path=path))


@pytest.mark.parametrize("ending", [".h5", ".keras"])
@pytest.mark.parametrize("version", ["2.15.0", "3.15.0"])
def test_layers_whose_code_is_elsewhere_are_named(write, ending, version, monkeypatch):
    monkeypatch.setattr(saved.importlib.util, "find_spec", lambda name: None)

    def told(config):
        with pytest.raises(UserError) as error:
            load(ModelSpec(path=write(ending, config, version)))
        assert "\n" not in str(error.value)
        return str(error.value)

    own = changed("up")
    own["config"]["layers"][5] |= {"class_name": "Mine", "registered_name": "pkg>Mine", "module": None}
    if ending == ".h5":
        own["config"]["layers"][5]["class_name"] = "pkg>Mine"
    assert "holds the custom layer pkg>Mine (called up), whose code is not in the file" in told(own)
    own["config"]["layers"][5] |= {"class_name": "ViTPatch", "registered_name": "keras_hub>ViTPatch"}
    own["config"]["layers"][5]["module"] = "keras_hub.src.models.vit"
    assert "needs keras-hub for ViTPatch: pip install 'activation-atlas[hub]'" in told(own)
    code = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None, "closure": None}}
    own["config"]["layers"][5] = layer("Lambda", "halve", "trunk", function=code)
    assert "holds the Lambda layer halve, which is Python code" in told(own)


def test_a_bare_name_that_keras_does_not_know_is_a_custom_layer(write):
    config = old()
    config["config"]["layers"][5]["class_name"] = "LayerScale"
    with pytest.raises(UserError, match=r"the custom layer LayerScale \(called up\)"):
        load(ModelSpec(path=write(".h5", config)))


def test_a_custom_layer_that_is_registered_is_no_obstacle(tmp_path):
    @keras.saving.register_keras_serializable("words")
    class Twice(layers.Layer):
        def call(self, x):
            return 2 * x

    first = keras.Input((8, 8, 3))
    keras.Model(first, layers.Dense(2)(layers.GlobalAveragePooling2D()(Twice()(first)))).save(tmp_path / "own.keras")
    saved = description(str(tmp_path / "own.keras"))
    assert obstacle(saved) is None and load(ModelSpec(path=saved.path)).keras.count_params() == 8
    del keras.saving.get_custom_objects()["words>Twice"]
    assert "custom layer words>Twice (called twice)" in obstacle(saved)


def test_folders_and_files_of_weights_are_told_as_such(new, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match=r"SavedModel folder.*tf_keras.models.load_model\('saved'\)"):
        load(ModelSpec(path=str(tmp_path / "saved")))
    with pytest.raises(UserError, match="is a folder; give a whole model"):
        load(ModelSpec(path=str(tmp_path)))
    new.save_weights(tmp_path / "some.weights.h5")
    (tmp_path / "some.weights.h5").rename(tmp_path / "weights.h5")
    with pytest.raises(UserError, match="holds weights only"):
        load(ModelSpec(path=str(tmp_path / "weights.h5")))


def test_a_description_tells_layers_and_classes_as_the_model_does(new, tmp_path):
    new.save(tmp_path / "new.keras")
    new.save(tmp_path / "new.h5")
    model = open_model(ModelSpec(path=str(tmp_path / "new.keras")))
    for name in ("new.keras", "new.h5"):
        saved = description(str(tmp_path / name))
        assert set(layer_names(saved.config)) == set(model.program.names)
        assert outputs(saved.config) == 3 and not saved.old
    assert outputs(old()) == 3
    sigmoid = copy.deepcopy(old())
    sigmoid["config"]["layers"][-1]["config"].update(units=1, activation="sigmoid")
    assert outputs(sigmoid) == 2
    sigmoid["config"]["layers"][-1]["class_name"] = "Mine"
    assert outputs(sigmoid) is None
