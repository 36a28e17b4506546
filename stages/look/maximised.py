"""Pictures drawn to make channels, neurons, directions or classes answer, beside the patches that do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.numbers import plural, short
from activation_atlas.stages.drawing.sheet import Sheet, encoded
from activation_atlas.stages.drawing.tiles import SIDE, crossed, resized, tile_sheet
from activation_atlas.stages.look.wanted import Wanted

Recipe = Literal["mean", "icon", "textbook"]
"""How: ``mean`` asks the mean over the map without its border, and what is drawn are smooth waves that hold under small
turns and shifts; ``icon`` draws the same for the middle of the map and for this answer alone, as an atlas's icons;
``textbook`` climbs the mean in plain pixels, in 30 steps of equal length."""

SHOWN = 6
"""Patches beside a picture at most."""

FEW, LARGE = 12, 200
"""So few pictures are drawn with a longer side of up to so many pixels: the lettering below is as wide as they are."""

FLAT = 2.0
"""A picture whose pixels' standard deviation is less than so many of 255 shows nothing: nothing made it answer."""


@dataclass(frozen=True)
class Maximised:
    """Pictures of one layer, or of the classes, by one recipe.

    Attributes:
        model: its name.
        layer: its path; empty for the classes' logits, or the outputs of a model of quantities.
        wanted: what each picture is drawn for.
        at: the position of single neurons; None for channels, of which the middle of the map is asked.
        recipe, steps: how.
        pictures: uint8 (n, height, width, 3 or 1).
        responses: float32 (n,): what the layer answers to the picture in 8 bits, seen straight: the value that was
            climbed, of a direction of length 1 its dot product; of classes the logit, of outputs their own unit.
        patches: of each channel those parts of the photographs that excite it most, uint8 (side, side, 3); empty
            where there are none.
        best: float32 (n,), the largest response among those photographs, NaN where there are none.
        among: which photographs, in words.
    """

    model: str
    layer: str
    wanted: Sequence[Wanted]
    at: tuple[int, int] | None
    recipe: Recipe
    steps: int
    pictures: np.ndarray
    responses: np.ndarray
    patches: Sequence[Sequence[np.ndarray]]
    best: np.ndarray
    among: str = "the photographs given"

    @property
    def answers(self) -> str:
        """What stands in the place of a layer: classes, or outputs."""
        return "outputs" if self.wanted[0].kind == "output" else "classes"

    def sheet(self, *, side: int | None = None) -> Sheet:
        """All pictures, each with its patches at the right, together at most ``side`` pixels high and wide.

        Args:
            side: by default as suits their number.
        """
        beside = any(self.patches)
        flat = (self.responses == 0) | (self.pictures.std((1, 2, 3)) < FLAT)
        tiles = [
            _beside(crossed(*picture.shape[:2]) if off else picture, own, beside)
            for picture, own, off in zip(self.pictures, self.patches, flat, strict=True)
        ]
        kind = self.wanted[0].kind
        what = self.layer or ("the classes’ logits" if kind == "class" else "the outputs")
        where = f" at row {self.at[0]}, column {self.at[1]}" if self.at else ""
        count = plural(len(tiles), kind, "classes" if kind == "class" else None)
        how = _HOW[self.recipe].format(steps=self.steps, what=_what(kind, self.recipe))
        labels = [self._label(k) for k in range(len(tiles))]
        words = self._words(beside, bool(flat.any()))
        subtitle = f"{self.model}: {count}{where}. {how}"
        most = side or (LARGE if len(tiles) <= FEW else SIDE)
        return tile_sheet(f"What {what} would like to see", subtitle, tiles, labels, words, most=most)

    def _label(self, k: int) -> str:
        own = f"{self.wanted[k].name}: {short(float(self.responses[k]))}"
        return own if np.isnan(self.best[k]) else f"{own} (photographs {short(float(self.best[k]))})"

    def _words(self, beside: bool, flat: bool) -> list[str]:
        said = (
            f"Under each picture the value of {_what(self.wanted[0].kind, self.recipe)}, measured on the picture as it "
        )
        said += "is stored"
        if beside:
            said += (
                f"; in brackets the largest value at one position of {self.among}. At the right their patches of the "
                "largest values, one of each photograph at most: as large as what a position sees, but no larger than "
                "the picture or four tenths of the image"
            )
        return [said + "." + (" Crossed out: nothing made it answer." if flat else "")]

    def table(self) -> pa.Table:
        """A row for each picture, as the table ``maximised`` has them."""
        count = len(self.wanted)
        row, col = self.at or (None, None)
        files = [
            {"bytes": encoded(_rgb(picture), "PNG"), "path": f"{one.kind}-{one.index}.png"}
            for one, picture in zip(self.wanted, self.pictures, strict=True)
        ]
        rows = {
            "layer": pa.array([self.layer or None] * count, pa.string()),
            "kind": pa.array([one.kind for one in self.wanted], pa.string()),
            "index": pa.array([one.index for one in self.wanted], pa.int32()),
            "name": pa.array([one.name for one in self.wanted], pa.string()),
            "row": pa.array([row] * count, pa.int32()),
            "col": pa.array([col] * count, pa.int32()),
            "recipe": pa.array([self.recipe] * count, pa.string()),
            "picture": pa.array(files, tables.PNG),
            "response": pa.array(self.responses, pa.float32()),
            "best": pa.array(self.best, pa.float32(), mask=np.isnan(self.best)),
        }
        return pa.table(rows, schema=tables.maximised())

    def _repr_png_(self) -> bytes:
        return self.sheet().png()


_HOW = {
    "mean": "Drawn from faint noise in {steps} steps, smooth and held under small turns and shifts, for {what}",
    "icon": "Drawn from faint noise in {steps} steps, smooth and held under small turns and shifts, for {what}",
    "textbook": "The textbook’s recipe: from uniform noise, {steps} steps of equal length in plain pixels, for {what}",
}


_ALONE = {"class": "the logit", "output": "the output, in its unit", "neuron": "this one position"}


def _what(kind: str, recipe: Recipe) -> str:
    if kind in _ALONE:
        return _ALONE[kind]
    return "the middle of the map and nothing else" if recipe == "icon" else "the mean over the map without its border"


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def _beside(picture: np.ndarray, patches: Sequence[np.ndarray], beside: bool) -> np.ndarray:
    """A picture with room for two columns of patches at its right, where any picture has some."""
    picture = _rgb(picture)
    if not beside:
        return picture
    side = (picture.shape[0] - 4) // 3
    whole = np.full((picture.shape[0], picture.shape[1] + 2 * (side + 2), 3), 253, np.uint8)
    whole[:, : picture.shape[1]] = picture
    for k, patch in enumerate(patches[:SHOWN]):
        down, right = divmod(k, 2)
        left, top = picture.shape[1] + 2 + right * (side + 2), down * (side + 2)
        whole[top : top + side, left : left + side] = _fitted(_rgb(patch), side)
    return whole


def _fitted(patch: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    factor = side // patch.shape[0]
    if factor > 1:
        patch = resized(np.ascontiguousarray(patch), (factor * patch.shape[0], factor * patch.shape[1]))
    return np.asarray(Image.fromarray(np.ascontiguousarray(patch)).resize((side, side), Image.Resampling.LANCZOS))
