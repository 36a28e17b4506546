"""Guided backprop, deconvnet, guided Grad-CAM: gradients with another rule at every ReLU.

The model's program is rewritten: the same steps and weights, the same values forward, each ReLU with a gradient of
the rule's own. A ReLU is found as a layer (also with a ``max_value``), as an ``Activation``, as the ``activation`` of
any layer, and as an operation of ``keras.ops``; not inside a layer's own code.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods import cam, input_gradient
from activation_atlas.stages.vision.attribution.methods.input_gradient import InputGradient, largest_colour
from activation_atlas.stages.vision.attribution.methods.method import (
    AtLayer,
    Configured,
    Explain,
    Maps,
    Method,
    Options,
    Sample,
    Setting,
)
from activation_atlas.stages.vision.lazy import tf
from activation_atlas.stages.vision.place import Place

if TYPE_CHECKING:
    import keras

    from activation_atlas.stages.vision.model import Model
    from activation_atlas.stages.vision.model.program import Program, Step

Function = Callable[..., "tf.Tensor"]
Rule = Callable[[Function], Function]
"""A ReLU to a function with the same values and the rule's gradient."""


class GuidedBackprop(Options):
    name: Literal["guided_backprop"] = "guided_backprop"


class Deconvnet(Options):
    name: Literal["deconvnet"] = "deconvnet"


class GuidedGradCam(AtLayer):
    name: Literal["guided_grad_cam"] = "guided_grad_cam"


def guided(relu: Function) -> Function:
    """The ReLU's own gradient, where what arrives from above is positive (Springenberg et al. 2015, section 3.4)."""

    @tf.custom_gradient
    def positive(x: tf.Tensor) -> tuple[tf.Tensor, Function]:
        return tf.identity(x), tf.nn.relu

    return lambda x: positive(relu(x))


def deconv(relu: Function) -> Function:
    """What arrives from above where it is positive, whatever went in (Zeiler & Fergus 2014, section 2.1)."""

    @tf.custom_gradient
    def apply(x: tf.Tensor) -> tuple[tf.Tensor, Function]:
        return relu(x), tf.nn.relu

    return apply


def passing(relu: Function) -> Function:
    """What arrives from above, wherever: no image is lost to a ReLU that is 0, or at its cap, everywhere."""

    @tf.custom_gradient
    def apply(x: tf.Tensor) -> tuple[tf.Tensor, Function]:
        return relu(x), lambda upstream: upstream

    return apply


_RELU = {"ReLU", "Relu", "Relu6", "relu", "relu6"}


def is_relu(operation: Any) -> bool:
    """Whether a layer, an operation or an activation function is a ReLU and nothing else; a leaky one is none."""
    name = getattr(operation, "__name__", type(operation).__name__)
    return name in _RELU and not getattr(operation, "negative_slope", 0)


def under_rule(model: Model, rule: Rule, only: int | None = None) -> Model:
    """The model with the rule at each of its ReLUs; its other layers and all weights are the same.

    Args:
        only: the slot that the one ReLU fills which is meant, where one is.
    """
    from activation_atlas.stages.vision.model.half import simplifier

    twins: dict[int, keras.layers.Layer] = {}

    def ruled(step: Step) -> Step:
        operation = step.operation
        if only is not None and only not in step.outputs:
            return step
        if is_relu(operation):
            return replace(step, operation=rule(operation))
        if not is_relu(getattr(operation, "activation", None)):
            return step
        if id(operation) not in twins:
            twins[id(operation)] = _with_activation(operation, rule(operation.activation))
        return replace(step, operation=twins[id(operation)])

    other = copy.copy(model)
    steps = tuple(ruled(step) for step in model.program.steps)
    other.program = replace(model.program, steps=steps, _made_by={})
    other.simplify = simplifier(other.program, other.native)
    return other


def _with_activation(layer: keras.layers.Layer, activation: Function) -> keras.layers.Layer:
    twin = type(layer).from_config(layer.get_config())
    if layer.weights:
        twin.build(**(layer.get_build_config() or {}))
        twin.set_weights(layer.get_weights())
    twin.activation = activation
    return twin


def require_relu(model: Model, name: str) -> None:
    """Refuses a model without a ReLU.

    Raises:
        UserError: it has none; the activations it has are named.
    """
    steps = model.program.before([model.program.output])
    if not any(is_relu(s.operation) or is_relu(getattr(s.operation, "activation", None)) for s in steps):
        others = activations(model.program)
        raise UserError(
            f"{name}: changes the gradient of ReLUs, and model {model.name} has none "
            f"({'its activations: ' + ', '.join(others) if others else 'nor any other activation'}); use saliency"
        )


def activations(program: Program) -> list[str]:
    """Names of the activations on the way to the logits."""
    import keras

    known = {name.lower().replace("_", "") for name in dir(keras.activations)} - {"linear", "softmax"}
    names = []
    for step in program.before([program.output]):
        own = getattr(step.operation, "activation", None)
        name = step.kind if own is None else getattr(own, "__name__", type(own).__name__)
        if name.lower().replace("_", "") in known | {"prelu"}:
            names.append(name)
    return list(dict.fromkeys(names))


def configure(model: Model, options: Any, sample: Sample) -> Configured:
    """The input's size.

    Raises:
        UserError: the model has no ReLU, or no gradient reaches its input.
    """
    require_relu(model, options.name)
    return input_gradient.configure(model, options, sample)


def configure_at_layer(model: Model, options: Any, sample: Sample) -> Configured:
    """The input's size, and for the Grad-CAM what it decides, its own size and place as ``cam``."""
    at_input, at_layer = configure(model, options, sample), cam.configure(model, options, sample)
    return {**at_layer, **at_input, "cam": {name: at_layer[name] for name in at_input}}


def guided_backprop(setting: Setting) -> Explain:
    """max over colour of |g|, ReLUs passing gradient where both their input and the gradient are positive.

    Springenberg et al. 2015, section 3.4. The paper shows g in colour; reduced as saliency is.
    """
    return _backprop(setting, guided)


def deconvnet(setting: Setting) -> Explain:
    """max over colour of |g|, ReLUs passing gradient where it is positive (Zeiler & Fergus 2014, section 2.1).

    Max pooling passes it to where the largest value was, the paper's switches. Reduced as saliency is.
    """
    return _backprop(setting, deconv)


def _backprop(setting: Setting, rule: Rule) -> Explain:
    model = under_rule(setting.model, rule)
    return InputGradient(setting, largest_colour, model)


class GuidedTimesGradCam:
    """Guided backprop's map times Grad-CAM's, laid over the input."""

    def __init__(self, setting: Setting) -> None:
        self.place = Place.of(setting.configured["cam"]["place"])
        self.cam = cam.grad_cam(replace(setting, configured={**setting.configured, **setting.configured["cam"]}))
        self.guided = _backprop(setting, guided)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        fine, coarse = self.guided(pixels, targets, ids), self.cam(pixels, targets, ids)
        *_, height, width = fine.values.shape
        down, right = self.place.matrices(coarse.values.shape[2:], (height, width))
        return Maps(fine.values * (down @ coarse.values @ right.T), fine.scores)


def guided_grad_cam(setting: Setting) -> Explain:
    """Guided backprop, colour reduced as there, times Grad-CAM laid over the input by bilinear interpolation.

    Selvaraju et al. 2017, section 3.3. Grad-CAM is not negative, so that reducing colour after the product is the same.
    """
    return GuidedTimesGradCam(setting)


METHODS = (
    Method(
        name="guided_backprop",
        title="Guided backprop",
        about="saliency through ReLUs that pass no negative gradient",
        meaning="gradient that flowed through active, raising units only",
        formula="max over colour of |g|, g = d logit / d x through ReLUs that pass gradient where their input and the "
        "gradient are positive (section 3.4)",
        source="Springenberg, Dosovitskiy, Brox & Riedmiller 2015",
        options=GuidedBackprop,
        build=guided_backprop,
        configure=configure,
        resolution="input",
        grain="pixels",
        needs=("gradient", "ReLU"),
    ),
    Method(
        name="deconvnet",
        title="Deconvnet",
        about="saliency through ReLUs that pass every positive gradient",
        meaning="gradient that flowed where it raises the logit",
        formula="max over colour of |g|, g = d logit / d x through ReLUs that pass gradient where it is positive "
        "(section 2.1)",
        source="Zeiler & Fergus 2014",
        options=Deconvnet,
        build=deconvnet,
        configure=configure,
        resolution="input",
        grain="pixels",
        needs=("gradient", "ReLU"),
    ),
    Method(
        name="guided_grad_cam",
        title="Guided Grad-CAM",
        about="guided backprop where Grad-CAM is",
        meaning="guided backprop where Grad-CAM points",
        formula="guided backprop x Grad-CAM laid over the input by bilinear interpolation (section 3.3)",
        source="Selvaraju et al. 2017",
        options=GuidedGradCam,
        build=guided_grad_cam,
        configure=configure_at_layer,
        resolution="input",
        grain="pixels",
        needs=("gradient", "ReLU"),
    ),
)
