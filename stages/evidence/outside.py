"""How much of a region lies outside the things that the images are of, where boxes or masks say where these are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.feed import Feed, at_size_of
from activation_atlas.stages.sources import read_image
from activation_atlas.stages.sources.boxes import Box, given
from activation_atlas.stages.sources.masks import listed, matched
from activation_atlas.stages.sources.places import Place
from activation_atlas.stages.specs import ReadImages
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.vision.images import Fit, ImageError
from activation_atlas.stages.vision.truth import inside_boxes, inside_mask

Members = Sequence[tuple[str, int, int, float]]
"""Positions: image_id, row, col, attribution."""


def outside(
    inputs: Inputs,
    extract: State,
    layer: dict[str, Any],
    images: ReadImages,
    boxes: tuple[str, ...],
    masks: str | None,
    members: Sequence[Members],
) -> list[float | None]:
    """Of each list of positions the share whose middle lies outside; None where none is of an image with a truth.

    Args:
        layer: of the extract's state.
        boxes: columns of the images table. masks: the folder; one of the two is given.
    """
    wanted = {own for some in members for own, *_ in some}
    y, x = (
        np.clip(np.floor(offset + stride * np.arange(count) + 0.5), 0, whole - 1).astype(int)
        for offset, stride, count, whole in zip(
            layer["offset"], layer["stride"], (layer["height"], layer["width"]), extract["input_size"], strict=True
        )
    )
    inside = {own: there[np.ix_(y, x)] for own, there in _things(inputs, extract, images, boxes, masks, wanted)}
    shares: list[float | None] = []
    for some in members:
        away = [not inside[own][row, col] for own, row, col, _ in some if own in inside]
        shares.append(float(np.mean(away)) if away else None)
    return shares


def _things(
    inputs: Inputs, extract: State, images: ReadImages, boxes: tuple[str, ...], masks: str | None, wanted: set[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Of each image that has a box or mask the pixels of the model's input within, bool (H, W)."""
    size, shown = tuple(extract["input_size"]), images.settled(extract.get("images", {}))
    uris: dict[str, str] = {}
    framed: dict[str, list[Box]] = {}
    for part in inputs.stream("images", ["image_id", "uri", *boxes]):
        rows = zip(part["image_id"].to_pylist(), part["uri"].to_pylist(), strict=True)
        # A mask may be called by a part of its image's path that is no other's: all are needed to tell.
        uris |= {own: uri for own, uri in rows if masks or own in wanted}
        framed |= {own: found for own, found in given(part, boxes).items() if own in wanted} if boxes else {}
    place = Place.at(masks) if masks else None
    painted = matched(uris, list(listed(masks, "evaluate.masks")), "evaluate.masks") if masks else {}
    known = {own: uris[own] for own in sorted(wanted & (framed.keys() | painted.keys()))}
    fit = Fit.of(shown)
    for own, image in Feed(images, at_size_of(shown, size)).stream(known):
        if isinstance(image, ImageError):
            continue
        _, upright = image
        try:
            if place is not None:
                yield own, inside_mask(read_image(place.uri(painted[own])), upright, size, fit)
            else:
                yield own, inside_boxes(framed[own], upright, size, fit)
        except (ImageError, ValueError) as error:
            inputs.warn(f"{uris[own]}: {error}; it is left out of what lies outside")
