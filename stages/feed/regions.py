"""Segments that are given: a folder of label images named like the images, brought to the model's input."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image

from activation_atlas.stages.sources import read_image
from activation_atlas.stages.sources.masks import listed, matched
from activation_atlas.stages.sources.places import Place, one_line
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import Fit, ImageError, probe, source_box

PALETTED = ("1", "L", "P", "I", "I;16")
"""Modes of images whose stored numbers are the labels; of all others each colour is a label."""


class Asked(NamedTuple):
    """What a method wants: a folder of label images, and the most segments it can do with, None for any number."""

    folder: str
    most: int | None


@dataclass(frozen=True)
class Regions:
    """The segments of each image by its id.

    Attributes:
        asked: what the method wants.
        stamp: of the folder's files; another one means other segments.
        paths: image id and path of its label image below the folder.
        fit, size: how images are brought to the model's input of ``size`` (height, width).
    """

    asked: Asked
    stamp: str | None
    paths: tuple[tuple[str, str], ...]
    fit: Fit
    size: tuple[int, int]

    @cached_property
    def of(self) -> Mapping[str, str]:
        """Path by image id."""
        return dict(self.paths)

    def __call__(self, image_id: str, upright: tuple[int, int] | None = None) -> np.ndarray:
        """An image's segments, numbered from 0, int32 of the model's input's size.

        Args:
            upright: (height, width) of the image, which its label image must have too; None where that was looked at.

        Raises:
            ImageError: they cannot be read, are not of the image's size, or are too few or too many.
        """
        path = self.of[image_id]
        try:
            labels = labels_of(read_image(Place.at(self.asked.folder).uri(path)))
        except ImageError as error:
            raise ImageError(f"the label image {path} cannot be read: {error.reason}") from None
        if upright is not None and labels.shape != tuple(upright):
            wide, own = (f"{s[1]} x {s[0]}" for s in (labels.shape, upright))
            raise ImageError(f"the label image {path} has {wide} pixels, the image {own}")
        found = on_input(labels, self.size, self.fit)
        count = int(found.max()) + 1
        if count < 2:
            raise ImageError(f"in {path} one label lies over all that the model sees; give two segments or more")
        if self.asked.most is not None and count > self.asked.most:
            raise ImageError(
                f"{path} has {count} segments, and samples for {self.asked.most}; join some, or give more samples"
            )
        return found


def labels_of(data: bytes) -> np.ndarray:
    """The label of each pixel of a label image, whole numbers (height, width).

    Raises:
        ImageError: it cannot be read.
    """
    probe(data)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode in PALETTED:
                return np.asarray(image).astype(np.int64)
            return np.asarray(image.convert("RGBA")).view(np.uint32)[..., 0].astype(np.int64)
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"cannot be decoded: {one_line(error)}") from None


def on_input(labels: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """Labels (height, width) on the model's input: of each pixel the one at its centre, as segments from 0, int32.

    What lies beside a padded image is a segment of its own.
    """
    left, top, right, bottom = source_box((0, 0, size[1], size[0]), labels.shape, size, fit, clip=False)
    rows, cols = (
        np.floor(low + (np.arange(n) + 0.5) * (high - low) / n).astype(int)
        for low, high, n in ((top, bottom, size[0]), (left, right, size[1]))
    )
    _, numbers = np.unique(labels, return_inverse=True)
    height, width = labels.shape
    taken = numbers.reshape(labels.shape)[np.ix_(rows.clip(0, height - 1), cols.clip(0, width - 1))]
    down, across = (rows >= 0) & (rows < height), (cols >= 0) & (cols < width)
    _, found = np.unique(np.where(np.outer(down, across), taken, -1), return_inverse=True)
    return found.reshape(size).astype(np.int32)


def regions_of(
    wanted: tuple[str, int | None] | None, paths: Mapping[str, str], stamp: str | None, fit: Fit, size: tuple[int, int]
) -> Regions | None:
    """The segments that a method wants, see :attr:`Method.regions`; None for one that wants none."""
    return None if wanted is None else Regions(Asked(*wanted), stamp, tuple(sorted(paths.items())), fit, size)


def found_for(uris: Mapping[str, str], folder: str, where: str) -> dict[str, str]:
    """The label image of each image that has one, image id to path below the folder.

    Args:
        uris: image id to uri, of all images.
        where: the key of the configuration that named the folder.

    Raises:
        UserError: no such folder, no PNG files in it, one that fits several images, or none that fits any.
    """
    masks = list(listed(folder, where))
    found = matched(uris, masks, where)
    if not found:
        raise UserError(f"{where}: none of the {len(masks)} files fits an image, e.g. {masks[0]}; name them like those")
    return found
