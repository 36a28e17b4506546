"""THE way of images to the model: uris in; read, decoded and resized out, in order and ahead of whoever takes them.

    feed = Feed(images, at_size(images, (224, 224)))
    for batch in feed.batches({image_id: uri, ...}, 32):
        network(np.stack(batch.images))         # batch.keys: their ids
        print(batch.rejected)                   # id -> why an image cannot be used

What is done about an image that cannot be used is for the caller to say; the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from activation_atlas.stages.feed.decoding import decoded
from activation_atlas.stages.feed.listed import uris_of
from activation_atlas.stages.sources import read_images
from activation_atlas.stages.specs import ImagesSpec, black_and_white
from activation_atlas.stages.vision.images import Fit, ImageError, decode, decode_to, fit_size

__all__ = ["Batch", "Feed", "Views", "as_shown", "at_size", "at_size_of", "threads_of", "upright", "uris_of"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

MOST_THREADS = 8
AHEAD = 2
"""Held ahead of the caller: so many batches, or where images are taken one by one so many for each thread."""


def threads_of(asked: int | None = None) -> int:
    """Threads that decode: as asked, or one for each core, at most 8."""
    return asked or min(MOST_THREADS, os.cpu_count() or 1)


def at_size(images: ImagesSpec, size: tuple[int, int], channels: int = 3) -> Callable[[bytes], np.ndarray]:
    """From a file's bytes to uint8 (h, w, channels) at the model's ``size`` = (h, w), as the section `images` says."""
    how = partial(decode_to, channels=channels, max_pixels=images.max_pixels, levels=black_and_white(images.levels))
    return partial(how, size=size, crop=Fit.of(images))


def upright(images: ImagesSpec, channels: int = 3) -> Callable[[bytes], np.ndarray]:
    """From a file's bytes to the whole image, uint8 (height, width, channels)."""
    return partial(decode, channels=channels, max_pixels=images.max_pixels, levels=black_and_white(images.levels))


def at_size_of(
    images: ImagesSpec, size: tuple[int, int], channels: int = 3
) -> Callable[[bytes], tuple[np.ndarray, tuple[int, int]]]:
    """As :func:`at_size`, and (height, width) of the upright image, which tells where a pixel of it lies there."""
    whole, fit = upright(images, channels), Fit.of(images)

    def prepare(data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
        image = whole(data)
        return fit_size(image, size, fit), image.shape[:2]

    return prepare


@dataclass(frozen=True)
class Views:
    """What a model was shown of an image, in finer pixels, uint8 (h, w, 3).

    Attributes:
        squeezed: of the shape of the model's input.
        undistorted: the same, but where it was squeezed into that shape (``crop: none``) in its own proportions.
        upright: (height, width) of the whole image.
    """

    squeezed: np.ndarray
    undistorted: np.ndarray
    upright: tuple[int, int]


def as_shown(images: ImagesSpec, size: tuple[int, int], edge: int) -> Callable[[bytes], Views]:
    """From a file's bytes to what a model of input ``size`` = (h, w) was shown, at up to the image's own resolution.

    Args:
        edge: longest shorter side, in pixels.
    """
    whole = upright(images)

    def prepare(data: bytes) -> Views:
        image = whole(data)
        scale = min(edge, *image.shape[:2])

        def view(height: int, width: int) -> np.ndarray:
            side = min(height, width)
            return fit_size(image, (max(1, round(height * scale / side)), max(1, round(width * scale / side))), crop)

        crop = Fit.of(images).to_look_at
        squeezed = view(*size)
        undistorted = view(*image.shape[:2]) if crop.crop == "none" else squeezed
        return Views(squeezed, undistorted, image.shape[:2])

    return prepare


@dataclass(frozen=True)
class Batch(Generic[K, T]):
    """Images that were asked for one after another.

    Attributes:
        keys: of those that can be used, in the order asked for.
        images: what was prepared of each of them.
        rejected: key of each of the others to the reason, one line.
    """

    keys: list[K]
    images: list[T]
    rejected: dict[K, str]


@dataclass(frozen=True)
class Feed(Generic[T]):
    """Images read and prepared in the background by a few threads; few are held, however many there are.

    Attributes:
        images: where they come from.
        prepare: from a file's bytes to what the caller takes, e.g. :func:`at_size`; may raise ImageError. Runs in a
            thread: what is large is best made small here.
        threads: that prepare; None for :func:`threads_of`.
    """

    images: ImagesSpec
    prepare: Callable[[bytes], T]
    threads: int | None = None

    def stream(
        self, uris: Mapping[K, str], ahead: int | None = None
    ) -> Generator[tuple[K, T | ImageError], None, None]:
        """Each image by its key, in order; an ImageError stands in the place of one that cannot be used.

        Args:
            uris: key of each image, such as its id, to its address as in the table `images`.
            ahead: images held at most.
        """
        threads = threads_of(self.threads)
        data = read_images(uris.values(), self.images.storage_options)
        with closing(decoded(data, self.prepare, ahead or AHEAD * threads, threads)) as prepared:
            yield from zip(uris, prepared, strict=True)

    def batches(self, uris: Mapping[K, str], size: int) -> Generator[Batch[K, T], None, None]:
        """``size`` images at a time, those that cannot be used among them; the last batch may be smaller."""
        with closing(self.stream(uris, AHEAD * size)) as stream:
            while some := list(islice(stream, size)):
                sound = [(key, image) for key, image in some if not isinstance(image, ImageError)]
                rejected = {key: image.reason for key, image in some if isinstance(image, ImageError)}
                yield Batch([key for key, _ in sound], [image for _, image in sound], rejected)

    def first(self, uris: Mapping[K, str], count: int) -> dict[K, T]:
        """The first ``count`` images that can be used, by key; fewer where there are no more."""
        with closing(self.stream(uris)) as stream:
            sound = ((key, image) for key, image in stream if not isinstance(image, ImageError))
            return dict(islice(sound, count))
