"""The images that are looked at: the photograph, what the model received of it, and what it says they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from activation_atlas.stages.drawing.numbers import figure, probability
from activation_atlas.stages.drawing.pages import file_name
from activation_atlas.stages.feed import Feed, at_size, upright
from activation_atlas.stages.feed.given import files, spelled
from activation_atlas.stages.sources import image_id
from activation_atlas.stages.specs import ImagesSpec, listed
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import ImageError

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model


@dataclass(frozen=True)
class Photograph:
    """One image.

    Attributes:
        uri, image_id: of the file.
        upright: uint8 (height, width, 3).
        pixels: what the model received, uint8 (h, w, channels).
        logits, probabilities: (K,) float32; quantities as they are.
        measured: whether the outputs are quantities, of which none is probable.
    """

    uri: str
    image_id: str
    upright: np.ndarray
    pixels: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    measured: bool = False

    @property
    def name(self) -> str:
        """The file's name."""
        return file_name(self.uri)

    def best(self, count: int) -> list[int]:
        """Class indices of the ``count`` largest logits, best first; of quantities the first ones."""
        if self.measured:
            return list(range(min(count, len(self.logits))))
        return [int(k) for k in np.argsort(-self.logits, kind="stable")[:count]]

    def says(self, index: int) -> str:
        """The probability of a class, or a quantity, as text."""
        value = float(self.probabilities[index])
        return figure(value) if self.measured else probability(value)


def photographs(
    images: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    model: Model,
    spec: ImagesSpec,
    rejected: Callable[[str, str], object] | None = None,
) -> list[Photograph]:
    """The images that can be read and classified, held in memory together.

    Args:
        images: files, folders, globs, or URIs as in the table ``images``; one, or several.
        spec: how they are read, see :func:`stages.origin.shown_images`.
        rejected: called with (uri, reason) for an image that cannot be used; without it, that is an error.

    Raises:
        UserError: no such image.
    """
    uris = files(listed(images))
    return read({image_id(spelled(uri)): uri for uri in uris}, model, spec, rejected or _refuse)


def read(
    uris: Mapping[str, str], model: Model, spec: ImagesSpec, rejected: Callable[[str, str], object]
) -> list[Photograph]:
    """The same of images by their ids."""
    from activation_atlas.stages.vision.predicting import predict

    spec = spec.settled(model.brings)
    whole, small = upright(spec), at_size(spec, model.input_size, model.channels)
    feed = Feed(spec, lambda data: (whole(data), small(data)))
    sound: list[tuple[str, np.ndarray, np.ndarray]] = []
    for own, image in feed.stream(uris):
        if isinstance(image, ImageError):
            rejected(uris[own], image.reason)
        else:
            sound.append((own, *image))
    if not sound:
        return []
    answers: Any = predict(model, np.stack([pixels for _, _, pixels in sound]), min(16, len(sound)))
    found = []
    for (own, photo, pixels), logits, shares in zip(sound, *answers, strict=True):
        if np.isfinite(logits).all():
            found.append(Photograph(uris[own], own, photo, pixels, logits, shares, model.kind == "quantity"))
        else:
            rejected(uris[own], "the model gives NaN or infinite values (logits)")
    return found


def _refuse(uri: str, reason: str) -> None:
    raise UserError(f"{uri}: {reason}")
