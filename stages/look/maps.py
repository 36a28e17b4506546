"""What every channel of a layer answers to an image, drawn and as a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.numbers import percent, plural, short
from activation_atlas.stages.drawing.overlays import scale
from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.tiles import SIDE, Bar, crossed, painted, tile_sheet
from activation_atlas.stages.look.bars import bars
from activation_atlas.stages.look.photographs import Photograph, photographs
from activation_atlas.stages.look.shown import Shown
from activation_atlas.stages.origin import model_spec, shown_images
from activation_atlas.stages.specs import ModelSpec, listed
from activation_atlas.stages.vision.images import Crop, Interpolation

Scale = Literal["channel", "layer"]


@dataclass(frozen=True)
class FeatureMaps:
    """What a layer answers to one image.

    Attributes:
        model: its name.
        layer, kind: path of the layer, and its class.
        image: the photograph.
        values: float32 (height, width, channels), or (channels,) of a layer without positions.
        scaled: whether each channel is drawn on a scale of its own, or all on the layer's.
    """

    model: str
    layer: str
    kind: str
    image: Photograph
    values: np.ndarray
    scaled: Scale = "channel"

    @property
    def maps(self) -> np.ndarray:
        """float32 (channels, height, width)."""
        return np.atleast_3d(self.values[None, None] if self.values.ndim == 1 else self.values).transpose(2, 0, 1)

    @property
    def dead(self) -> np.ndarray:
        """Which channels are 0 everywhere in this image, bool (channels,)."""
        return np.asarray((self.maps == 0).all((1, 2)))

    def sheet(self, scaled: Scale | None = None, *, side: int = SIDE) -> Sheet:
        """Every channel as a tile; of a layer without positions, as a bar.

        Args:
            scaled: default: as :attr:`scaled`.
            side: of a tile, pixels at most.
        """
        scaled = scaled or self.scaled
        title, of = f"Feature maps of {self.layer}", f"{self.image.name}, seen by {self.model}"
        channels, height, width = self.maps.shape
        dead = self.dead
        zeros = f"{percent((self.maps == 0).mean(), 0)} of all values are 0"
        quiet = f"{int(dead.sum())} of {plural(channels, 'channel')} 0 everywhere"
        if height * width == 1:
            subtitle = f"{of}. {self.kind}: {plural(channels, 'channel')}, no positions; {zeros}"
            return bars(title, subtitle, self.maps[:, 0, 0])
        subtitle = f"{of}. {self.kind}: {height} × {width} × {channels}; {quiet}, {zeros}"
        low, high = _bounds(self.maps)
        signed = bool((low < 0).any())
        tops = np.maximum(-low, high) if signed else high
        if scaled == "layer":
            tops = np.full(channels, scale(self.maps, signed))
        colours = "signed" if signed else "viridis"
        tiles = [
            crossed(height, width) if off else painted(one, -top if signed else 0.0, top, colours)
            for one, top, off in zip(self.maps, tops.tolist(), dead.tolist(), strict=True)
        ]
        labels = [
            f"{k}" if off or scaled == "layer" else f"{k}: {short(top)}"
            for k, (top, off) in enumerate(zip(tops.tolist(), dead.tolist(), strict=True))
        ]
        bar = Bar(-tops[0] if signed else 0.0, tops[0], colours) if scaled == "layer" else None
        words = [_words(scaled, signed, dead, self.maps)]
        return tile_sheet(title, subtitle, tiles, labels, words, bar=bar, most=side)

    def table(self) -> pa.Table:
        """A row for each channel, as the table ``feature_maps`` has them."""
        channels, height, width = self.maps.shape
        low, high = _bounds(self.maps)
        flat = np.ascontiguousarray(self.maps.reshape(channels, -1), np.float32)
        rows = {
            "image_id": pa.array([self.image.image_id] * channels, pa.string()),
            "layer": pa.array([self.layer] * channels, pa.string()),
            "channel": pa.array(np.arange(channels), pa.int32()),
            "height": pa.array([height] * channels, pa.int32()),
            "width": pa.array([width] * channels, pa.int32()),
            "low": pa.array(low, pa.float32(), mask=~np.isfinite(low)),
            "high": pa.array(high, pa.float32(), mask=~np.isfinite(high)),
            "zeros": pa.array((flat == 0).mean(1), pa.float32()),
            "dead": pa.array(self.dead),
            "map": tables.from_numpy(flat).cast(pa.list_(pa.float32())),
        }
        return pa.table(rows, schema=tables.feature_maps())

    def _repr_png_(self) -> bytes:
        return self.sheet().png()


def feature_maps(
    images: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str],
    layers: Sequence[str] | str | None = None,
    *,
    scaled: Scale = "channel",
    crop: Crop | None = None,
    crop_share: float | None = None,
    interpolation: Interpolation | None = None,
    antialias: bool | None = None,
) -> Shown[FeatureMaps]:
    """What every channel of layers answers to images; a notebook shows it as pictures.

    Args:
        images: files, folders or globs; one, or several.
        model: a file, ``application:NAME``, ``preset:NAME``, or a section ``model`` with more said.
        layers: one, or several; default: eight, evenly over the depth.
        crop, crop_share, interpolation, antialias: as in the section `images`; default: as the model's own preprocessor
            does, else its middle.
        scaled: each ``channel`` on a scale of its own, or all channels on the ``layer``'s.

    Returns:
        For each image, the layers in the order given.

    Raises:
        UserError: no such image, model or layer.
    """
    from activation_atlas.stages.vision.model import open_model

    shown_as = shown_images(crop=crop, crop_share=crop_share, interpolation=interpolation, antialias=antialias)
    opened = open_model(model_spec(model))
    return maps_of(photographs(images, opened, shown_as), opened, None if layers is None else listed(layers), scaled)


def maps_of(
    shown: Sequence[Photograph], model: Any, layers: Sequence[str] | None = None, scaled: Scale = "channel"
) -> Shown[FeatureMaps]:
    """The same of photographs that were read."""
    from activation_atlas.stages.vision.responses import responses, spread

    asked = spread(model) if layers is None else list(layers)
    if not shown or not asked:
        return Shown()
    found = responses(model, np.stack([one.pixels for one in shown]), asked, batch=1)  # whatever its companions
    kinds = {step.name: step.kind for step in model.program.steps}
    return Shown(
        FeatureMaps(model.name, layer, kinds.get(layer, "Model"), one, found[layer][k], scaled)
        for k, one in enumerate(shown)
        for layer in asked
    )


def _bounds(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest finite value of each channel; infinite where there is none."""
    finite = np.isfinite(maps)
    low = np.where(finite, maps, np.inf).min((1, 2))
    high = np.where(finite, maps, -np.inf).max((1, 2))
    return low, high


def _words(scaled: Scale, signed: bool, dead: np.ndarray, maps: np.ndarray) -> str:
    zero = "white is 0, red above, blue below" if signed else "dark is 0"
    if scaled == "channel":
        end = "the largest value on either side" if signed else "the largest value"
        said = f"Each channel has a scale of its own: {zero}; under it its number and where the scale ends, {end}."
    else:
        said = f"All channels have one scale: {zero}; it ends at the 99th percentile."
    crosses = " Crossed out: 0 everywhere in this image." if dead.any() else ""
    lost = "" if np.isfinite(maps).all() else " Magenta: not finite."
    return f"{said}{crosses}{lost} Maps are drawn at their own resolution."
