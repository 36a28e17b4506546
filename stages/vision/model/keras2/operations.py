"""Operations of TensorFlow that Keras 2 recorded as layers, as the operations of Keras 3 that compute the same."""

from __future__ import annotations

from typing import Any

from activation_atlas.stages.saved import Config
from activation_atlas.stages.vision.model.keras_adapter import OPERATIONS

_OPERATIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "math.truediv": ("numpy", "TrueDivide", ("y",)),
    "math.divide": ("numpy", "TrueDivide", ("y",)),
    "math.subtract": ("numpy", "Subtract", ("y",)),
    "math.add": ("numpy", "Add", ("y",)),
    "__operators__.add": ("numpy", "Add", ("y",)),
    "math.multiply": ("numpy", "Multiply", ("y",)),
    "nn.bias_add": ("numpy", "Add", ("bias",)),
    "nn.relu": ("nn", "Relu", ()),
    "nn.relu6": ("nn", "Relu6", ()),
    "nn.silu": ("nn", "Silu", ()),
    "nn.softmax": ("nn", "Softmax", ()),
    "math.sigmoid": ("nn", "Sigmoid", ()),
    "__operators__.getitem": ("numpy", "GetItem", ("slice_spec",)),
    "math.reduce_mean": ("numpy", "Mean", ()),
    "reshape": ("numpy", "Reshape", ()),
    "cast": ("core", "Cast", ()),
}
"""Of each function: the module and class that Keras 3 has for it, and the arguments that are given in the call."""

_SETTINGS = {
    "Mean": {"axis": "axis", "keepdims": "keepdims"},
    "Reshape": {"shape": "newshape"},
    "Cast": {"dtype": "dtype"},
}
"""Arguments of a call that Keras 3 keeps with the operation: the one's name and the other's."""

_NEUTRAL = {
    "name": (None,),
    "data_format": (None, "NHWC"),
    "axis": (None, -1),
    "keepdims": (None, False),
    "beta": (1.0,),
}
"""Arguments that may be left out, and the values at which that changes nothing."""


def operation(layer: Config) -> None:
    """Rewords a layer that is an operation of TensorFlow, in place.

    Raises:
        ValueError: there is no other word for it here.
    """
    function, nodes = layer["config"]["function"], layer["inbound_nodes"]
    module, kind, given = _OPERATIONS.get(function, (None, None, ()))
    if kind is None or len(nodes) != 1:
        raise ValueError(f"layer {layer['name']}: the operation tf.{function} of TensorFlow")
    node = nodes[0][0] if isinstance(nodes[0][0], list) else nodes[0]
    settings = _SETTINGS.get(kind, {})
    rest = dict(node[3])
    args = [argument(node[:3]), *(argument(rest.pop(key)) for key in given)]
    own = {mine: rest.pop(key) for key, mine in settings.items() if rest.get(key) is not None}
    if any(value not in _NEUTRAL.get(key, ()) for key, value in rest.items()):
        raise ValueError(f"layer {layer['name']}: tf.{function} with {', '.join(rest)}")
    layer.update(
        module=f"{OPERATIONS}.{module}",
        class_name=kind,
        registered_name=kind,
        config={"name": layer["name"], **own},
        inbound_nodes=[{"args": args, "kwargs": {}}],
    )


def argument(value: Any) -> Any:
    """An argument of a call as Keras 3 writes it: a tensor, a number, some numbers, or slices."""
    if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str):
        if value[0] == "_CONSTANT_VALUE":
            return value[2]
        history = {"shape": [None], "dtype": "float32", "keras_history": value[:3]}
        return {"class_name": "__keras_tensor__", "config": history}
    if isinstance(value, list) and value and all(isinstance(item, (int, float)) for item in value):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    if isinstance(value, list):
        return [argument(item) for item in value]
    if isinstance(value, dict) and {"start", "stop", "step"} == value.keys():
        return {"class_name": "__slice__", "config": value}
    if isinstance(value, dict):
        return {"config": {}, **value}
    return value
