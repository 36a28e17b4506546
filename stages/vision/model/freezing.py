"""Graphs with their weights as constants: batch norms fold into convolutions, and nothing is looked up.

TensorFlow keeps a constant some five times: in the function, in its library, in the graph that runs, as a tensor, laid
out for oneDNN. Matrices that are multiplied by and nothing else gain nothing by it: of a transformer, all graphs share
the one copy that the model itself has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from activation_atlas.stages.vision.model.keras_adapter import with_constants

log = logging.getLogger(__name__)

WORTH = 2**24
"""Bytes of matrices from which on they are shared. Most networks of convolutions have less."""
_PRODUCTS = {"MatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"}
_ONWARD = {"Identity", "Reshape"}
_SUMS = {"BiasAdd", "Add", "AddV2"}


def freeze(function: Callable[..., Any], *specs: tf.TensorSpec) -> Callable[..., Any]:
    """``function`` traced once at ``specs``, its variables turned into constants.

    Args:
        function: of tensors, returning a nest of tensors, in which None may stand.
        specs: shape and dtype of every argument; the result takes just these.

    Returns:
        A function of tensors that returns the same nest; several threads may call it
        at once. Where a graph cannot be frozen it is the traced function itself, and
        the log says so.
    """
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    try:
        shared = matrices(traced)
        idle = [with_constants(traced, shared)]
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        log.warning("a graph could not be frozen and runs unfrozen (%s)", reason)
        return traced
    structure = traced.structured_outputs
    present = [x is not None for x in tf.nest.flatten(structure)]

    lost: list[bool] = []

    def call(*tensors: tf.Tensor) -> Any:
        if lost:
            return traced(*tensors)
        # A copy for each call under way: oneDNN's convolution that adds another tensor keeps what it adds in the
        # kernel, which all calls of one graph share. Two at once crash, or add each other's.
        try:
            frozen = idle.pop()
        except IndexError:
            frozen = with_constants(traced, shared)
        try:
            found = iter(frozen(*tensors))
        except tf.errors.OpError as error:
            plain = traced(*tensors)  # which raises the same where freezing is not to blame
            lost.append(True)
            log.warning("a frozen graph does not run, and runs unfrozen (%s)", error.message.splitlines()[0][:200])
            return plain
        finally:
            idle.append(frozen)
        return tf.nest.pack_sequence_as(structure, [next(found) if there else None for there in present])

    return call


def matrices(traced: Any) -> dict[str, tf.Tensor]:
    """Values of the matrices that a traced function only multiplies by, by the name of their placeholder.

    As they are now: what is assigned to a variable later does not reach them. Empty where it is not :data:`WORTH` it.
    """
    variables = {id(variable.handle): variable for variable in traced.variables}
    held = traced.captured_inputs
    found = {}
    for handle, symbol in zip(held, traced.inputs[len(traced.inputs) - len(held) :], strict=True):
        variable = variables.get(id(handle))
        if variable is not None and variable.shape.rank > 1 and _is_factor(symbol):
            found[symbol.op.name] = variable.value()
    return found if sum(map(_bytes, found.values())) >= WORTH else {}


def _bytes(tensor: tf.Tensor | tf.Variable) -> int:
    return tensor.dtype.size * tensor.shape.num_elements()


def _is_factor(symbol: tf.Tensor) -> bool:
    """Whether all that is done with a variable is to read it, and to multiply by it.

    Not where something is added to the product at once: of a constant, both become one kernel, which rounds once.
    """
    readers = symbol.consumers()
    wanted = [value for reader in readers for value in reader.outputs]
    while wanted:
        for user in wanted.pop().consumers():
            if user.type in _ONWARD:
                wanted.extend(user.outputs)
            elif user.type not in _PRODUCTS or any(x.type in _SUMS for x in _fused(user)):
                return False
    return all(reader.type == "ReadVariableOp" for reader in readers)


def _fused(product: tf.Operation) -> list[tf.Operation]:
    """What may become one kernel with a product."""
    return product.outputs[0].consumers() if product.type == "MatMul" else []
