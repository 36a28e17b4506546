"""What single channels respond to, drawn: the patches that excite each most, and how sparse the layers are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from activation_atlas.stages.drawing.numbers import percent, plural, short
from activation_atlas.stages.drawing.sheet import QUIET, Sheet, encoded
from activation_atlas.stages.report.evidence import read_photos
from activation_atlas.stages.report.geometry import Box, patch_box
from activation_atlas.stages.specs import ImagesSpec, PositiveInt, Spec, folder, slug
from activation_atlas.stages.stage import Inputs

EDGE = 640
"""Shorter side, in pixels, of the photographs that patches are cut from."""

WIDEST = 0.4
"""Of the input's shorter side: the widest patch. A deep layer's receptive field is larger than the image, though what
moves a channel lies near its middle.
"""

NAMED = 3
"""Images that a class must have to be named as the most exciting one."""


class ShownChannels(Spec):
    """Layers of which there are channels and peaks, and how many channels of each are drawn."""

    layers: list[str]
    shown: PositiveInt

    @property
    def reads(self) -> list[str]:
        return [f"{table}/{folder(layer)}" for layer in self.layers for table in ("channels", "peaks")]


@dataclass
class Layer:
    """One layer as it is drawn.

    Attributes:
        about: what the stage ``channels`` learned of it.
        rows: of the table ``channels``, of all channels.
        shown: the channels that are drawn.
        peaks: channel -> rows of ``peaks``, the largest first.
        side: of a patch, in pixels of the model's input.
        patches: (channel, rank) -> pixels, uint8 (h, w, 3).
    """

    name: str
    about: dict[str, Any]
    rows: list[dict[str, Any]]
    shown: list[int]
    peaks: dict[int, list[dict[str, Any]]]
    side: float
    patches: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def box(self, row: int, col: int) -> Box:
        return patch_box(row, col, self.side, self.about, tuple(self.about["input_size"]))


def figures(inputs: Inputs, shown: ShownChannels, images: ImagesSpec, model: str) -> Iterator[tuple[str, bytes]]:
    """``peaks-LAYER.jpg`` of each layer; of several layers ``sparsity.png`` and ``sparsity.svg``."""
    from activation_atlas.stages.report.sparsity import sparsity_sheet

    layers = [_read(inputs, name, shown.shown) for name in shown.layers]
    layers.sort(key=lambda layer: (layer.about["compute"], layer.name))
    count = sum(part.num_rows for part in inputs.stream("predictions", ["image_id"]))
    missing = _cut(inputs, images, layers)
    if missing:
        inputs.warn(f"{plural(len(missing), 'photograph')} of peaks could not be read again, e.g. {min(missing)}")
    for layer in layers:
        if layer.shown:
            sheet = peaks_sheet(layer, inputs.state("extract", "")["classes"], count, model)
            yield f"peaks-{slug(folder(layer.name))}.jpg", encoded(sheet.pixels(), "JPEG", 90)
    if len(layers) > 1:
        sheet = sparsity_sheet(layers, count, model)
        yield "sparsity.png", sheet.png()
        yield "sparsity.svg", sheet.vector("svg")


def _read(inputs: Inputs, name: str, most: int) -> Layer:
    about, place = inputs.state("channels", folder(name)), folder(name)
    rows = inputs.table(f"channels/{place}").to_pylist()
    shown = [row["channel"] for row in rows if not row["dead"]][:most]
    found = inputs.table(f"peaks/{place}")
    found = found.filter(pc.less_equal(found["channel"], max(shown, default=-1)))
    peaks: dict[int, list[dict[str, Any]]] = {}
    for row in found.to_pylist():
        peaks.setdefault(row["channel"], []).append(row)
    side = min(max(about["receptive_field"]), WIDEST * min(about["input_size"]))
    return Layer(name, about, rows, shown, peaks, side)


def _cut(inputs: Inputs, images: ImagesSpec, layers: Sequence[Layer]) -> dict[str, str]:
    """Fills the layers' patches: each photograph is read once. Address -> reason of those that cannot be read."""
    from PIL import Image

    from activation_atlas.stages.feed import Feed, as_shown
    from activation_atlas.stages.vision.images import ImageError

    wanted: dict[str, list[tuple[Layer, dict[str, Any]]]] = {}
    for layer in layers:
        for channel in layer.shown:
            for row in layer.peaks[channel]:
                wanted.setdefault(row["image_id"], []).append((layer, row))
    photos, missing = read_photos(inputs, set(wanted)), {}
    if not photos:
        return missing
    uris = {i: photos[i].uri for i in sorted(photos, key=lambda i: (photos[i].uri, i))}
    size = tuple(layers[0].about["input_size"])
    for image_id, view in Feed(images, as_shown(images, size, EDGE)).stream(uris):
        if isinstance(view, ImageError):
            missing[uris[image_id]] = view.reason
            continue
        whole = Image.fromarray(view.squeezed)
        for layer, row in wanted[image_id]:
            box = layer.box(row["row"], row["col"])
            area = tuple(share * end for share, end in zip(box, whole.size * 2, strict=True))
            patch = whole.resize((TILE, TILE), Image.Resampling.LANCZOS, box=area)
            layer.patches[row["channel"], row["rank"]] = np.asarray(patch)
    return missing


TILE, GAP, ACROSS = 72, 2, 8


def peaks_sheet(layer: Layer, classes: Sequence[str], images: int, model: str) -> Sheet:
    """The channels of a layer, each as a square of the patches in which it responds most, best first, row by row."""
    count = max(len(rows) for rows in layer.peaks.values())
    wide = int(np.ceil(np.sqrt(count)))
    tall = -(-count // wide)
    block, margin = wide * (TILE + GAP) - GAP, 80
    column, row = max(block, 140) + 34, tall * (TILE + GAP) + 84
    across = min(ACROSS, max(len(layer.shown), 4))
    down = -(-len(layer.shown) // across)
    sheet = Sheet(max(across * column - 34, 1100) + 2 * margin, 340 + down * row + 20)
    inner = sheet.width - 2 * margin
    heading = f"What excites the channels of {layer.name}"
    sheet.text(margin, 100, sheet.fitted(heading, 50, inner, "semibold"), 50, "semibold")
    y = sheet.paragraph(margin, 146, _told(layer, images, count, model), 24, inner, color=QUIET)
    sheet.paragraph(margin, y + 4, _sizes(layer), 24, inner, color=QUIET)
    whole = np.full((sheet.height, sheet.width, 4), 0, np.uint8)
    for place, channel in enumerate(layer.shown):
        left, top = margin + place % across * column, 350 + place // across * row
        found = layer.peaks[channel]
        sheet.text(left, top - 32, f"{channel}", 22, "semibold")
        span = " to ".join(dict.fromkeys(short(found[k]["response"]) for k in (0, -1)))
        sheet.text(left + block, top - 32, span, 18, color=QUIET, ha="right")
        about_class = _class(layer.rows[channel], classes)
        sheet.text(left, top - 10, sheet.fitted(about_class, 18, block), 18, color=QUIET)
        for slot, one in enumerate(found):
            x, at = left + slot % wide * (TILE + GAP), top + slot // wide * (TILE + GAP)
            patch = layer.patches.get((channel, one["rank"]))
            if patch is None:
                sheet.square(x, at, TILE, "#efefea")
            else:
                whole[at : at + TILE, x : x + TILE] = np.dstack([patch, np.full((TILE, TILE), 255, np.uint8)])
    sheet.picture(whole, 0, 0, sheet.width, sheet.height)
    return sheet


def _told(layer: Layer, images: int, count: int, model: str) -> str:
    dead = sum(row["dead"] for row in layer.rows)
    some = f"the first {len(layer.shown)} of its {layer.about['channels']} channels"
    some = f"all {len(layer.shown)} channels" if len(layer.shown) + dead == len(layer.rows) else some
    some += f" that respond at all ({dead} never do)" if dead else ""
    size = f"{layer.about['height']} × {layer.about['width']}"
    return (
        f"{model + ', ' if model else ''}{some}, in their order. Of each the {count} of "
        f"{plural(images, 'photograph')} in which it responds most, over all {size} positions, at most one patch of a "
        "photograph, the strongest first."
    )


def _sizes(layer: Layer) -> str:
    side, seen = round(layer.side), layer.about["receptive_field"]
    height, width = layer.about["input_size"]
    if layer.side < max(seen):
        seen = f"{seen[0]:.0f} × {seen[1]:.0f}"
        cut = f"A patch is {side} pixels wide, of an input of {height} × {width}, around a position that sees {seen}"
    else:
        cut = f"A patch is what the position sees: {side} pixels of an input of {height} × {width}"
    equal = sum(found[0]["response"] == found[-1]["response"] for found in _drawn(layer) if len(found) > 1)
    if equal:
        cut += (
            f". In {equal} of these channels the largest responses are equal (a ReLU may be capped): shown are the "
            "photographs with the largest means"
        )
    classed = any(row["class"] is not None and row["class_images"] >= NAMED for row in layer.rows)
    return (
        cut
        + ". Above: the channel, its largest responses"
        + (", and the class whose images excite it most on average." if classed else ".")
    )


def _drawn(layer: Layer) -> list[list[dict[str, Any]]]:
    return [layer.peaks[channel] for channel in layer.shown]


def _class(row: dict[str, Any], classes: Sequence[str]) -> str:
    if row["class"] is None or row["class_images"] < NAMED:
        return f"{percent(row['zeros'], 0)} zeros"
    return classes[row["class"]]
