"""The images that are looked at: the photograph, what the model received of it, and what it says they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from activation_atlas.stages.drawing.pages import file_name
from activation_atlas.stages.feed import Feed, at_size, upright
from activation_atlas.stages.feed.given import files, spelled
from activation_atlas.stages.origin import shown_images
from activation_atlas.stages.sources import image_id
from activation_atlas.stages.specs import listed
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import Crop, ImageError

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photograph:
    """One image.

    Attributes:
        uri, image_id: of the file.
        upright: uint8 (height, width, 3).
        pixels: what the model received, uint8 (h, w, channels).
        logits, probabilities: (K,) float32.
    """

    uri: str
    image_id: str
    upright: np.ndarray
    pixels: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray

    @property
    def name(self) -> str:
        """The file's name."""
        return file_name(self.uri)

    def best(self, count: int) -> list[int]:
        """Class indices of the ``count`` largest logits, best first."""
        return [int(k) for k in np.argsort(-self.logits, kind="stable")[:count]]


def photographs(
    images: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    model: Model,
    crop: Crop | None = None,
    levels: tuple[float, float] | float | None = None,
    rejected: Callable[[str, str], object] | None = None,
) -> list[Photograph]:
    """The images that can be read and classified, held in memory together.

    Args:
        images: files, folders, globs, or URIs as in the table ``images``; one, or several.
        rejected: called with (uri, reason) for an image that cannot be used; without it, that is an error.

    Raises:
        UserError: no such image, or crop.
    """
    from activation_atlas.stages.vision.predicting import predict

    spec = shown_images(crop=crop, levels=levels).settled(model.brings)
    whole, small = upright(spec), at_size(spec, model.input_size, model.channels)
    feed = Feed(spec, lambda data: (whole(data), small(data)))
    read: list[tuple[str, np.ndarray, np.ndarray]] = []
    for uri, image in feed.stream({uri: uri for uri in files(listed(images))}):
        if isinstance(image, ImageError):
            (rejected or _refuse)(uri, image.reason)
        else:
            read.append((uri, *image))
    if not read:
        return []
    answers: Any = predict(model, np.stack([pixels for _, _, pixels in read]), min(16, len(read)))
    found = []
    for (uri, photo, pixels), logits, shares in zip(read, *answers, strict=True):
        if np.isfinite(logits).all():
            found.append(Photograph(uri, image_id(spelled(uri)), photo, pixels, logits, shares))
        else:
            (rejected or _refuse)(uri, "the model gives NaN or infinite values (logits)")
    return found


def _refuse(uri: str, reason: str) -> None:
    raise UserError(f"{uri}: {reason}")
