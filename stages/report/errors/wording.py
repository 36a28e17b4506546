"""What the page says of a method's maps: where they lie, and how they are shown."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.drawing.captions import hatched
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.report.errors.maps import FINEST, Variant
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
    if variant.raw != variant.shown:
        return (
            f"{where}, {raw} cells, pooled to {shown} for this page (means; at most {FINEST} on a side); "
            f"the table maps/{variant.name} has every cell.{bare}{around}"
        )
    return f"{where}, {raw} cells, each in the middle of what it sees.{bare}{around}"
