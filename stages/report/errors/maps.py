"""The maps of the images that are shown: read part by part, brought to a size for a page, flags counted."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.caches import cached
from activation_atlas.stages.drawing.surface import Style, Surface, surface, top_of
from activation_atlas.stages.methods import METHODS, Options
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.vision.place import How, Place

FINEST = 56
"""Cells along one side of a map on the page; finer ones are pooled."""

FIT = 0.5
"""Share of the logit's variance below which the sum of a map's parts does not describe what the model does."""


@dataclass
class Map:
    """One map as shown.

    Attributes:
        box: left, top, right, bottom of what it says is the thing, as shares of the input.
        iou: of that with the nearest of the given ones.
        fit: of surrogates, as in the table ``maps``.
    """

    target: int
    kinds: list[str]
    surface: Surface
    score: float
    flag: str | None
    box: tuple[float, ...] | None = None
    iou: float | None = None
    fit: float | None = None

    @property
    def values(self) -> np.ndarray:
        """(h, w) float32, NaN where the raw ones are not finite."""
        return self.surface.values


@dataclass
class Variant:
    """The maps of one method for the images shown.

    Attributes:
        layer: None: at the input. looks: where, in words, where patches of a transformer are looked at.
        raw: (height, width) in the table. shown: (height, width) on the page.
        maps: image_id -> its maps: predicted, label, second, then the others, those asked for by rank first.
        style: how they are drawn.
        place: where the cells shown lie on the model's input, of ``size``.
        step: cells from window to window, down and across, where windows were spread to pixels; else 1.
        flags: flag -> maps of the whole table that carry it, of ``rows`` in all.
        unfit: maps of the whole table whose fit is below :data:`FIT`, of ``fitted`` that have one.
        measured: whether what is explained are quantities, each in a unit of its own.
    """

    name: str
    options: Options
    layer: str | None = None
    looks: str | None = None
    raw: tuple[int, int] = (0, 0)
    shown: tuple[int, int] = (0, 0)
    style: Style = Style()
    place: Place = Place.whole((1, 1))
    size: tuple[int, int] = (1, 1)
    step: tuple[float, float] = (1.0, 1.0)
    maps: dict[str, list[Map]] = field(default_factory=dict)
    flags: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    unfit: int = 0
    fitted: int = 0
    measured: bool = False

    def scales(self, maps: Sequence[Map]) -> list[float]:
        """Top of the colour scale of each of the maps of one case: one for all of them; but quantities have units of
        their own."""
        if self.measured:
            return [top_of([m.surface]) for m in maps]
        return [top_of([m.surface for m in maps])] * len(maps) if maps else []

    @property
    def bare(self) -> bool:
        """Whether there are pixels of the model's input over which no position lies."""
        return not self.place.is_whole(self.size)

    def axes(self) -> list[list[float]]:
        """Down and right, as shares of what the model was shown: the middle of cell 0, the way to the next, and from
        where to where the map covers it."""
        sides = zip(
            self.place.offset, self.place.stride, self.place.covers[:2], self.place.covers[2:], self.size, strict=True
        )
        return [[(o + 0.5) / n, s / n, low / n, high / n] for o, s, low, high, n in sides]


def read_variant(
    inputs: Inputs,
    options: Options,
    ids: Sequence[str],
    size: tuple[int, int],
    measured: bool = False,
    boxed: Collection[str] = (),
) -> Variant:
    """Maps of the images ``ids``; one part of the table is held at a time.

    Args:
        size: (height, width) of the model's input.
        boxed: tables of the run that tell of boxes: those of other runs in this folder are not read.
    """
    variant = Variant(options.variant, options, size=size, measured=measured)
    if METHODS[options.name].resolution == "patches":
        variant.looks = options.looks(inputs.state("explain", options.variant)["settled"])
    wanted = pa.array(sorted(ids), pa.string())
    boxes = _boxes(inputs, variant.name, wanted, size) if f"boxes/{variant.name}" in boxed else {}
    ious = _ious(inputs, variant.name, wanted) if f"faithfulness/{variant.name}" in boxed else {}
    for part in inputs.stream(f"maps/{variant.name}"):
        variant.rows += len(part)
        variant.flags.update(f for f in part["flag"].to_pylist() if f)
        fits = part["fit"].filter(pc.is_null(part["flag"])).drop_null().to_numpy()
        variant.fitted, variant.unfit = variant.fitted + len(fits), variant.unfit + int((fits < FIT).sum())
        for row in _rows(part.filter(pc.is_in(part["image_id"], wanted))):
            variant.layer, variant.raw = row["layer"], (row["height"], row["width"])
            whole = surface(row["map"].reshape(variant.raw), options, size, Place.of(row))
            values = pooled(whole.values, how=whole.style.how)
            drawn = replace(whole, values=values, place=whole.place.pooled(whole.values.shape, values.shape))
            variant.place, variant.style, variant.shown = drawn.place, drawn.style, drawn.values.shape
            key = row["image_id"], row["target"]
            more = {"box": boxes.get(key), "iou": ious.get(key), "fit": row["fit"]}
            shown = Map(row["target"], row["target_kinds"], drawn, row["score"], row["flag"], **more)
            variant.maps.setdefault(row["image_id"], []).append(shown)
    for maps in variant.maps.values():
        maps.sort(key=_place)
    if options.windows:
        _, stride, _ = options.windows
        variant.step = tuple(s * shown / side for s, shown, side in zip(stride, variant.shown, size, strict=True))
    return variant


def _boxes(inputs: Inputs, name: str, wanted: pa.Array, size: tuple[int, int]) -> dict[tuple[str, int], tuple]:
    """(image_id, target) -> the box of that map, as shares of the model's input; empty where none were looked for."""
    found: dict[tuple[str, int], tuple] = {}
    for part in inputs.stream(f"boxes/{name}", ["image_id", "target", "input"]):
        for row in part.filter(pc.is_in(part["image_id"], wanted)).to_pylist():
            if row["input"] is not None:
                sides = zip(row["input"], (size[1], size[0]) * 2, strict=True)
                found[row["image_id"], row["target"]] = tuple(side / end for side, end in sides)
    return found


def _ious(inputs: Inputs, name: str, wanted: pa.Array) -> dict[tuple[str, int], float]:
    """(image_id, target) -> how far the box of that map and the given one agree; empty where that was not measured."""
    found: dict[tuple[str, int], float] = {}
    for part in inputs.stream(f"faithfulness/{name}", ["image_id", "target", "iou"]):
        for row in part.filter(pc.is_in(part["image_id"], wanted)).drop_null().to_pylist():
            found[row["image_id"], row["target"]] = row["iou"]
    return found


def _rows(part: pa.Table):
    """Rows as dicts, the map as an array."""
    maps = part["map"]
    for k, row in enumerate(part.drop_columns(["map"]).to_pylist()):
        yield {**row, "map": maps[k].values.to_numpy(zero_copy_only=False)}


def _place(shown: Map) -> tuple:
    first = ("predicted", "label", "second")
    ranks = [int(k.removeprefix("rank:")) for k in shown.kinds if re.fullmatch(r"rank:\d+", k)]
    usual = min(first.index(k) if k in first else len(first) for k in shown.kinds)
    return usual, min(ranks, default=math.inf), min(shown.kinds), shown.target


def pooled(values: np.ndarray, most: int = FINEST, how: How = "bilinear") -> np.ndarray:
    """A map (h, w) with at most ``most`` cells along a side: means over equal areas, float32.

    A cell that takes part of a value that is not finite is NaN. ``nearest``: each cell has the value in its middle, for
    between segments there is nothing.
    """
    if how == "nearest" and max(values.shape) > most:
        rows, cols = ((np.arange(n) * 2 + 1) * side // (2 * n) for side in values.shape for n in [min(side, most)])
        values = values[rows[:, None], cols]
    finite = np.isfinite(values)
    clean = np.where(finite, values, 0)
    if max(values.shape) > most:
        down, across = (_shares(side, min(side, most)) for side in values.shape)
        clean, finite = down @ clean @ across.T, ~(down @ ~finite @ across.T > 0)
    return np.where(finite, clean, np.nan).astype(np.float32)


@cached(8)
def _shares(side: int, cells: int) -> np.ndarray:
    """(cells, side): what share of each cell of a coarser row a value of a finer row takes."""
    ends, pixel = np.arange(cells + 1) * side / cells, np.arange(side)
    overlap = np.minimum(ends[1:, None], pixel + 1) - np.maximum(ends[:-1, None], pixel)
    return np.maximum(overlap, 0) * cells / side
