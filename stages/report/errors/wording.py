"""What the page says of a method: its name, what its maps mean, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from activation_atlas.stages.methods import METHODS, Options
from activation_atlas.stages.report.errors.maps import FINEST, Variant

CROPS = {
    "center": "Photographs are shown as the model was given them: cut to the middle.",
    "none": "Photographs are shown whole; the model was given them squeezed to its own proportions.",
    "pad": "Photographs are shown as the model was given them: whole, with grey where they do not fill its frame.",
}


def title(options: Options) -> str:
    """The method's name; with the variant's own where it was given one."""
    name = METHODS[options.name].title
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
    method = METHODS[drawn.options.name]
    colours = method.colours or "red speaks for the class, blue against it"
    if not drawn.signed:
        colours = "the lighter the colour, the more"
    return f"{title(drawn.options)}: {method.meaning}; {colours}."


def lost(variant: Variant) -> str:
    """What is hatched; empty where nothing is."""
    shown = any(np.isnan(m.values).any() for maps in variant.maps.values() for m in maps)
    return hatched([variant.options]) if shown else ""


def hatched(methods: Iterable[Options]) -> str:
    """What hatching says in maps of these methods."""
    if any(METHODS[options.name].resolution == "windows" for options in methods):
        return "Hatched: where no window reaches, or a value is not finite."
    return "Hatched: where a value is not finite."


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
