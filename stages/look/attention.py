"""What each head of a transformer attends to in an image, block by block, drawn and as a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.numbers import percent, plural, short
from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.tiles import SIDE, Beside, painted, tile_sheet
from activation_atlas.stages.look.photographs import Photograph, photographs
from activation_atlas.stages.look.shown import Shown
from activation_atlas.stages.origin import model_spec, shown_images
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import Crop, Interpolation

EMPTY = np.full((1, 1, 3), 253, np.uint8)
"""In the place of a head that a block lacks."""


@dataclass(frozen=True)
class AttentionMaps:
    """What the heads of a model attend to in one image.

    Attributes:
        model: its name.
        image: the photograph.
        blocks: paths of the calls that attend, in running order.
        maps: of each block float32 (heads, height, width): the share that each patch gets of a head's attention. What
            a head's shares lack to 1 goes to the tokens beside the patches.
        by_class: whether it is the class token that attends; else all patches do, and this is their mean.
    """

    model: str
    image: Photograph
    blocks: Sequence[str]
    maps: Sequence[np.ndarray]
    by_class: bool

    def sheet(self, *, side: int = SIDE) -> Sheet:
        """A row for each block, a column for each head, of which a tile is at most ``side`` pixels high and wide."""
        most = max(len(one) for one in self.maps)
        height, width = self.maps[0].shape[1:]
        tiles, labels = [], []
        for block in self.maps:
            for k, one in enumerate(block):
                top = float(one.max(initial=0, where=np.isfinite(one)))
                tiles.append(painted(one, 0.0, top, "viridis"))
                labels.append(f"head {k}: {_share(top)}")
            tiles += [EMPTY.repeat(height, 0).repeat(width, 1)] * (most - len(block))
            labels += [""] * (most - len(block))
        who = "the class token" if self.by_class else "the patches, in the mean over all of them,"
        heads = "heads" if len({len(one) for one in self.maps}) > 1 else plural(most, "head")
        subtitle = (
            f"{self.image.name}, seen by {self.model}: {plural(len(self.maps), 'block')} of {heads} over {height} × "
            f"{width} patches. How much {who} {'takes' if self.by_class else 'take'} from each patch"
        )
        return tile_sheet(
            "What each head attends to", subtitle, tiles, labels, [self._words()], columns=most,
            rows=_rows(self.blocks), beside=Beside(self.image.pixels, "What the model received"), most=side,
        )  # fmt: skip

    def _words(self) -> str:
        """How the tiles are to be read."""
        shares = np.concatenate([one.sum((1, 2)) for one in self.maps])
        lost = "" if np.isfinite(shares).all() else " Magenta: not finite."
        others = ""
        if not lost and shares.min() < 0.995:
            least, most = percent(shares.min(), 0), percent(shares.max(), 0)
            others = (
                f" All patches together get {least} to {most} of a head’s attention, the tokens beside them the rest."
            )
        even = _share(1 / self.maps[0][0].size)
        return (
            "Rows are blocks, the first at the top; columns are heads, which have nothing to do with those of another "
            "block. Each tile has a scale of its own: dark is 0, yellow the largest share that one patch gets of the "
            f"head’s attention, which stands under it; were all alike, each would get {even}.{others}"
            f"{lost} Where a head attends is not yet what the answer depends on."
        )

    def table(self) -> pa.Table:
        """A row for each head, as the table ``attention`` has them."""
        heads = [len(one) for one in self.maps]
        blocks = [name for name, count in zip(self.blocks, heads, strict=True) for _ in range(count)]
        flat = np.concatenate([one.reshape(len(one), -1) for one in self.maps]).astype(np.float32)
        height, width = self.maps[0].shape[1:]
        rows = {
            "image_id": pa.array([self.image.image_id] * len(flat), pa.string()),
            "block": pa.array(blocks, pa.string()),
            "head": pa.array(np.concatenate([np.arange(count) for count in heads]), pa.int32()),
            "query": pa.array(["class" if self.by_class else "mean"] * len(flat), pa.string()),
            "height": pa.array([height] * len(flat), pa.int32()),
            "width": pa.array([width] * len(flat), pa.int32()),
            "share": pa.array(flat.sum(1), pa.float32()),
            "map": tables.from_numpy(flat).cast(pa.list_(pa.float32())),
        }
        return pa.table(rows, schema=tables.attention())

    def _repr_png_(self) -> bytes:
        return self.sheet().png()


def attention(
    images: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str],
    *,
    crop: Crop | None = None,
    crop_share: float | None = None,
    interpolation: Interpolation | None = None,
    antialias: bool | None = None,
) -> Shown[AttentionMaps]:
    """What each head of each block attends to in images; a notebook shows it as pictures.

    Args:
        images: files, folders or globs; one, or several.
        model: a file, ``application:NAME``, ``preset:NAME``, or a section ``model`` with more said.
        crop, crop_share, interpolation, antialias: as in the section `images`; default: as the model's own preprocessor
            does, else its middle.

    Returns:
        One entry for each image.

    Raises:
        UserError: no such image or model, or one without attention among patches.
    """
    from activation_atlas.stages.vision.model import open_model

    shown_as = shown_images(crop=crop, crop_share=crop_share, interpolation=interpolation, antialias=antialias)
    opened = open_model(model_spec(model))
    return attention_of(photographs(images, opened, shown_as), opened)


def attention_of(shown: Sequence[Photograph], model: Any) -> Shown[AttentionMaps]:
    """The same of photographs that were read.

    Raises:
        UserError: the model has no attention among patches.
    """
    from activation_atlas.stages.vision.attribution.attention import attention_maps, tokens

    by_class = tokens(model, "attention").by_class
    if not shown:
        return Shown()
    found = attention_maps(model, np.stack([one.pixels for one in shown]))
    blocks = [name for name, _ in found]
    return Shown(
        AttentionMaps(model.name, one, blocks, [maps[k] for _, maps in found], by_class) for k, one in enumerate(shown)
    )


def attends(model: Any) -> bool:
    """Whether there is anything to draw."""
    from activation_atlas.stages.vision.attribution.attention import tokens

    try:
        tokens(model, "attention")
    except UserError:
        return False
    return True


def _share(value: float) -> str:
    return f"{short(100 * value)} %"


def _rows(blocks: Sequence[str]) -> list[str]:
    """Names of blocks without what all of them begin and end with, level by level."""
    split = [name.split("/") for name in blocks]
    first = next((k for k, level in enumerate(zip(*split, strict=False)) if len(set(level)) > 1), None)
    if first is None:
        return list(blocks)
    last = next((k for k, level in enumerate(zip(*(s[::-1] for s in split), strict=False)) if len(set(level)) > 1), 0)
    return ["/".join(s[first : len(s) - last]) or name for s, name in zip(split, blocks, strict=True)]
