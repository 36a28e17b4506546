"""What the page says of a method: its name, what its maps mean, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from activation_atlas.stages.methods import EigenCam, Occlusion, Options, Rise, pair
from activation_atlas.stages.report.errors.maps import FINEST, Variant

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


UNITS = {"occlusion": "logits"}

CROPS = {
    "center": "Photographs are shown as the model was given them: cut to the middle.",
    "none": "Photographs are shown whole; the model was given them squeezed to its own proportions.",
    "pad": "Photographs are shown as the model was given them: whole, with grey where they do not fill its frame.",
}


def title(options: Options) -> str:
    """The method's name; with the variant's own where it was given one."""
    name = METHODS[options.name][0]
    return f"{name} ({options.as_})" if options.as_ else name


def probability(share: float) -> str:
    """A probability in percent; what would round to 0 or to 100 is said to be below or above."""
    return "> 99.9 %" if share >= 0.9995 else "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


class Drawn(Protocol):
    """Maps of one method: of a run, or of the command ``explain``."""

    options: Options
    signed: bool


def meaning(drawn: Drawn) -> str:
    """One sentence on what high and low values say, and in which colours."""
    colours = "red speaks for the class, blue against it" if drawn.signed else "the lighter the colour, the more"
    if isinstance(drawn.options, EigenCam) and drawn.signed:
        colours = "red with the pattern, blue against it"
    if isinstance(drawn.options, Rise):
        colours = "red more than the map’s mean, blue less"
    return f"{title(drawn.options)}: {METHODS[drawn.options.name][1]}; {colours}."


def lost(variant: Variant) -> str:
    """What is hatched; empty where nothing is."""
    shown = any(np.isnan(m.values).any() for maps in variant.maps.values() for m in maps)
    return hatched([variant.options]) if shown else ""


def hatched(methods: Iterable[Options]) -> str:
    """What hatching says in maps of these methods."""
    if any(isinstance(options, Occlusion) for options in methods):
        return "Hatched: where no window reaches, or a value is not finite."
    return "Hatched: where a value is not finite."


def placement(variant: Variant) -> str:
    """One sentence on where the values lie, and what was done to them for the page."""
    options = variant.options
    around = " Shown around the map’s mean." if isinstance(options, Rise) else ""
    bare = " Dull grey: no cell lies there." if variant.bare else ""
    raw, shown = (f"{h} × {w}" for h, w in (variant.raw, variant.shown))
    if isinstance(options, Occlusion):
        patch, stride = ("{} × {}".format(*pair(side)) for side in (options.patch, options.stride))
        told = (
            f"{raw} windows of {patch} pixels, {stride} pixels apart; a pixel gets the mean of the windows that hide it"
        )
        return f"{told}. Shown as {shown} cells."
    where = f"At layer {variant.layer}" if variant.layer else "At the model’s input"
    if variant.raw != variant.shown:
        return (
            f"{where}, {raw} cells, pooled to {shown} for this page (means; at most {FINEST} on a side); "
            f"the table maps/{variant.name} has every cell.{bare}{around}"
        )
    return f"{where}, {raw} cells, each in the middle of what it sees.{bare}{around}"
