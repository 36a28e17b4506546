"""Patches pasted and taken out, each change beside what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.intervention import REMOVALS, Rect, around, beside, cut, drawn, noise_like, paste
from activation_atlas.stages.trials.carrier import Scores

PASTED = ("paste", "elsewhere", "random", "class", "noise")
CONTROLS = ("random", "class", "noise")
"""What a pasted cue is held against."""

ALIKE = 4
"""Levels of 255 by which noise must differ from its patch: that of a plain colour is the patch, and no control."""


@dataclass(frozen=True)
class Patch:
    """An exemplar: the image it is from, its position in the layer's map and its rectangle."""

    image_id: str
    row: int
    col: int
    rect: Rect


@dataclass(frozen=True)
class Change:
    """One image, and what is done to it.

    Attributes:
        exemplar: place of the patch (-1: none).
        rect: what changed.
        image: as changed.
    """

    kind: str
    image_id: str
    exemplar: int
    rect: Rect
    image: np.ndarray


def pastings(
    hosts: Sequence[str],
    patches: Sequence[Patch],
    others: Sequence[tuple[str, tuple[float, float]]],
    sources: Sequence[str],
    pixels: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> Iterator[Change]:
    """The cue's patches on every host, in turn, and their controls: of the same size, at the same place.

    Args:
        others: images of the class, and the pixel (y, x) of a position of theirs in another cell.
        sources: images that random patches are cut from.
    """
    for k, host in enumerate(hosts):
        number = k % len(patches)
        patch, image = patches[number], pixels[host]
        size, rect = image.shape[:2], patch.rect
        shape = rect[2] - rect[0], rect[3] - rect[1]
        own = cut(pixels[patch.image_id], rect)
        away = drawn(rng, shape, size)
        source = pixels[sources[int(rng.integers(len(sources)))]]
        made = {"paste": (own, rect), "elsewhere": (own, away), "random": (cut(source, drawn(rng, shape, size)), rect)}
        if others:
            other, centre = others[int(rng.integers(len(others)))]
            made["class"] = cut(pixels[other], around(centre, shape, size)), rect
        noise = noise_like(own, rng)
        if np.abs(noise.astype(int) - own).mean() >= ALIKE:
            made["noise"] = noise, rect
        for kind in PASTED:
            if kind in made:
                new, where = made[kind]
                yield Change(kind, host, number, where, paste(image, new, where))


def removals(
    carriers: Sequence[tuple[str, tuple[float, float]]],
    shape: tuple[int, int],
    sources: Sequence[str],
    pixels: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> Iterator[Change]:
    """The cue taken out of every image that has it, in each way, and as much taken out beside it.

    Args:
        carriers: images, and the pixel (y, x) at the middle of the cue.
        shape: (height, width) of what is taken out.
    """
    for name, centre in carriers:
        image = pixels[name]
        size = image.shape[:2]
        rect = around(centre, shape, size)
        other = beside(rng, rect, size)
        source = pixels[sources[int(rng.integers(len(sources)))]]

        def swap(image: np.ndarray, rect: Rect, source: np.ndarray = source) -> np.ndarray:
            return paste(image, cut(source, rect), rect)

        ways: dict[str, Callable[[np.ndarray, Rect], np.ndarray]] = {**REMOVALS, "swap": swap}
        for kind, remove in ways.items():
            yield Change(kind, name, -1, rect, remove(image, rect))
            if other is not None:
                yield Change(f"{kind}_elsewhere", name, -1, other, remove(image, other))


def scored(changes: Iterator[Change], scores: Scores, batch: int) -> Iterator[tuple[Change, np.ndarray]]:
    """Each change with the scores (K,) after it; few images are held."""
    held: list[Change] = []
    for change in changes:
        held.append(change)
        if len(held) == batch:
            yield from zip(held, scores(np.stack([c.image for c in held])), strict=True)
            held = []
    if held:
        yield from zip(held, scores(np.stack([c.image for c in held])), strict=True)
