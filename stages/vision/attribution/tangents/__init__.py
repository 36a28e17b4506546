"""How each kind of operation passes a change on, step by step: at its slope (:data:`RULES`), or as large as the change
is (:data:`FINITE`).

What no rule covers goes over the whole map, one step at a time, which is
slower: at its slope to ``tf.autodiff.ForwardAccumulator`` or, where TensorFlow
has no forward derivative, to two reverse passes; a finite change to the step
itself. All of it can be wrong: whoever relies on a layer's tangents or changes
has them proven (:mod:`~stages.vision.attribution.proof`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from activation_atlas.stages.vision.attribution.tangents import finite
from activation_atlas.stages.vision.attribution.tangents.joins import added, joined, multiplied
from activation_atlas.stages.vision.attribution.tangents.neighbourhoods import (
    average,
    convolution,
    global_average,
    linear,
    maximum,
    padded,
)
from activation_atlas.stages.vision.attribution.tangents.pointwise import (
    activation,
    dense,
    pointwise,
    relu,
    rescaled,
    reshaped,
    same,
    scaled,
)
from activation_atlas.stages.vision.attribution.tangents.primals import Primals, Rule, Tangent
from activation_atlas.stages.vision.model.program import Step

__all__ = ["FINITE", "RULES", "Primals", "Tangent", "differentiated", "propagate"]

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
"""Class name of an operation to its rule for tangents."""

_NOT_LINEAR: dict[Rule, Rule] = {
    relu: finite.relu,
    activation: finite.activation,
    pointwise: finite.pointwise,
    dense: finite.dense,
    convolution: finite.convolution,
    maximum: finite.maximum,
    multiplied: finite.multiplied,
}
FINITE: dict[str, Rule] = {kind: _NOT_LINEAR.get(rule, rule) for kind, rule in RULES.items()}
"""Class name of an operation to its rule for changes of any size."""

Otherwise = Callable[[Step, list[Tangent | None], Primals], list[Tangent | None]]


def propagate(
    step: Step, tangents: list[Tangent | None], primals: Primals, rules: Mapping[str, Rule], otherwise: Otherwise
) -> list[Tangent | None]:
    """The tangents, or changes, of a step's outputs; None where one does not change.

    Args:
        otherwise: for a step that has no rule, or whose rule does not apply.
    """
    rule = rules.get(step.kind)
    moved = [slot for slot, tangent in zip(step.inputs, tangents, strict=True) if tangent is not None]
    applies = rule and moved and len(step.outputs) == 1 and primals.is_float([*moved, *step.outputs])
    found = rule(step, tangents, primals) if applies else None
    return otherwise(step, tangents, primals) if found is None else [found]


def differentiated(step: Step, tangents: list[Tangent | None], primals: Primals) -> list[Tangent | None]:
    changed = {i: primals.whole(t) for i, t in zip(step.inputs, tangents, strict=True) if t is not None}
    smooth = [slot for slot in step.outputs if tf.as_dtype(primals.native[slot]).is_floating]
    if not changed or not smooth:
        return [None] * len(step.outputs)
    values = {i: tf.cast(primals.own(i), primals.native[i]) for i in dict.fromkeys(step.inputs)}
    given, power = primals.narrowed(changed, step)
    plain = [values[i] for i in changed]
    try:
        with tf.autodiff.ForwardAccumulator(plain, given) as accumulator:
            step(values)
        made = [accumulator.jvp(values[slot], tf.UnconnectedGradients.ZERO) for slot in smooth]
    except Exception:  # no forward derivative: of a loop, say
        primals.twice.append(step)
        made = twice(step, values, plain, given, smooth)
    found: dict[int, Tangent] = {}
    for slot, out in zip(smooth, made, strict=True):
        out = primals.widened(out, power)
        found[slot] = primals.as_map(out) if out.shape.rank == 4 else out
    return [found.get(slot) for slot in step.outputs]


def twice(
    step: Step, values: dict[int, tf.Tensor], plain: list[tf.Tensor], given: list[tf.Tensor], slots: list[int]
) -> list[tf.Tensor]:
    """J t of ``slots`` as the gradient, with respect to u, of t . J'u: two reverse passes (Townsend 2017)."""
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(plain)
            step(values)
        made = [values[slot] for slot in slots]
        dual = [tf.zeros_like(y) for y in made]
        outer.watch(dual)
        slopes = inner.gradient(made, plain, output_gradients=dual, unconnected_gradients="zero")
    return outer.gradient(slopes, dual, output_gradients=given, unconnected_gradients="zero")
