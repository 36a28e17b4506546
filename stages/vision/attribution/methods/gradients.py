"""Saliency and gradient x input: one gradient of the target's score, as it is."""

from __future__ import annotations

from typing import Literal

from activation_atlas.stages.vision.attribution.methods import hires_cam
from activation_atlas.stages.vision.attribution.methods.input_gradient import (
    InputGradient,
    configure,
    configure_anywhere,
    largest_colour,
)
from activation_atlas.stages.vision.attribution.methods.method import Explain, InputOrLayer, Method, Options, Setting
from activation_atlas.stages.vision.lazy import tf


class Saliency(Options):
    name: Literal["saliency"] = "saliency"


class GradientXInput(InputOrLayer):
    name: Literal["gradient_x_input"] = "gradient_x_input"


def saliency(setting: Setting) -> Explain:
    """max over colour of |g|, g = d score / d x (Simonyan, Vedaldi & Zisserman 2014, section 3.1)."""
    return InputGradient(setting, largest_colour)


def gradient_x_input(setting: Setting) -> Explain:
    """sum over colour of g x, x being what the model receives (Shrikumar et al. 2016, eq. 4).

    Of a layer, sum over its channels: what HiResCAM is.
    """
    if setting.options.inner:
        return hires_cam.hires_cam(setting)
    return InputGradient(setting, lambda x, g: tf.reduce_sum(g * x, -1))


METHODS = (
    Method(
        name="saliency",
        title="Saliency",
        about="how strongly the target's logit depends on each pixel",
        meaning="how strongly the class’s logit reacts to a small change of each pixel, either way",
        formula="max over colour of |g|, g = d logit / d x (section 3.1)",
        source="Simonyan, Vedaldi & Zisserman 2014",
        options=Saliency,
        build=saliency,
        configure=configure,
        resolution="input",
        grain="pixels",
        needs=("gradient",),
    ),
    Method(
        name="gradient_x_input",
        title="Gradient × input",
        about="the gradient of the target's logit, times what the model receives",
        meaning="what each pixel adds to the class’s logit, to first order",
        formula="sum over colour of g x, g = d logit / d x, x what the model receives (eq. 4), or a layer's output",
        source="Shrikumar, Greenside, Shcherbina & Kundaje 2016",
        options=GradientXInput,
        build=gradient_x_input,
        configure=configure_anywhere,
        resolution="input",
        grain="pixels",
        signed=True,
        needs=("gradient",),
    ),
)
