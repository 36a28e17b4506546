"""The description of a model of Keras 2 in the words of Keras 3."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from activation_atlas.stages.saved import Config, mappings
from activation_atlas.stages.vision.model.keras2.operations import argument, operation

_DROPPED: dict[str, tuple] = {
    "groups": (1,),
    "noise_shape": (None,),
    "seed": (None,),
    "rng_type": ("stateful", "stateless", None),
    "softmax_robust_masking": (False,),
}
"""Arguments that are no more, and the values at which leaving them out changes nothing in inference."""

_SHAPES = ("query_shape", "key_shape", "value_shape", "build_input_shape")
"""What the graph tells again."""


def reworded(config: Config) -> Config:
    """The description of a model of Keras 2 in the words of Keras 3.

    Raises:
        ValueError: an operation that has no other word here.
    """
    config = copy.deepcopy(config)
    _renamed(config)
    _model(config)
    return config


def _renamed(value: Any) -> None:
    """Names of layers without slashes, which Keras 3 does not take; wherever they are spoken of."""
    for model in _models(value):
        layers = model["config"]["layers"]
        names = {layer.get("name") or layer["config"].get("name") for layer in layers}
        new = {name: name.replace("/", "_") for name in names if name and "/" in name}
        if len({new.get(name, name) for name in names}) < len(names):
            raise ValueError("two layers differ in a slash of their names only")
        model["config"].update(_replaced({k: v for k, v in model["config"].items() if k != "layers"}, new))
        for layer in layers:
            layer["config"]["name"] = new.get(layer["config"].get("name"), layer["config"].get("name"))
            for key in ("name", "inbound_nodes"):
                if key in layer:
                    layer[key] = _replaced(layer[key], new)


def _models(value: Any) -> Iterator[Config]:
    own = (m for m in mappings(value) if isinstance(m.get("config"), dict))
    return (m for m in own if isinstance(m["config"].get("layers"), list))


def _replaced(value: Any, new: dict[str, str]) -> Any:
    if isinstance(value, str):
        return new.get(value, value)
    if isinstance(value, list):
        return [_replaced(inner, new) for inner in value]
    return {key: _replaced(inner, new) for key, inner in value.items()} if isinstance(value, dict) else value


def _model(config: Config) -> None:
    own = config["config"]
    for key in ("input_layers", "output_layers"):
        if len(own.get(key, ())) == 1:  # one tensor, not a list of one
            own[key] = own[key][0]
    _counted_from_zero(own)
    for layer in own["layers"]:
        for key in ("module", "registered_name", "build_config", "compile_config"):
            layer.pop(key, None)
        if layer["class_name"] in ("TFOpLambda", "SlicingOpLambda"):
            operation(layer)
            continue
        if "inbound_nodes" in layer:
            layer["inbound_nodes"] = [_call(node) for node in layer["inbound_nodes"]]
        if isinstance(layer["config"].get("layers"), list):
            _model(layer)
        else:
            _layer(layer)
    own.pop("build_input_shape", None)


def _counted_from_zero(own: Config) -> None:
    """Calls of nested models: Keras 2 counted the making of one as its first call."""
    nested = {layer["config"]["name"] for layer in own["layers"] if isinstance(layer["config"].get("layers"), list)}
    spoken = [own.get("output_layers"), *(layer.get("inbound_nodes") for layer in own["layers"])]
    places = [place for place in _places(spoken) if place[0] in nested]
    first = {name: min(place[1] for place in places if place[0] == name) for name in {place[0] for place in places}}
    for place in places:
        place[1] -= first[place[0]]


def _places(value: Any) -> Iterator[list]:
    """All ``[layer, call, tensor, ...]`` in a description."""
    if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _places(inner)


def _call(node: list) -> Config:
    """A call as Keras 3 writes it: Keras 2 has ``[layer, call, tensor, other arguments]`` for each tensor."""
    tensors = [argument(place[:3]) for place in node]
    others = {key: argument(value) for place in node for key, value in (place[3:4] or [{}])[0].items()}
    return {"args": [tensors[0] if len(tensors) == 1 else tensors], "kwargs": others}


def _layer(layer: Config) -> None:
    own = layer["config"]
    if isinstance(own.get("dtype"), dict):
        own["dtype"] = own["dtype"]["config"]["name"]
    if layer["class_name"] == "InputLayer":
        own["batch_shape"] = own.pop("batch_input_shape", own.get("batch_shape"))
        return
    if isinstance(own.get("layer"), dict):  # a wrapper of another layer
        own["layer"].pop("module", None)
        _layer(own["layer"])
    if layer["class_name"].startswith("SeparableConv"):  # it has a depthwise and a pointwise kernel
        for key in ("kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            own.pop(key, None)
    kind = getattr(keras.layers, layer["class_name"], None)
    known = inspect.signature(kind.__init__).parameters if kind else {}
    if kind and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        own.pop("trainable", None)
    for key in [key for key in own if kind and key not in known]:
        if key in _SHAPES or (key in _DROPPED and own[key] in _DROPPED[key]):
            del own[key]
