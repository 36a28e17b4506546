"""What the page says of a method's maps: where they lie, and how they are shown."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.drawing.captions import hatched
from activation_atlas.stages.drawing.numbers import plural, thousands
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.report.errors.maps import FINEST, FIT, Variant
from activation_atlas.stages.vision.images import Fit

CROPS = {
    "center": "Photographs are shown as the model was given them: cut to the middle.",
    "none": "Photographs are shown whole; the model was given them squeezed to its own proportions.",
    "pad": "Photographs are shown as the model was given them: whole, with grey where they do not fill its frame.",
}


def crops(fit: Fit) -> str:
    """How what is shown of a photograph relates to what the model was given."""
    share = "" if fit.share == 1 else f" ({fit.share:.3g} of the largest such cut)"
    return CROPS[fit.crop].replace("to the middle", f"to the middle{share}")


def lost(variant: Variant) -> str:
    """What is hatched; empty where nothing is."""
    shown = any(np.isnan(m.values).any() for maps in variant.maps.values() for m in maps)
    return hatched([variant.options]) if shown else ""


def placement(variant: Variant) -> str:
    """One sentence on where the values lie, and what was done to them for the page."""
    options = variant.options
    around = " Shown around the map’s mean." if METHODS[options.name].around == "mean" else ""
    bare = " Dull grey: no cell lies there." if variant.bare else ""
    raw, shown = (f"{h} × {w}" for h, w in (variant.raw, variant.shown))
    if options.windows:
        patch, stride = ("{} × {}".format(*side) for side in options.windows[:2])
        told = (
            f"{raw} windows of {patch} pixels, {stride} pixels apart; a pixel gets the mean of the windows that hide it"
        )
        return f"{told}. Shown as {shown} cells."
    where = f"At layer {variant.layer}" if variant.layer else "At the model’s input"
    if METHODS[options.name].segmented:
        cells = "every pixel" if variant.raw == variant.shown else f"{shown} cells, each with the value in its middle"
        return f"{where}: a value for each segment, drawn at {cells}; the table maps/{variant.name} has every pixel."
    if variant.looks:
        where = f"{variant.looks[0].upper()}{variant.looks[1:]}".replace(" x ", " × ")
    if variant.raw != variant.shown:
        return (
            f"{where}, {raw} cells, pooled to {shown} for this page (means; at most {FINEST} on a side); "
            f"the table maps/{variant.name} has every cell.{bare}{around}"
        )
    if variant.looks:
        return f"{where}: a value for each patch.{bare}"
    return f"{where}, {raw} cells, each in the middle of what it sees.{bare}{around}"


def fit(variant: Variant) -> str:
    """What the number beside a surrogate's maps says; empty where they have none."""
    if not variant.fitted:
        return ""
    of = "the quantity" if variant.measured else "the logit"
    return (
        f"Fit: share of the variance of {of}, over images with segments hidden, that the sum of a map’s segments "
        f"predicts; at best 1. Where it is low, below {FIT:g}, the map does not describe what the model does."
    )


def unfit(variant: Variant) -> list[str]:
    """One sentence on the maps that do not describe the model, where there are any."""
    if not variant.unfit:
        return []
    of = f"{thousands(variant.unfit)} of {plural(variant.fitted, 'map')} of {variant.name}"
    what = "is a sum that does" if variant.unfit == 1 else "are sums that do"
    return [f"{of} {what} not describe the model there (fit below {FIT:g})"]
