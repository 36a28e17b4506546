"""What is private in Keras and TensorFlow: which versions are known, and what is said where a record is gone."""

import importlib
import inspect
import tomllib
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import keras_adapter

ROOT = Path(__file__).parents[3]
NOW = keras.__version__


@pytest.fixture
def said(caplog):
    """What is logged of the versions, asked anew."""
    keras_adapter.check_versions.cache_clear()
    yield lambda: (keras_adapter.check_versions(), caplog.text)[1]
    keras_adapter.check_versions.cache_clear()


def test_the_versions_here_are_tested(said):
    assert said() == ""


def test_the_project_asks_for_the_versions_that_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {keras_adapter.bounds(library) for library in keras_adapter.TESTED} <= set(project["dependencies"])
    (gpu,) = project["optional-dependencies"]["gpu"]
    assert gpu.split(";")[0] == keras_adapter.bounds("tensorflow").replace("tensorflow", "tensorflow[and-cuda]")
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for keras_, tensorflow in zip(keras_adapter.TESTED["keras"], keras_adapter.TESTED["tensorflow"], strict=True):
        assert f"Keras {keras_} on TensorFlow {tensorflow}" in readme


@pytest.mark.parametrize("version", ["3.9.2", "3.10.0", "3.15.9", "3.16.0"])
def test_a_version_that_was_not_tested_is_one_line(version, said, monkeypatch, caplog):
    known = version in ("3.10.0", "3.15.9")
    monkeypatch.setattr(keras_adapter, "TESTED", {"keras": ("3.10", "3.15")})
    monkeypatch.setattr(keras, "__version__", version)
    line = f"keras {version} was not tested, 3.10 to 3.15 were"
    assert (line in said()) is not known
    keras_adapter.check_versions()
    assert caplog.text.count("was not tested") == (not known), "once per process"
    assert known or "pip install 'keras>=3.10,<3.16'" in caplog.text


def test_another_backend_is_refused(said, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(UserError, match="Keras computes with torch, .*KERAS_BACKEND=tensorflow"):
        said()


def plain() -> keras.Model:
    image = keras.Input((4, 4, 1))
    return keras.Model(image, keras.layers.Conv2D(1, 3)(image))


GONE = {
    "a class": ("keras.src.models.functional", "Functional", keras_adapter.graph),
    "a value": (
        "keras.src.applications.imagenet_utils",
        "CLASS_INDEX_PATH",
        lambda _: keras_adapter.imagenet_index_url(),
    ),
    "of TensorFlow": (
        "tensorflow.python.framework.convert_to_constants",
        "convert_variables_to_constants_v2",
        lambda _: keras_adapter.with_constants(None, {}),
    ),
}


@pytest.mark.parametrize("what", GONE)
def test_a_record_that_is_gone_is_one_line_that_names_the_version(what, monkeypatch):
    module, name, use = GONE[what]
    model = plain()
    monkeypatch.delattr(importlib.import_module(module), name)
    library, version = ("tensorflow", tf.__version__) if "tensorflow" in module else ("keras", NOW)
    with pytest.raises(UserError) as told:
        use(model)
    assert str(told.value).startswith(f"{library} {version} has no {module}.{name}")
    assert keras_adapter.bounds(library) in str(told.value) and "\n" not in str(told.value)


def test_a_graph_that_is_kept_otherwise_is_one_line(monkeypatch):
    graph = keras_adapter.graph(plain())
    monkeypatch.delattr(graph, "_nodes_by_depth")
    with pytest.raises(UserError, match=f"keras {NOW} has no graph that can be read .*_nodes_by_depth"):
        keras_adapter.calls(graph)


def test_the_calls_of_a_graph_are_those_that_were_written():
    image = keras.Input((4, 4, 1))
    shared = keras.layers.Conv2D(1, 3, padding="same", name="shared")
    once = shared(image)
    twice = keras.layers.Add(name="sum")([shared(once), image])
    model = keras.Model(image, keras.ops.mean(twice, axis=(1, 2), keepdims=False))
    found = keras_adapter.calls(keras_adapter.graph(model))
    assert [call.operation.name for call in found][:3] == ["shared", "shared", "sum"] and len(found) == 4
    assert found[0].inputs[0] is image and found[0].outputs[0] is once and found[1].inputs[0] is once
    ((first, second),) = found[2].args
    assert first is found[1].outputs[0] and second is image and found[3].kwargs == {}


def test_what_has_a_graph():
    unbuilt = keras.Sequential([keras.layers.Dense(1)])
    built = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    class Own(keras.Model):
        def call(self, x):
            return x

    assert keras_adapter.graph(unbuilt) is keras_adapter.graph(Own()) is keras_adapter.graph(built.layers[0]) is None
    assert len(keras_adapter.calls(keras_adapter.graph(built))) == 1


def test_where_an_operation_comes_from():
    assert keras_adapter.home(keras.layers.MaxPooling2D()) == "layers.pooling.max_pooling2d"
    assert keras_adapter.home(keras.ops.mean) == "ops.numpy"
    assert keras_adapter.home(tf.nn.relu) is None and keras_adapter.home(plain) is None


def test_a_copy_with_another_activation_shares_its_weights():
    layer = keras.layers.Dense(2, activation="relu")
    layer.build((None, 3))
    twin = keras_adapter.with_attributes(layer, activation=keras.activations.linear)
    layer.set_weights([w + 1 for w in layer.get_weights()])
    assert [a is b for a, b in zip(twin.weights, layer.weights, strict=True)] == [True, True]
    assert layer.activation is keras.activations.relu and twin.activation is keras.activations.linear


def test_every_application_has_its_preprocessing():
    names = [name for name in dir(keras.applications) if name[0].isupper()]
    assert len(names) > 30
    for name in names:
        assert inspect.isfunction(keras_adapter.preprocessing(getattr(keras.applications, name))), name


def test_the_operations_of_saved_models_are_where_they_say():
    from activation_atlas.stages.vision.model.keras2.operations import _OPERATIONS

    for module, kind, _ in _OPERATIONS.values():
        assert inspect.isclass(keras_adapter._private(f"{keras_adapter.OPERATIONS}.{module}.{kind}")), kind
