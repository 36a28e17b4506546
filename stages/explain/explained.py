"""What is known of an image that was explained: its predictions, its maps, and pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.numbers import figure, probability
from activation_atlas.stages.drawing.overlays import boxed
from activation_atlas.stages.drawing.surface import Surface, surface, top_of
from activation_atlas.stages.methods import Options
from activation_atlas.stages.tasks import CLASSES, Task
from activation_atlas.stages.vision.attribution.boxes import Box, BoxesSpec, find
from activation_atlas.stages.vision.attribution.pixels import at_input
from activation_atlas.stages.vision.images import Fit, source_box
from activation_atlas.stages.vision.place import Place


@dataclass(frozen=True)
class Map:
    """What in an image speaks for a class, by one method.

    Attributes:
        options: the method and its options.
        layer: where the method looks; None at the input.
        target, name, kinds: class index, its name, what it was asked for as.
        probability, score: the model's, and the logit.
        values: (height, width) float32, raw, at the method's own resolution.
        place: where they lie on the model's input.
        gap: of path methods, see the table ``maps``.
        fit: of LIME and Kernel SHAP, see the table ``maps``.
        flag: why it says nothing, see :mod:`stages.tables.flags`, or None.
        measured: whether it is of a quantity: probability and score are both that number.
        learned: how good what was learned for such maps is, in words; None where nothing was.
    """

    options: Options
    layer: str | None
    target: int
    name: str
    kinds: list[str]
    probability: float
    score: float
    values: np.ndarray
    place: Place
    gap: float | None
    fit: float | None
    flag: str | None
    measured: bool = False
    learned: str | None = None

    @property
    def variant(self) -> str:
        """What the method and its options are called, in tables and folders."""
        return self.options.variant

    def surface(self, size: tuple[int, int]) -> Surface:
        """The map as it is drawn over the model's input of ``size``."""
        return surface(self.values, self.options, size, self.place)


@dataclass(frozen=True)
class Explained:
    """One image and its maps.

    Attributes:
        model: its name.
        uri, image_id: of the file; the id seeds what methods draw.
        photo: upright, uint8 (height, width, 3).
        pixels: what the model received, uint8 (h, w, channels); brought to that size as ``fit`` says.
        label: class index, where one was given.
        classes: names in the order of the logits.
        logits, probabilities: (K,) float32; of quantities both are what the model returns.
        task: the kind of answer.
        maps: by method, then by target, both in the order asked.
    """

    model: str
    uri: str
    image_id: str
    photo: np.ndarray
    pixels: np.ndarray
    fit: Fit
    label: int | None
    classes: Sequence[str]
    logits: np.ndarray
    probabilities: np.ndarray
    maps: list[Map] = field(default_factory=list)
    task: Task = CLASSES

    @property
    def name(self) -> str:
        """The file's name."""
        return self.uri.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        return self.pixels.shape[:2]

    def best(self, count: int) -> list[int]:
        """Class indices of the ``count`` largest logits, best first; of quantities the first ones."""
        if self.task.measured:
            return list(range(min(count, len(self.logits))))
        return [int(k) for k in np.argsort(-self.logits, kind="stable")[:count]]

    def says(self, index: int) -> str:
        """The probability of a class, or a quantity, as text."""
        value = float(self.probabilities[index])
        return figure(value) if self.task.measured else probability(value)

    def of(self, variant: str) -> list[Map]:
        """The maps of one method: they share a colour scale."""
        return [m for m in self.maps if m.variant == variant]

    def top(self, variant: str) -> float:
        """Top of the colour scale that one method's maps of this image share: of the values as they are drawn."""
        return top_of([m.surface(self.input_size) for m in self.of(variant)])

    def box(self, shown: Map, spec: BoxesSpec | None = None) -> Box | None:
        """Where the thing is by a map: left, top, right, bottom in pixels of the photograph, from edge to edge.

        Args:
            spec: how it is found, as in the section `boxes`; default: as there.

        Returns:
            None where the map says nothing of where, or nothing in it is positive.
        """
        if shown.flag is not None:
            return None
        options, size = shown.options.at(self.input_size), self.input_size
        values = at_input(shown.values, options, size, shown.place)
        piece = find(spec or BoxesSpec(), options, values, self.pixels)
        return piece and source_box(piece[0], self.photo.shape[:2], size, self.fit)

    def picture(self, shown: Map, factor: int = 1, box: bool = False) -> np.ndarray:
        """The map over the photograph (of a quantity at its own scale), with a frame around its :meth:`box`; uint8
        (factor height, factor width, 3)."""
        top = top_of([shown.surface(self.input_size)]) if self.task.measured else self.top(shown.variant)
        drawn = shown.surface(self.input_size).over(self.photo, self.fit, top, factor, line=True)
        if box and (sides := self.box(shown)) is not None:
            height, width = self.photo.shape[:2]
            boxed(drawn, tuple(side / end for side, end in zip(sides, (width, height) * 2, strict=True)))
        return drawn


def table(images: Sequence[Explained]) -> pa.Table:
    """The maps as rows of the table ``maps``, with ``variant`` and ``uri``."""
    rows = [
        {
            "image_id": image.image_id,
            "target": m.target,
            "target_kinds": m.kinds,
            "layer": m.layer,
            "height": m.values.shape[0],
            "width": m.values.shape[1],
            **m.place.row(),
            "map": m.values.ravel(),
            "score": m.score,
            "gap": m.gap,
            "fit": m.fit,
            "flag": m.flag,
            "variant": m.variant,
            "uri": image.uri,
        }
        for image in images
        for m in image.maps
    ]
    schema = tables.maps().append(pa.field("variant", pa.string())).append(pa.field("uri", pa.string()))
    return pa.Table.from_pylist(rows, schema=schema)
