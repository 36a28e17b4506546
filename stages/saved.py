"""What a model file says of itself: read without opening the model, and without TensorFlow. A leaf."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Config = dict[str, Any]

LIBRARIES = {"keras_hub": "'activation-atlas[hub]'", "keras_cv": "keras-cv", "keras_nlp": "keras-nlp"}
"""Libraries of layers that Keras imports by itself where they are installed, and what to install."""


@dataclass(frozen=True)
class Saved:
    """The description in a .keras or .h5 file.

    Attributes:
        path: of the file.
        keras: the version of Keras that wrote it; "" where the file does not say.
        config: ``{"class_name", "config", ...}`` of the whole model.
    """

    path: str
    keras: str
    config: Config = field(repr=False)

    @property
    def old(self) -> bool:
        """Whether Keras 1 or 2 wrote it."""
        return self.keras.startswith(("1.", "2."))

    def said(self, words: str) -> str:
        """What is said of the file, behind a word of Keras 2 where that wrote it."""
        return f"was saved by Keras {self.keras} and {words}" if self.old else words

    def objects(self) -> Iterator[Config]:
        """Everything in the description that is an object of some class, outermost first."""
        return _objects(self.config)


def description(path: str) -> Saved | None:
    """What a file says of itself; None where it is none that Keras wrote whole, or cannot be read."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                version = json.loads(file.read("metadata.json")).get("keras_version", "")
                config = json.loads(file.read("config.json"))
        else:
            config, version = _of_hdf5(path)
    except Exception:  # damaged in some way or other: whoever opens the model says how
        return None
    return Saved(path, str(version), config) if isinstance(config, dict) and "class_name" in config else None


def _of_hdf5(path: str) -> tuple[Any, str]:
    import h5py

    def text(value: Any) -> str:
        return value.decode() if isinstance(value, bytes) else str(value)

    with h5py.File(path) as file:
        marked = [at for at in (file, file.get("model_weights")) if at is not None and "keras_version" in at.attrs]
        version = text(marked[0].attrs["keras_version"]) if marked else ""
        return json.loads(text(file.attrs["model_config"])), version


def folder(path: str) -> str:
    """What to say of a folder that is given as a model."""
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        name = os.path.basename(os.path.abspath(path))
        return (
            "is a SavedModel folder, which Keras 3 cannot read; where Keras saved it, Keras 2 writes it to one file: "
            f"pip install tf-keras; python -c \"import tf_keras; tf_keras.models.load_model('{name}')"
            ".save('model.h5')\""
        )
    if os.path.isfile(os.path.join(path, "network.json")):
        return (
            "is a folder of tables, which stands in a model's place in a configuration alone: "
            "model: {tables: FOLDER}; then activation-atlas run"
        )
    return "is a folder; give a whole model saved as .keras or .h5 (model.save('model.keras'))"


def mappings(value: Any) -> Iterator[Config]:
    """Every mapping in a description, outer ones first."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(inner)


def _objects(value: Any) -> Iterator[Config]:
    return (m for m in mappings(value) if isinstance(m.get("class_name"), str) and "config" in m)


# -- what cannot be opened -----------------------------------------------------


def obstacle(saved: Saved) -> str | None:
    """The first thing in a description that no Keras can open here, in words, and what to do; None where there is none.

    A class whose code is nowhere, a library that is not installed, a Lambda layer: of these the file itself is
    enough to know.
    """
    found = _obstacle(saved)
    return found and saved.said(found)


def _obstacle(saved: Saved) -> str | None:
    if (own := _subclassed(saved)) is not None and not _is_registered(own):
        return (
            f"is {saved.config['class_name']}, a subclassed model, whose code is not in the file and whose layers "
            "cannot be followed; rebuild it as a functional or Sequential model, take over its weights, and save that"
        )
    for found in saved.objects():
        kind, name = found["class_name"], _name_of(found)
        if kind == "Lambda" and _is_code(found["config"].get("function")):
            return (
                f"holds the Lambda layer {name}, which is Python code, and code is not run from a file; put a layer "
                "of Keras or an operation of keras.ops in its place (Rescaling for a change of range) and save again"
            )
        library = _library(found)
        if library is not None:
            if importlib.util.find_spec(library) is None:
                return f"needs {library.replace('_', '-')} for {kind}: pip install {LIBRARIES[library]}"
            continue
        own = _registered(found)
        if own is not None and not _is_registered(own):
            return custom(own, name)
    return None


def _subclassed(saved: Saved) -> str | None:
    """The name that the whole model's class was saved by, where it is somebody's own and no graph of layers."""
    whole, inner = saved.config, saved.config.get("config")
    if saved.old or _library(whole) is not None or (isinstance(inner, dict) and "layers" in inner):
        return None
    bare = whole.get("module") is None and whole.get("registered_name") == whole.get("class_name")
    return _registered(whole) or (str(whole["class_name"]) if bare else None)


def custom(kind: str, name: str) -> str:
    """What to say of somebody's own class or function; ``name`` of the layer, "" where it is none."""
    what = f"layer {kind} (called {name})" if name else f"function or class {kind}"
    return (
        f"holds the custom {what}, whose code is not in the file; rebuild the model from Keras's own layers and save "
        "it again, or start from a script that registers it (keras.saving.register_keras_serializable) and then "
        "calls activation_atlas.pipeline.cli.main()"
    )


def _name_of(found: Config) -> str:
    return found["config"].get("name", "") if isinstance(found["config"], dict) else ""


def _is_code(function: Any) -> bool:
    return isinstance(function, list) or (isinstance(function, dict) and function.get("class_name") == "__lambda__")


def _library(found: Config) -> str | None:
    names = [str(found.get("module") or "").split(".")[0], *(str(found.get(key) or "").split(">")[0] for key in _NAMES)]
    return next((name for name in names if name in LIBRARIES), None)


_NAMES = ("registered_name", "class_name")


def _registered(found: Config) -> str | None:
    """The name somebody's own class or function was registered by; None for one of Keras."""
    if found["class_name"] == "function":
        return found["config"] if ">" in str(found["config"]) else None
    for key in _NAMES:
        if ">" in str(found.get(key) or ""):
            return found[key]
    module, own = found.get("module"), found.get("registered_name")
    ours = module is None or module == "builtins" or str(module).split(".")[0] in ("keras", "tf_keras", "tensorflow")
    return None if ours or not own else str(own)


def _is_registered(name: str) -> bool:
    """Whether the class was registered in this process, which takes Keras."""
    keras = sys.modules.get("keras")
    return keras is not None and keras.saving.get_registered_object(name) is not None


# -- layers and classes --------------------------------------------------------

_GRAPHS = ("Sequential", "Functional", "Model")


def layers(config: Config) -> list[str] | None:
    """Paths of all layers but inputs, ``backbone/conv_1`` of nested models; None where the description hides the model.

    A path with / at its end is that of a layer that may hold others, which the description does not tell.
    """
    inner = config.get("config")
    found = inner.get("layers") if isinstance(inner, dict) and config.get("class_name") in _GRAPHS else None
    if not isinstance(found, list) or _registered(config) is not None or _library(config) is not None:
        return None
    paths: list[str] = []
    for layer in found:
        name = layer.get("name") or _name_of(layer)
        if layer.get("class_name") == "InputLayer":
            continue
        paths.append(name)
        own = _registered(layer) is not None or _library(layer) is not None
        below = layers(layer) if layer.get("class_name") in _GRAPHS and not own else [""] if own else []
        if below is None:
            return None
        paths += [f"{name}/{path}" for path in below]
    return paths


def input_size(config: Config) -> tuple[int, int] | None:
    """Height and width of the images a model takes; None where the description does not tell, or leaves them free."""
    for found in _objects(config):
        if found["class_name"] == "InputLayer":
            shape: Any = found["config"].get("batch_shape") or found["config"].get("batch_input_shape") or ()
            fixed = len(shape) == 4 and None not in shape[1:3]
            return (shape[1], shape[2]) if fixed else None
    return None


_PASSING = ("Activation", "Softmax", "Dropout", "ReLU", "LeakyReLU")


def outputs(config: Config, single: int = 2) -> int | None:
    """The number of classes, where the model plainly ends in a Dense layer; one sigmoid stands for ``single``."""
    inner = config.get("config")
    if config.get("class_name") not in _GRAPHS or not isinstance(inner, dict):
        return None
    by_name = {layer.get("name") or _name_of(layer): layer for layer in inner.get("layers", ())}
    if config["class_name"] == "Sequential":
        order = list(reversed(by_name.values()))
    else:
        order = _chain(inner, by_name)
    for layer in order:
        kind, own = layer.get("class_name"), layer["config"]
        if kind == "Dense":
            return own["units"] if own["units"] > 1 else single if own.get("activation") == "sigmoid" else None
        if kind in _GRAPHS:
            return outputs(layer, single)
        if kind not in _PASSING:
            return None
    return None


def _chain(inner: Config, by_name: dict[str, Config]) -> list[Config]:
    """The layers back from the only output, as long as each has a single call with a single input."""
    ends = inner.get("output_layers") or []
    name = ends[0] if len(ends) == 3 and isinstance(ends[0], str) else ends[0][0] if len(ends) == 1 else None
    found: list[Config] = []
    while name in by_name:
        layer = by_name[name]
        found.append(layer)
        nodes = layer.get("inbound_nodes") or []
        came = list(_history(nodes)) if len(nodes) == 1 else []
        name = came[0] if len(came) == 1 and len(found) < len(by_name) else None
    return found


def _history(value: Any) -> Iterator[str]:
    """Names of the layers that a call takes its tensors from, as Keras 3 and as Keras 2 write them."""
    if isinstance(value, dict):
        if "keras_history" in value:
            yield value["keras_history"][0]
        else:
            for inner in value.values():
                yield from _history(inner)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and all(isinstance(k, int) for k in value[1:3]):
            yield value[0]
        else:
            for inner in value:
                yield from _history(inner)
