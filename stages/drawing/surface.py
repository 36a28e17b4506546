"""The one step from a raw map to what is drawn: its surface, the print beneath, opacity, line and colour scale.

The command ``explain``, the sheets on paper and the page of mistakes all take it from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.drawing.overlays import laid, scale
from activation_atlas.stages.methods import METHODS, Options
from activation_atlas.stages.vision.images import Crop, Fit
from activation_atlas.stages.vision.place import How, Place, spread

DETAIL = 4
"""Pixels of the model's input that the smallest detail of a map spans, from which on it is seen on a photograph."""

OPACITY, FADED = 0.75, 0.95
"""Of the strongest colours; on a light grey print of the photograph."""

HALF = 0.5
"""Share of the scale that the line encloses."""


@dataclass(frozen=True)
class Style:
    """How the maps of a method are drawn.

    Attributes:
        signed: whether values below zero mean "against": red and blue, else one scale from zero.
        coarse: whether the smallest detail spans :data:`DETAIL` pixels of the model's input or more.
        how: between the centres of its values; ``nearest`` where they are of segments, of which a smooth border would
            be one that nobody drew.
    """

    signed: bool = False
    coarse: bool = True
    how: How = "bilinear"

    @property
    def faded(self) -> bool:
        """Whether it is drawn on a light grey print: red and blue of single pixels drown in a photograph's colours."""
        return self.signed and not self.coarse

    @property
    def opacity(self) -> float:
        """Of the strongest colours, 0 to 1."""
        return FADED if self.faded else OPACITY

    @property
    def contour(self) -> float | None:
        """Share of the scale that a line encloses; None where it would be noise around single pixels."""
        return HALF if self.coarse else None


@dataclass(frozen=True)
class Surface:
    """A map as it is drawn.

    Attributes:
        values: (h, w) float32; NaN where the raw ones are not finite, or none lies.
        place: where they lie on the model's input.
        size: (height, width) of that.
    """

    values: np.ndarray
    place: Place
    size: tuple[int, int]
    style: Style

    def over(self, photo: np.ndarray, crop: Crop | Fit, top: float, factor: int = 1, line: bool = False) -> np.ndarray:
        """The map over the upright photograph (H, W, 1 or 3), uint8 (factor H, factor W, 3).

        Args:
            crop: how the photograph was brought to the model's input.
            top: of the colour scale, see :func:`top_of`.
            line: encloses what reaches half of the scale, where the map is coarse.
        """
        style = self.style
        return laid(
            photo,
            self.values,
            self.size,
            crop,
            top,
            style.signed,
            style.opacity,
            style.how,
            contour=style.contour if line else None,
            factor=factor,
            fade=style.faded,
            place=self.place,
        )


def surface(values: np.ndarray, options: Options, size: tuple[int, int], place: Place) -> Surface:
    """A map as it is drawn over the model's input.

    Windows are spread to pixels. Values of which the map's mean stands for nothing are drawn around it: RISE's are all
    near the mean score of a half-hidden image, which says nothing of any pixel.

    Args:
        values: (h, w), raw, as in the table ``maps``.
        size: (height, width) of the model's input.
        place: where the raw values lie on it.
    """
    options = options.at(size)
    style = style_of(options, size, place)
    if options.windows:
        values, place = spread(values, size, *options.windows), Place.whole(size)
    elif METHODS[options.name].around == "mean":
        values = _around_mean(values)
    return Surface(np.asarray(values, np.float32), place, size, style)


def style_of(options: Options, size: tuple[int, int], place: Place) -> Style:
    """How a method's maps are drawn, by how small a thing they can tell apart.

    Of windows that is the window, however densely they lie: a pixel has the mean of all that hide it.
    """
    method = METHODS[options.name]
    coarse = options.detail(size, place.stride) >= DETAIL
    return Style(method.signed, coarse, "nearest" if method.segmented else "bilinear")


def top_of(surfaces: Sequence[Surface]) -> float:
    """Top of the colour scale that maps of one method share, see :func:`stages.drawing.overlays.scale`."""
    return scale([s.values for s in surfaces], surfaces[0].style.signed)


def _around_mean(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values)
    # In double precision: of a map of one value the mean is that value, and nothing is left to be drawn.
    return values - values[finite].mean(dtype=np.float64) if finite.any() else values
