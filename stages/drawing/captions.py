"""What is said of a method wherever its maps are drawn: its name, what they mean, and what is hatched."""

from __future__ import annotations

from collections.abc import Iterable

from activation_atlas.stages.drawing.surface import SIGNED
from activation_atlas.stages.methods import EigenCam, Occlusion, Options, Rise

METHODS = {
    "grad_cam": ("Grad-CAM", "where the layer’s channels that raise the class’s logit are active"),
    "grad_cam_plus_plus": ("Grad-CAM++", "as Grad-CAM, weighting each position by how strongly it raises the logit"),
    "layer_cam": ("Layer-CAM", "where the layer’s activations themselves raise the class’s logit"),
    "cam": ("CAM", "what each position of the layer adds to the class’s logit"),
    "eigen_cam": ("Eigen-CAM", "the layer’s main pattern over positions; the same for every class"),
    "score_cam": ("Score-CAM", "where channels are active that raise the class’s logit when only they show the image"),
    "saliency": ("Saliency", "how strongly the class’s logit reacts to a small change of each pixel, either way"),
    "gradient_x_input": ("Gradient × input", "what each pixel adds to the class’s logit, to first order"),
    "smooth_grad": ("SmoothGrad", "how the class’s logit reacts to each pixel, over noisy copies of the image"),
    "integrated_gradients": (
        "Integrated gradients",
        "what each pixel adds to the class’s logit on the way from an empty image",
    ),
    "expected_gradients": (
        "Expected gradients",
        "what each pixel adds to the class’s logit compared with other images",
    ),
    "guided_backprop": ("Guided backprop", "gradient that flowed through active, raising units only"),
    "deconvnet": ("Deconvnet", "gradient that flowed where it raises the logit"),
    "guided_grad_cam": ("Guided Grad-CAM", "guided backprop where Grad-CAM points"),
    "occlusion": ("Occlusion", "how much the class’s logit falls when a window of the image is hidden"),
    "rise": ("RISE", "how high the class’s logit stays where random masks leave a pixel visible"),
}
"""Method -> its name in prose, and what a map's values say, in one line."""


def title(options: Options) -> str:
    """The method's name; with the variant's own where it was given one."""
    name = METHODS[options.name][0]
    return f"{name} ({options.as_})" if options.as_ else name


def meaning(options: Options) -> str:
    """One sentence on what high and low values say, and in which colours."""
    signed = options.name in SIGNED
    colours = "red speaks for the class, blue against it" if signed else "the lighter the colour, the more"
    if isinstance(options, EigenCam):
        colours = "red with the pattern, blue against it"
    if isinstance(options, Rise):
        colours = "red more than the map’s mean, blue less"
    return f"{title(options)}: {METHODS[options.name][1]}; {colours}."


def hatched(methods: Iterable[Options]) -> str:
    """What hatching says in maps of these methods."""
    if any(isinstance(options, Occlusion) for options in methods):
        return "Hatched: where no window reaches, or a value is not finite."
    return "Hatched: where a value is not finite."
