"""The images of a concept: two folders, with it and without."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.drawing.pages import file_name
from activation_atlas.stages.feed import Feed
from activation_atlas.stages.sources import Source, open_source, read_images
from activation_atlas.stages.specs import ImagesSpec, Spec
from activation_atlas.stages.specs.audit import ConceptSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import ImageError

LEAST = 10
"""Images that either side needs."""
MOST = 200
"""Images of a side that are looked at."""
SIDES = ("with", "without")


class Folders(Spec):
    """A concept as the stage has it: what its folders hold is in the fingerprint, where they lie is not."""

    name: str
    with_: str = Field(exclude=True)
    without: str = Field(exclude=True)
    stamp: str

    def path(self, side: str) -> str:
        return self.with_ if side == "with" else self.without

    def where(self, side: str) -> str:
        """For messages."""
        return f"audit.concepts: {self.name}: {side}: {self.path(side)}"


def folders_of(concept: ConceptSpec, images: ImagesSpec) -> Folders:
    """Lists both folders, and reads none of their images.

    Raises:
        UserError: one is missing, or holds too few images.
    """
    found = Folders(name=concept.name, with_=concept.with_, without=concept.without, stamp="")
    stamps = []
    for side in SIDES:
        listing = _source(found, side, images, refresh=True).listing
        usable = listing.filter(pa.compute.is_null(listing["reject"]))
        _enough(found, side, len(usable))
        stamps.append(sorted(zip(*(usable[name].to_pylist() for name in ("image_id", "stamp")), strict=True)))
    return found.model_copy(update={"stamp": hashlib.sha256(repr(stamps).encode()).hexdigest()})


def _source(folders: Folders, side: str, images: ImagesSpec, refresh: bool = False) -> Source:
    spec = ImagesSpec(path=folders.path(side), label_column="none", storage_options=images.storage_options)
    try:
        return open_source(spec, refresh=refresh)
    except UserError as error:
        said = str(error).removeprefix(f"images.path: {folders.path(side)} ")
        raise UserError(f"{folders.where(side)} {said}") from None


def _enough(folders: Folders, side: str, count: int) -> None:
    if count < LEAST:
        raise UserError(
            f"{folders.where(side)} has {plural(count, 'usable image')}, and {LEAST} are needed: add {LEAST - count}"
        )


@dataclass(frozen=True)
class Found:
    """The images of a side that are looked at, in an order that was drawn.

    Attributes:
        uris: by sha256 of the file, hex: each file once.
        broken: uri to the reason, of those that cannot be read.
        left: how many more there are.
        twice: how many are the same file as another.
    """

    uris: Mapping[str, str]
    broken: Mapping[str, str]
    left: int
    twice: int


def looked_at(folders: Folders, images: ImagesSpec, seed: int) -> dict[str, Found]:
    """Which images stand for each side, by their bytes; :data:`MOST` of each at most.

    Raises:
        UserError: an image is on both sides, or too few can be read.
    """
    found = {side: _drawn(_source(folders, side, images), images, seed) for side in SIDES}
    both = sorted(found["with"].uris.keys() & found["without"].uris.keys())
    if both:
        first, second = (file_name(found[side].uris[both[0]]) for side in SIDES)
        raise UserError(
            f"audit.concepts: {folders.name}: {plural(len(both), 'image')} in both folders, e.g. {first} (without: "
            f"{second}); an image shows the concept or does not: take each out of one of them"
        )
    for side, own in found.items():
        _enough(folders, side, len(own.uris))
    return found


def _drawn(source: Source, images: ImagesSpec, seed: int) -> Found:
    usable = source.listing.filter(pa.compute.is_null(source.listing["reject"]))
    uri_of = dict(zip(usable["image_id"].to_pylist(), usable["uri"].to_pylist(), strict=True))
    order = sorted(uri_of, key=lambda i: hashlib.sha256(f"{seed}:{i}".encode()).digest())
    uris: dict[str, str] = {}
    broken: dict[str, str] = {}
    twice = read = 0
    asked = [uri_of[i] for i in order]
    for uri, data in zip(asked, read_images(asked, images.storage_options), strict=True):
        read += 1
        if isinstance(data, ImageError):
            broken[uri] = data.reason
            continue
        own = hashlib.sha256(data).hexdigest()
        twice += own in uris
        uris.setdefault(own, uri)
        if len(uris) == MOST:
            break
    return Found(uris, broken, len(asked) - read, twice)


def read(
    folders: Folders, images: ImagesSpec, prepare: Callable[[bytes], np.ndarray], seed: int, say: Callable[[str], Any]
) -> tuple[dict[str, np.ndarray], set[str]]:
    """The images of both sides, uint8 (n, h, w, c), and the hashes of their files.

    Args:
        say: is told, in a line, what of a folder is left out.

    Raises:
        UserError: as :func:`looked_at`.
    """
    pixels: dict[str, np.ndarray] = {}
    hashes: set[str] = set()
    for side, found in looked_at(folders, images, seed).items():
        own, broken = [], dict(found.broken)
        for key, image in Feed(images, prepare).stream(found.uris):
            if isinstance(image, ImageError):
                broken[found.uris[key]] = image.reason
            else:
                own.append(image)
        if broken:
            uri, reason = next(iter(broken.items()))
            count = plural(len(broken), "image")
            say(f"{folders.where(side)}: {count} cannot be read and left out, e.g. {file_name(uri)}: {reason}")
        if found.twice:
            say(f"{folders.where(side)}: {plural(found.twice, 'image')} the same as another and left out")
        if found.left:
            say(f"{folders.where(side)}: {len(own)} of {len(own) + found.left} images, drawn at random, are looked at")
        _enough(folders, side, len(own))
        pixels[side] = np.stack(own)
        hashes |= found.uris.keys()
    return pixels, hashes
