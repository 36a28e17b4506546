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
    from activation_atlas.stages.sources import read_images
    from activation_atlas.stages.vision.images import ImageError, decode, fit_size

    found: dict[str, bytes] = {}
    missing = {c.image_id: "not in the images table" for c in cases if not c.uri}
    present = [c for c in cases if c.uri]
    for case, data in zip(present, read_images([c.uri for c in present], images.storage_options), strict=True):
        try:
            if isinstance(data, Exception):
                raise data
            pixels = decode(data, max_pixels=images.max_pixels, levels=images.levels)
        except (ImageError, OSError) as error:
            missing[case.image_id] = getattr(error, "reason", None) or str(error) or type(error).__name__
            continue
        sides = pixels.shape[:2] if images.crop == "none" else size
        factor = min(edge, *pixels.shape[:2]) / min(sides)
        view = fit_size(pixels, tuple(max(1, round(s * factor)) for s in sides), images.crop)
        found[case.image_id] = photograph(view)
    return found, missing
