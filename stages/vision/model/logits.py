"""Where a model's logits are: what goes into its last softmax or sigmoid."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from stages.stage import UserError
from stages.vision.model.program import Program, Step, identity, run

log = logging.getLogger(__name__)

Kind = Literal["softmax", "sigmoid"]
"""How logits become probabilities: over the classes together, or each class by itself."""

Trace = Callable[[Program], dict[int, tuple]]
"""Runs a program symbolically; the shape of each slot."""

# Steps that neither mix nor change values, so that a softmax before them may be undone.
_SHAPE_ONLY = {"Reshape", "Flatten", "Dropout", "Identity", "Squeeze", "Cast", "_Cast", "identity"}
_SOFTMAX = {"Softmax", "softmax"}
_SIGMOID = {"Sigmoid", "sigmoid"}


def to_logits(program: Program, output: str, shapes: Trace, where: str) -> tuple[Program, Kind]:
    """Rewrites a program to end in logits of shape (images, classes), at least two classes.

    A single output z of a sigmoid becomes the two logits (0, z). Probabilities
    whose softmax cannot be seen become log p, which the softmax turns back into p.

    Args:
        output: ``auto``, ``logits`` or ``probabilities``, as ``model.output`` says.
        where: the model's name in error messages.

    Raises:
        UserError: the output is not one row of classes, or cannot be told to be a logit.
    """
    kind: Kind = "softmax"
    found = _last_activation(program) if output != "logits" else None
    if found is not None:
        index, kind, linear = found
        program = program.replaced(index, linear)
    shape = shapes(program)[program.output]
    if len(shape) < 2 or int(np.prod(shape[1:])) != max(shape[1:], default=0):
        raise UserError(f"{where}: returns {_sized(shape)} for an image; a classifier returns one number per class")
    classes = max(shape[1:])
    if len(shape) > 2:
        program = program.extended("logits/row", lambda x: tf.reshape(x, (-1, classes)))
    if found is not None:
        if classes == 1:
            program = program.extended("logits/two", _two) if kind == "sigmoid" else program
        if classes == 1 and kind == "softmax":
            raise UserError(f"{where}: a softmax over one class is always 1; use a sigmoid, or two classes")
        return program, "softmax" if classes == 1 else kind
    if classes == 1:
        if output == "auto":
            raise UserError(
                f"{where}: returns one number without a sigmoid; a quantity (regression) is no class; of two classes, "
                "say what it is with model.output: logits (or probabilities)"
            )
        return program.extended("logits/two", _two if output == "logits" else _two_of_probability), "softmax"
    if output == "probabilities" or (output == "auto" and _sums_to_one(program, shapes, where)):
        return program.extended("logits/log", _log), "softmax"
    return program, "softmax"


def ends_in_one(program: Program) -> bool:
    """Whether the two logits are (0, z) of a single unit z."""
    return bool(program.steps) and program.steps[-1].operation is _two


def _last_activation(program: Program) -> tuple[int, Kind, Callable[..., Any]] | None:
    """The softmax or sigmoid that the output comes from, and what to put in its place."""
    index = program.maker(program.output)
    while index is not None:
        step = program.steps[index]
        kind = _kind(step)
        if kind is not None:
            plain = step.kind in (_SOFTMAX | _SIGMOID | {"Activation"})
            return index, kind, identity if plain else _without_activation(step.operation)
        linear = step.kind == "Activation" and _activation(step) == "linear"
        if not (linear or step.kind in _SHAPE_ONLY) or len(step.inputs) != 1:
            return None
        index = program.maker(step.inputs[0])
    return None


def _kind(step: Step) -> Kind | None:
    name = step.kind if step.kind in _SOFTMAX | _SIGMOID else _activation(step)
    axis = getattr(step.operation, "axis", -1)
    if name in _SOFTMAX and axis in (-1, (-1,), [-1]):
        return "softmax"
    return "sigmoid" if name in _SIGMOID else None


def _activation(step: Step) -> str | None:
    activation = getattr(step.operation, "activation", None)
    return getattr(activation, "__name__", None)


def _without_activation(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The same layer with the same weights, returning what goes into its activation."""
    config = layer.get_config()
    config["activation"] = "linear"
    bare = type(layer).from_config(config)
    bare.build(**(layer.get_build_config() or {}))
    bare.set_weights(layer.get_weights())
    return bare


def _two(z: tf.Tensor) -> tf.Tensor:
    """Two logits whose softmax is (1 - sigmoid(z), sigmoid(z))."""
    return tf.concat([tf.zeros_like(z), z], axis=-1)


def _two_of_probability(p: tf.Tensor) -> tf.Tensor:
    return _log(tf.concat([1 - p, p], axis=-1))


def _log(p: tf.Tensor) -> tf.Tensor:
    # A probability below the smallest normal number has no logarithm worth keeping.
    return tf.math.log(tf.maximum(p, p.dtype.as_numpy_dtype(np.finfo(p.dtype.as_numpy_dtype).tiny)))


def _sums_to_one(program: Program, shapes: Trace, where: str) -> bool:
    """Whether three random images give rows of probabilities though no softmax was found."""
    size = shapes(program)[program.input][1:]
    noise = np.random.default_rng(0).uniform(-1, 1, (3, *size)).astype("float32")
    values = {program.input: tf.constant(noise * np.float32([[[[1]]], [[[10]]], [[[100]]]]))}
    out = tf.cast(run(program.before([program.output]), values)[program.output], "float32").numpy()
    told = bool(np.all(out >= 0) and np.all(np.abs(out.sum(1) - 1) < 1e-3))
    if told:
        log.warning("%s: no softmax, but the output sums to 1: taken as probabilities (model.output overrides)", where)
    return told


def _sized(shape: tuple) -> str:
    return " x ".join(str(n) for n in shape[1:]) or "a single value"
