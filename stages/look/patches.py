"""The patches of photographs that excite a channel most: of a few that are looked through, or of a run's ``peaks``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.feed import Feed, at_size, uris_of
from activation_atlas.stages.look.maximised import SHOWN, Maximised
from activation_atlas.stages.look.photographs import Photograph
from activation_atlas.stages.specs import ImagesSpec, folder
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.vision.images import ImageError

WIDEST = 0.4
"""Of the image's shorter side: the widest patch. A deep layer sees more than the image, and most of that is grey."""


@dataclass(frozen=True)
class Patches:
    """What stands beside pictures.

    Attributes:
        cut: of each picture its patches, uint8 (side, side, c), the largest response first.
        best: float32 (n,), the largest response of all, NaN where there is none.
    """

    cut: Sequence[Sequence[np.ndarray]]
    best: np.ndarray


def of_photographs(model: Any, layer: str, shown: Sequence[Photograph], vectors: np.ndarray, size: int) -> Patches:
    """Of each vector that is a channel of a layer with positions, among photographs that go through the model.

    Args:
        vectors: (n, C). size: side of the picture that they stand beside, the largest of a patch.
    """
    none = Patches([[] for _ in vectors], np.full(len(vectors), np.nan, np.float32))
    alone = (np.count_nonzero(vectors, 1) == 1) & (vectors.max(1) > 0)  # what speaks against a channel is another thing
    if not shown or not layer or not alone.all():
        return none
    from activation_atlas.stages.vision.responses import peaks

    pixels = np.stack([one.pixels for one in shown])
    info = next((info for info in model.layers() if info.name == layer), None)
    if info is None:
        return none
    found = peaks(model, pixels, layer, SHOWN)
    numbers = vectors.argmax(1)
    drawn = [
        [
            cut(pixels[found.image[c, r]], info, (found.row[c, r], found.col[c, r]), size)
            for r in range(found.image.shape[1])
            if found.response[c, r] > 0
        ]
        for c in numbers
    ]
    return Patches(drawn, found.response[numbers, 0])


def of_run(
    made: Maximised, inputs: Inputs, model: Any, images: ImagesSpec, size: int, lost: Callable[[str, str], object]
) -> Maximised:
    """Pictures of channels with the patches that the run's table ``peaks`` knows, of all its photographs.

    Args:
        lost: told (uri, reason) of a photograph that cannot be read again.
    """
    info, numbers = model.placed(made.layer), [one.index for one in made.wanted]
    found = inputs.table(f"peaks/{folder(made.layer)}")
    kept = found.filter(pc.and_(pc.less(found["rank"], SHOWN), pc.greater(found["response"], 0)))
    rows = [row for row in kept.to_pylist() if row["channel"] in set(numbers)]
    pixels = _read({row["image_id"] for row in rows}, inputs, model, images, lost)
    drawn: dict[int, list[np.ndarray]] = {number: [] for number in numbers}
    for row in sorted(rows, key=lambda row: row["rank"]):
        if row["image_id"] in pixels:
            drawn[row["channel"]].append(cut(pixels[row["image_id"]], info, (row["row"], row["col"]), size))
    first = found.filter(pc.equal(found["rank"], 0))
    best = dict(zip(first["channel"].to_pylist(), first["response"].to_pylist(), strict=True))
    count = sum(part.num_rows for part in inputs.stream("predictions", ["image_id"]))
    return replace(
        made,
        patches=[drawn[number] for number in numbers],
        best=np.array([best.get(number, np.nan) for number in numbers], np.float32),
        among=f"the run’s {plural(count, 'photograph')}",
    )


def _read(
    ids: set[str], inputs: Inputs, model: Any, images: ImagesSpec, lost: Callable[[str, str], object]
) -> dict[str, np.ndarray]:
    """What the model received of images, by id."""
    uris, spec = uris_of(inputs, sorted(ids)), images.settled(model.brings)
    pixels = {}
    for own, image in Feed(spec, at_size(spec, model.input_size, model.channels)).stream(uris):
        if isinstance(image, ImageError):
            lost(uris[own], image.reason)
        else:
            pixels[own] = image
    return pixels


def cut(pixels: np.ndarray, info: Any, at: tuple[int, int], size: int) -> np.ndarray:
    """The square around what a position of a layer sees, uint8 (side, side, c); grey where the image ends.

    Args:
        pixels: uint8 (h, w, c), as the model received them.
        info: of the layer. at: row and column of its map. size: the largest side, and no more than :data:`WIDEST`.
    """
    side = max(1, round(min(size, WIDEST * min(pixels.shape[:2]), *info.receptive_field)))
    top, left = (round(o + s * p - (side - 1) / 2) for o, s, p in zip(info.offset, info.stride, at, strict=True))
    patch = np.full((side, side, pixels.shape[2]), 128, np.uint8)
    rows = slice(max(0, top), max(0, min(pixels.shape[0], top + side)))
    cols = slice(max(0, left), max(0, min(pixels.shape[1], left + side)))
    part = pixels[rows, cols]
    patch[
        rows.start - top : rows.start - top + part.shape[0], cols.start - left : cols.start - left + part.shape[1]
    ] = part
    return patch
