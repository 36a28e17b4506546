"""The learned filters of a layer, drawn and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.numbers import plural, short
from activation_atlas.stages.drawing.overlays import scale
from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.tiles import SIDE, WIDTH, Bar, painted, tile_sheet
from activation_atlas.stages.look.shown import Shown
from activation_atlas.stages.origin import model_spec
from activation_atlas.stages.specs import ModelSpec, listed

if TYPE_CHECKING:
    import os

    from activation_atlas.stages.vision.kernels import Kernels

MOST = 256
"""Filters on a sheet at most, those of the largest norm."""

ROWS, SLICES = 12, 16
"""Filters of many slices on a sheet, and slices of each."""


@dataclass(frozen=True)
class Filters:
    """The filters of one kernel of a layer.

    Attributes:
        model: its name.
        kernels: the weights, with what they lie on.
    """

    model: str
    kernels: Kernels

    @property
    def name(self) -> str:
        """The layer, and of a separable convolution the part."""
        own = self.kernels
        return f"{own.layer} ({own.part})" if own.part else own.layer

    @property
    def weights(self) -> np.ndarray:
        """float32 (filters, slices, height, width)."""
        return self.kernels.weights

    def ranked(self) -> np.ndarray:
        """Filters by their norm, the largest first."""
        return np.argsort(-self.kernels.filter_norms, kind="stable")

    def sheet(self, everything: bool = False, *, rows: int = ROWS, across: int = SLICES, side: int = SIDE) -> Sheet:
        """The filters: in colour in their own order, one slice each likewise, many slices those of the largest norm.

        Args:
            everything: all filters and all slices, however many.
            rows, across: of filters of many slices, how many filters are drawn, and how many slices of each.
            side: of a tile, pixels at most; a kernel of 1 x 1 is one picture whatever it says.
        """
        filters, slices, height, width = self.weights.shape
        top = scale(self.weights, True)
        if self.kernels.colour:
            return self._one_each(top, everything, side, lambda k: _colour(self.weights[k], top), "grey")
        if slices == 1:
            signed = lambda k: painted(self.weights[k, 0], -top, top, "signed")  # noqa: E731
            return self._one_each(top, everything, side, signed, "signed")
        if (height, width) == (1, 1):
            return self._matrix(top)
        order = self.ranked()[: None if everything else rows]
        across = slices if everything else min(slices, across)
        tiles, labels, norms = [], [], self.kernels.norms
        for k in order:
            for s in np.argsort(-norms[k], kind="stable")[:across]:
                tiles.append(painted(self.weights[k, s], -top, top, "signed"))
                labels.append(f"{self.kernels.reads[k, s]}: {short(norms[k, s])}")
        heads = [f"filter {k}: {short(self.kernels.filter_norms[k])}" for k in order]
        which = (
            f"{_of(len(order), filters, 'filter')} and {_of(across, slices, 'slice')} of each, the largest norm first"
        )
        said = "At the left the filter and its norm, under a slice the channel that it is laid on and its norm."
        return tile_sheet(
            *self._titles(which), tiles, labels, [said, *self._words(top, "signed")], columns=across, rows=heads,
            bar=Bar(-top, top, "signed"), most=side,
        )  # fmt: skip

    def _one_each(self, top: float, everything: bool, side: int, draw: Any, colours: str) -> Sheet:
        """A tile for each filter."""
        count = len(self.weights)
        shown = np.sort(self.ranked()[: count if everything else MOST])
        norms = self.kernels.filter_norms
        which = _of(len(shown), count, "filter") + ("" if len(shown) == count else " of the largest norm")
        labels = [f"{k}: {short(norms[k])}" for k in shown]
        said = "Under each filter its number and its norm."
        return tile_sheet(
            *self._titles(which), [draw(k) for k in shown], labels, [said, *self._words(top, colours)],
            bar=Bar(-top, top, colours), most=side,
        )  # fmt: skip

    def _matrix(self, top: float) -> Sheet:
        """Filters of one weight for each channel: the whole kernel as one picture, a filter a row."""
        picture = painted(self.weights[..., 0, 0], -top, top, "signed")
        factor = max(1, 640 // max(picture.shape[:2]))
        said = "A row for each filter, a column for each channel of the layer's input, both in their own order."
        return tile_sheet(
            *self._titles("all weights"), [picture.repeat(factor, 0).repeat(factor, 1)], [""],
            [said, *self._words(top, "signed")], columns=1, bar=Bar(-top, top, "signed"), most=WIDTH,
        )  # fmt: skip

    def _titles(self, which: str) -> tuple[str, str]:
        filters, slices, height, width = self.weights.shape
        shape = f"{plural(filters, 'filter')} of {plural(slices, 'slice')}, {height} × {width}"
        return f"Learned filters of {self.name}", f"{self.model}, {self.kernels.kind}: {shape}. Drawn: {which}"

    def _words(self, top: float, colours: str) -> list[str]:
        own = self.kernels
        zero = "grey" if colours == "grey" else "white; red is positive, blue negative"
        bounds = f"{short(-top)} to {short(top)}, beyond which it stays: the 99th percentile"
        said = f"One scale for all, {bounds}. Zero is {zero}."
        if own.colour:
            said = f"The weights on red, green and blue, together. {said}"
        behind = f" The {own.scaled_by} behind the layer scales each filter anew." if own.scaled_by else ""
        return [f"{said} The weights are drawn as they are stored; the norm is the Euclidean one.{behind}"]

    def table(self) -> pa.Table:
        """A row for each slice, as the table ``filters`` has them."""
        filters, slices, height, width = self.weights.shape
        own, count = self.kernels, filters * slices
        rows = {
            "layer": pa.array([own.layer] * count, pa.string()),
            "part": pa.array([own.part] * count, pa.string()),
            "filter": pa.array(np.repeat(np.arange(filters), slices), pa.int32()),
            "slice": pa.array(own.reads.ravel(), pa.int32()),
            "norm": pa.array(own.norms.ravel(), pa.float32()),
            "filter_norm": pa.array(np.repeat(own.filter_norms, slices), pa.float32()),
            "height": pa.array([height] * count, pa.int32()),
            "width": pa.array([width] * count, pa.int32()),
            "weights": tables.from_numpy(self.weights.reshape(count, height * width)).cast(pa.list_(pa.float32())),
        }
        return pa.table(rows, schema=tables.filters())

    def _repr_png_(self) -> bytes:
        return self.sheet().png()


def learned_filters(
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str], layers: Sequence[str] | str | None = None
) -> Shown[Filters]:
    """The learned filters of layers, as the weights are stored; a notebook shows them as pictures.

    Args:
        model: a file, ``application:NAME``, ``preset:NAME``, or a section ``model`` with more said.
        layers: one, or several; default: the first that has a kernel.

    Returns:
        One entry for each layer; two for a separable convolution.

    Raises:
        UserError: no such model or layer, or one without a kernel.
    """
    from activation_atlas.stages.vision.kernels import first_kernel, kernels
    from activation_atlas.stages.vision.model import open_model

    opened = open_model(model_spec(model))
    asked = [first_kernel(opened)] if layers is None else listed(layers)
    return Shown(Filters(opened.name, one) for layer in asked for one in kernels(opened, layer))


def _colour(weights: np.ndarray, top: float) -> np.ndarray:
    """(3, h, w) around grey, uint8 (h, w, 3): 127.5 stands for zero, 0 and 255 for the ends of the scale."""
    return np.rint(127.5 * (1 + np.clip(weights / top, -1, 1))).astype(np.uint8).transpose(1, 2, 0)


def _of(some: int, many: int, what: str) -> str:
    return f"all {plural(many, what)}" if some == many else f"{some} of {plural(many, what)}"
