"""Segments that a method is given: whose they are, and whether they fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.feed import Batch, at_size, upright
from activation_atlas.stages.feed.regions import Regions, found_for, regions_of
from activation_atlas.stages.methods import METHODS, Options
from activation_atlas.stages.sources.masks import listed
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import Inputs, State, UserError
from activation_atlas.stages.vision.images import Fit, ImageError

Sized = tuple[np.ndarray, tuple[int, int]]
"""Pixels at the model's size, and (height, width) of the upright image."""


def stamp(options: Options) -> str | None:
    """Of the folder of label images: another one for other files. None where there is none.

    Raises:
        UserError: no such folder, or no PNG files in it.
    """
    wanted = METHODS[options.name].regions(options)
    if wanted is None:
        return None
    return hashlib.sha256(json.dumps(sorted(listed(wanted[0], where(options)).items())).encode()).hexdigest()


def where(options: Options) -> str:
    """The key that names the folder."""
    return f"{options.variant}.masks"


def whose(inputs: Inputs, options: Options, data: Any, chosen: np.ndarray) -> dict[str, str]:
    """The label image of each chosen image that has one, by image id.

    Raises:
        UserError: no chosen image has one, or one fits several images.
    """
    wanted = METHODS[options.name].regions(options)
    assert wanted is not None
    ids = data["image_id"].to_numpy(str)
    found = found_for(dict(zip(ids.tolist(), data["uri"].tolist(), strict=True)), wanted[0], where(options))
    known = {i: found[i] for i in ids[chosen].tolist() if i in found}
    if not known:
        raise UserError(f"{where(options)}: none of the {len(chosen)} chosen images has a file in {wanted[0]}")
    if len(known) < len(chosen):
        inputs.note(f"{where(options)}: {len(chosen) - len(known)} of {len(chosen)} chosen images have none: no map")
    return known


def regions(options: Options, state: State, masks: str | None, fit: Fit, size: tuple[int, int]) -> Regions | None:
    """The segments that a run's method is given, from the state of its ``fit``; None where it is given none."""
    return regions_of(METHODS[options.name].regions(options), state.get("regions", {}), masks, fit, size)


def with_size(
    images: ImagesSpec, size: tuple[int, int], channels: int, given: Regions | None
) -> Callable[[bytes], Sized]:
    """From a file's bytes to its pixels at the model's size, and its own size, where segments must be of it."""
    small, whole = at_size(images, size, channels), upright(images, channels)
    return lambda data: (small(data), (0, 0) if given is None else whole(data).shape[:2])


def fitting(
    batch: Batch[int, Sized], ids: Sequence[str] | Mapping[int, str], given: Regions | None
) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """Pixels of the images that can be explained, and why the others cannot, by row."""
    pixels, rejected = {}, dict(batch.rejected)
    for row, (image, size) in zip(batch.keys, batch.images, strict=True):
        try:
            if given is not None:
                given(ids[row], size)
            pixels[row] = image
        except ImageError as error:
            rejected[row] = error.reason
    return pixels, rejected
