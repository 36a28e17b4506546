"""Layers made of other layers, opened: what they call, one by one, as a graph.

KerasHub keeps all blocks of a transformer inside one encoder layer, and people write blocks as layers of their own. A
model's graph has one node for such a layer. Its ``call`` is run once more on symbolic tensors, on which the layers and
operations inside leave nodes of their own; what cannot be followed that way (plain TensorFlow, sizes of the batch)
stays one step. Whether the graph found gives what the layer gives is for noise to say (:func:`gives_the_same`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from activation_atlas.stages.vision.model import keras_adapter
from activation_atlas.stages.vision.model.agreement import CLOSE, close
from activation_atlas.stages.vision.model.keras_adapter import Call


def inside(node: Call) -> Any | None:
    """The graph of what a call's layer computes of its inputs: has ``inputs``, one for each tensor, and ``outputs``.

    None for Keras's own layers, for what is made of no other layers, and for what cannot be followed.
    """
    layer = node.operation
    if not _is_composite(layer) or any(None in tensor.shape[1:] for tensor in node.inputs):
        return None
    symbols = [keras.Input(batch_shape=x.shape, dtype=taken(layer, x)) for x in node.inputs]
    by_id = {id(x): symbol for x, symbol in zip(reversed(node.inputs), reversed(symbols), strict=True)}
    symbols = [by_id[id(x)] for x in node.inputs]  # one that is given twice is the same inside, too
    args, kwargs = tree.map_structure(lambda x: by_id.get(id(x), x), (node.args, keras_adapter.at_inference(node)))
    try:
        with keras_adapter.filled_up(filter(_is_composite, keras_adapter.sublayers(layer))):
            outputs = tree.flatten(layer.call(*args, **kwargs))
        outputs = [x if isinstance(x, keras.KerasTensor) else Constant(x)(symbols[0]) for x in outputs]
        return keras_adapter.between(symbols, outputs) if len(outputs) == len(node.outputs) else None
    except Exception:  # whatever a layer finds wrong with tensors that have no values
        return None


def _is_composite(operation: Any) -> bool:
    """Whether it is a layer of somebody's own that is made of other layers."""
    own = isinstance(operation, keras.layers.Layer) and keras_adapter.home(operation) is None
    return own and bool(keras_adapter.sublayers(operation))


class Constant(keras.Operation):
    """Whatever it is called with, a value that was there before; 0 for None, which nobody reads."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = tf.convert_to_tensor(0.0 if value is None else value)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.value

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(self.value.shape, self.value.dtype.name)


def taken(layer: Any, tensor: keras.KerasTensor) -> str:
    """The type in which a layer takes a tensor: real numbers in the type it computes in."""
    real = keras.backend.is_float_dtype(tensor.dtype) and layer.autocast
    return layer.compute_dtype if real else tensor.dtype


def gives_the_same(quick: Callable[[list[tf.Tensor]], Sequence[tf.Tensor]], node: Call) -> bool:
    """Whether ``quick`` gives, of noise for the call's inputs, what its layer gives; two images, real numbers only."""
    if not all(keras.backend.is_float_dtype(x.dtype) and x.dtype in CLOSE for x in node.inputs):
        return False
    rng = np.random.default_rng(0)
    given = [tf.constant(rng.normal(size=(2, *x.shape[1:])), x.dtype) for x in node.inputs]
    by_id = {id(x): value for x, value in zip(reversed(node.inputs), reversed(given), strict=True)}
    given = [by_id[id(x)] for x in node.inputs]
    args, kwargs = tree.map_structure(lambda x: by_id.get(id(x), x), (node.args, keras_adapter.at_inference(node)))
    with tf.init_scope():
        try:
            made, expected = quick(given), tree.flatten(node.operation(*args, **kwargs))
        except Exception:  # whatever TensorFlow, or a user's layer, finds wrong with the noise
            return False
        return len(made) == len(expected) and all(_alike(*both) for both in zip(made, expected, strict=True))


def _alike(made: tf.Tensor, expected: tf.Tensor | None) -> bool:
    if expected is None or made.shape.num_elements() == 0:
        return expected is None or made.shape == expected.shape
    dtype = expected.dtype.name
    return made.dtype == expected.dtype and dtype in CLOSE and close(made, expected, dtype)


def steady_names(nodes: Sequence[Call], owner: Any | None) -> dict[int, str]:
    """Names for the operations inside of an opened layer, by id, that are the same in every process.

    Keras numbers what has no name of its own by what the process made before. Of such, a layer that ``owner`` holds
    as an attribute is called as that is, ``blocks_2`` where it is one of a list; the others are numbered here.
    """
    held = {} if owner is None else _attributes(owner)
    found: dict[int, str] = {}
    counts: Counter[str] = Counter()
    for operation in {id(node.operation): node.operation for node in nodes}.values():
        kind = keras_adapter.snake_case(type(operation).__name__)
        if not re.fullmatch(rf"{kind}(_\d+)?", operation.name):
            found[id(operation)] = operation.name
        elif id(operation) in held:
            found[id(operation)] = held[id(operation)]
        else:
            found[id(operation)] = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
    return found


def _attributes(owner: Any) -> dict[int, str]:
    """Names of a layer's attributes that are layers, or hold some, by the id of the layer."""
    found: dict[int, str] = {}
    for name, value in vars(owner).items():
        if isinstance(value, keras.layers.Layer):
            found.setdefault(id(value), name)
        elif isinstance(value, (list, tuple)) and not name.startswith("_"):
            for k, each in enumerate(value):
                found.setdefault(id(each), f"{name}_{k}")
    return found
