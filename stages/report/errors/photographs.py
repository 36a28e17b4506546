"""The photographs of the cases, as the model was shown them."""

from __future__ import annotations

from collections.abc import Sequence

from activation_atlas.stages.drawing.sheet import photograph
from activation_atlas.stages.report.errors.cases import Case
from activation_atlas.stages.specs import ImagesSpec


def read_photographs(
    cases: Sequence[Case], images: ImagesSpec, size: tuple[int, int], edge: int
) -> tuple[dict[str, bytes], dict[str, str]]:
    """What the model was shown of each image, at up to the photograph's own resolution.

    Args:
        size: (height, width) of the model's input. Images that were squashed to it keep their own proportions here.
        edge: longest shorter side, in pixels.

    Returns:
        image_id -> WebP bytes; image_id -> why the image could not be read again.
    """
    from activation_atlas.stages.feed import Feed, as_shown
    from activation_atlas.stages.vision.images import ImageError

    pictures: dict[str, bytes] = {}
    missing = {c.image_id: "not in the images table" for c in cases if not c.uri}
    feed = Feed(images, as_shown(images, size, edge))
    for image_id, views in feed.stream({c.image_id: c.uri for c in cases if c.uri}):
        if isinstance(views, ImageError):
            missing[image_id] = views.reason
        else:
            pictures[image_id] = photograph(views.undistorted)
    return pictures, missing
