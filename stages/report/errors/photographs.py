"""The photographs of the cases, as the model was shown them, and the boxes that are given with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.drawing.sheet import photograph
from activation_atlas.stages.report.errors.cases import Case
from activation_atlas.stages.sources.boxes import Box, given
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.vision.images import Fit, input_box


@dataclass(frozen=True)
class Photographs:
    """What there is of each case's image, by image_id.

    Attributes:
        pictures: WebP bytes. missing: why it could not be read again.
        boxes: where the thing is, as given: left, top, right, bottom in shares of what the model was shown, as far as
            it was shown.
    """

    pictures: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)


def read_photographs(
    cases: Sequence[Case],
    images: ImagesSpec,
    size: tuple[int, int],
    edge: int,
    boxes: Mapping[str, Sequence[Box]] | None = None,
) -> Photographs:
    """What the model was shown of each image, at up to the photograph's own resolution.

    Args:
        size: (height, width) of the model's input. Images that were squashed to it keep their own proportions here.
        edge: longest shorter side, in pixels.
        boxes: those of :func:`given_boxes`.
    """
    from activation_atlas.stages.feed import Feed, as_shown
    from activation_atlas.stages.vision.images import ImageError

    found = Photographs(missing={c.image_id: "not in the images table" for c in cases if not c.uri})
    feed = Feed(images, as_shown(images, size, edge))
    for image_id, views in feed.stream({c.image_id: c.uri for c in cases if c.uri}):
        if isinstance(views, ImageError):
            found.missing[image_id] = views.reason
            continue
        found.pictures[image_id] = photograph(views.undistorted)
        placed = [input_box(box, views.upright, size, Fit.of(images)) for box in (boxes or {}).get(image_id, ())]
        if inside := [box for box in placed if box[2] > box[0] and box[3] > box[1]]:
            found.boxes[image_id] = [tuple(v / n for v, n in zip(box, size[::-1] * 2, strict=True)) for box in inside]
    return found


def given_boxes(inputs: Inputs, cases: Sequence[Case], columns: Sequence[str]) -> dict[str, list[Box]]:
    """The boxes that are given of the images of the cases, in pixels of the upright image; none without columns."""
    found: dict[str, list[Box]] = {}
    ids = pa.array(sorted({case.image_id for case in cases}), pa.string())
    for part in inputs.stream("images", ["image_id", "uri", *columns]) if columns else ():
        found |= given(part.filter(pc.is_in(part["image_id"], ids)), columns)
    return found
