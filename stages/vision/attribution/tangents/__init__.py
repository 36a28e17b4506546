"""How each kind of operation passes a change on: the linearisation of a network's head, step by step.

What no rule covers goes to ``tf.autodiff.ForwardAccumulator`` over the whole
map, one step at a time, which is slower; where TensorFlow has no forward
derivative, to two reverse passes. Both can be wrong: whoever relies on a
layer's tangents has them proven (:mod:`~stages.vision.attribution.proof`).
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from stages.vision.attribution.tangents.joins import added, joined, multiplied
from stages.vision.attribution.tangents.neighbourhoods import (
    average,
    convolution,
    global_average,
    linear,
    maximum,
    padded,
)
from stages.vision.attribution.tangents.pointwise import (
    activation,
    dense,
    pointwise,
    relu,
    rescaled,
    reshaped,
    same,
    scaled,
)
from stages.vision.attribution.tangents.push import Push, Rule, Tangent
from stages.vision.model.program import Step

__all__ = ["RULES", "Push", "Tangent", "push_step"]

RULES: dict[str, Rule] = {
    **dict.fromkeys(("Identity", "identity", "Dropout", "SpatialDropout2D", "StochasticDepth", "GaussianNoise"), same),
    **dict.fromkeys(("Reshape", "Flatten"), reshaped),
    "BatchNormalization": scaled,
    "Rescaling": rescaled,
    **dict.fromkeys(("ReLU", "Relu", "Relu6"), relu),
    "Activation": activation,
    **dict.fromkeys(("LeakyReLU", "LeakyRelu", "ELU", "Elu", "Silu", "Gelu", "Sigmoid", "Tanh", "Selu"), pointwise),
    **dict.fromkeys(("HardSilu", "HardSigmoid", "Softplus", "LayerScale", "LayerNormalization"), pointwise),
    "Dense": dense,
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "SeparableConv2D"), convolution),
    **dict.fromkeys(("ZeroPadding2D", "Cropping2D", "Pad"), padded),
    "AveragePooling2D": average,
    "MaxPooling2D": maximum,
    "GlobalAveragePooling2D": global_average,
    **dict.fromkeys(("UpSampling2D", "Resizing", "Resize", "CenterCrop", "RandomCrop"), linear),
    "Add": added,
    "Concatenate": joined,
    "Multiply": multiplied,
}
"""Class name of an operation to its rule."""


def push_step(
    step: Step, tangents: list[Tangent | None], push: Push, rules: Mapping[str, Rule] = RULES
) -> list[Tangent | None]:
    """The tangents of a step's outputs; None where one does not change, as an index does not."""
    rule = rules.get(step.kind)
    found = rule(step, tangents, push) if rule and len(step.outputs) == 1 else None
    return _differentiated(step, tangents, push) if found is None else [found]


def _differentiated(step: Step, tangents: list[Tangent | None], push: Push) -> list[Tangent | None]:
    changed = {i: push.whole(t) for i, t in zip(step.inputs, tangents, strict=True) if t is not None}
    smooth = [slot for slot in step.outputs if tf.as_dtype(push.native[slot]).is_floating]
    if not changed or not smooth:
        return [None] * len(step.outputs)
    values = {i: tf.cast(push.own(i), push.native[i]) for i in dict.fromkeys(step.inputs)}
    given, power = push.narrowed(changed, step)
    primals = [values[i] for i in changed]
    try:
        with tf.autodiff.ForwardAccumulator(primals, given) as accumulator:
            step(values)
        made = [accumulator.jvp(values[slot], tf.UnconnectedGradients.ZERO) for slot in smooth]
    except Exception:  # no forward derivative: of a loop, say
        push.twice.append(step)
        made = twice(step, values, primals, given, smooth)
    found: dict[int, Tangent] = {}
    for slot, out in zip(smooth, made, strict=True):
        out = push.widened(out, power)
        found[slot] = push.as_map(out) if out.shape.rank == 4 else out
    return [found.get(slot) for slot in step.outputs]


def twice(
    step: Step, values: dict[int, tf.Tensor], primals: list[tf.Tensor], given: list[tf.Tensor], slots: list[int]
) -> list[tf.Tensor]:
    """J t of ``slots`` as the gradient, with respect to u, of t . J'u: two reverse passes (Townsend 2017)."""
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(primals)
            step(values)
        made = [values[slot] for slot in slots]
        dual = [tf.zeros_like(y) for y in made]
        outer.watch(dual)
        slopes = inner.gradient(made, primals, output_gradients=dual, unconnected_gradients="zero")
    return outer.gradient(slopes, dual, output_gradients=given, unconnected_gradients="zero")
