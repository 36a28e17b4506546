"""Saliency and gradient x input: one gradient of the target's score, as it is."""

from __future__ import annotations

import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.input_gradient import InputGradient, largest_colour, settle
from activation_atlas.stages.vision.attribution.methods.method import Explain, Method, Setting


def saliency(setting: Setting) -> Explain:
    """max over colour of |g|, g = d score / d x (Simonyan, Vedaldi & Zisserman 2014, section 3.1)."""
    return InputGradient(setting, largest_colour)


def gradient_x_input(setting: Setting) -> Explain:
    """sum over colour of g x, x being what the model receives (Shrikumar et al. 2016, eq. 4)."""
    return InputGradient(setting, lambda x, g: tf.reduce_sum(g * x, -1))


METHODS = (
    Method(
        "saliency",
        "how strongly the target's logit depends on each pixel",
        "Simonyan, Vedaldi & Zisserman 2014",
        saliency,
        settle,
    ),
    Method(
        "gradient_x_input",
        "the gradient of the target's logit, times what the model receives",
        "Shrikumar, Greenside, Shcherbina & Kundaje 2016",
        gradient_x_input,
        settle,
        signed=True,
    ),
)
