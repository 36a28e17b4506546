"""Graphs with their weights as constants: batch norms fold into convolutions, and nothing is looked up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from activation_atlas.stages.vision.model.keras_adapter import with_constants

log = logging.getLogger(__name__)


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
        idle = [with_constants(traced)]
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
            frozen = with_constants(traced)
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
