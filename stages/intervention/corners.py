"""A patch at every size and corner of images, the article's way (Carter, Armstrong, Schubert, Johnson & Olah 2019).

Static: the same size and corner for all images, chosen on other images than those it is reported on. Dynamic: an image
counts if it turns at any size and corner. Noise of the patch's spectrum, and parts of other images, have as many tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.intervention.controls import noise_like
from activation_atlas.stages.intervention.places import Rect, cut, drawn, paste

SIDES = (0.2, 0.3, 0.4, 0.5)
"""Sides of what is pasted, as shares of the image's."""
FIRST, TRIED = 0.4, 24
"""The side, and the number of images, on which patches are compared."""
CONTROLS = ("noise", "random")

Scores = Callable[[np.ndarray], np.ndarray]
"""Images uint8 (n, h, w, c) to the scores of all classes, (n, K)."""
Becomes = Callable[[np.ndarray], np.ndarray]
"""Scores (..., K) to whether each image is taken for the class."""


@dataclass(frozen=True)
class Place:
    """Where and how large a patch is pasted: ``side`` is a share of the image's, ``corner`` 0 to 3, row by row."""

    side: float
    corner: int

    def rect(self, size: tuple[int, int]) -> Rect:
        """In an image of ``size`` (h, w)."""
        height, width = (max(1, round(whole * self.side)) for whole in size)
        top, left = (size[0] - height) * (self.corner // 2), (size[1] - width) * (self.corner % 2)
        return top, left, top + height, left + width

    @property
    def words(self) -> str:
        return ("upper left", "upper right", "lower left", "lower right")[self.corner]


PLACES = tuple(Place(side, corner) for side in SIDES for corner in range(4))


@dataclass(frozen=True)
class Rates:
    """Shares of the images that become the class, each with its 95 % interval (Wilson): (share, low, high)."""

    static: tuple[float, float, float]
    dynamic: tuple[float, float, float]


def laid(image: np.ndarray, patch: np.ndarray, place: Place) -> np.ndarray:
    """An image with a patch brought to a place's size and pasted there."""
    rect = place.rect(image.shape[:2])
    return paste(image, resized(patch, (rect[2] - rect[0], rect[3] - rect[1])), rect)


def resized(patch: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w, c) at another size, antialiased."""
    channels = [Image.fromarray(np.ascontiguousarray(patch[..., k])) for k in range(patch.shape[2])]
    return np.stack([np.asarray(one.resize(size[::-1], Image.Resampling.BILINEAR)) for one in channels], -1)


def pasted(
    hosts: Sequence[np.ndarray],
    patch_of: Callable[[int], np.ndarray],
    places: Sequence[Place],
    scores: Scores,
    batch: int,
) -> np.ndarray:
    """Scores (places, n, K) of every host with a patch at every place.

    Args:
        patch_of: number of the host to what is pasted on it.
    """

    def made() -> Iterator[np.ndarray]:
        for place in places:
            for number, host in enumerate(hosts):
                yield laid(host, patch_of(number), place)

    found, held = [], []
    for image in made():
        held.append(image)
        if len(held) == batch:
            found.append(scores(np.stack(held)))
            held = []
    if held:
        found.append(scores(np.stack(held)))
    return np.concatenate(found).reshape(len(places), len(hosts), -1)


def margin(scores: np.ndarray, to: int) -> np.ndarray:
    """By how much a class's score exceeds the largest of the others: (..., K) -> (...)."""
    others = np.delete(scores, to, -1)
    return scores[..., to] - (others.max(-1) if others.shape[-1] else 0)


def best_patch(
    found: Sequence[np.ndarray], hosts: Sequence[np.ndarray], to: int, scores: Scores, becomes: Becomes, batch: int
) -> int:
    """Which patch turns most of the first hosts, over the four corners; of equal ones that of the largest margin."""
    places, some = [Place(FIRST, corner) for corner in range(4)], hosts[:TRIED]

    def worth(number: int) -> tuple[float, float]:
        own = pasted(some, lambda host: found[number], places, scores, batch)
        return float(becomes(own).mean()), float(margin(own, to).mean())

    return max(range(len(found)), key=worth)


def best_place(turned: np.ndarray, margins: np.ndarray) -> int:
    """Of the places (p, n), the one that turns most images; of equal ones that of the largest mean margin."""
    shares, means = turned.mean(1), margins.mean(1)
    return max(range(len(turned)), key=lambda k: (shares[k], means[k]))


def rates(turned: np.ndarray, static: int) -> Rates:
    """Of one place for all, and of the best for each image: ``turned`` (places, n) bool."""

    def share(hits: np.ndarray) -> tuple[float, float, float]:
        return float(hits.mean()), *wilson(float(hits.sum()), len(hits))

    return Rates(share(turned[static]), share(np.any(turned, axis=0)))


def controls(
    patch: np.ndarray, hosts: int, sources: Sequence[np.ndarray], seed: int
) -> dict[str, Callable[[int], np.ndarray]]:
    """What is pasted on each host in place of the patch: noise like it, and as large a part of any other image."""
    rngs = {kind: np.random.default_rng([seed, k, 41]) for k, kind in enumerate(CONTROLS)}
    shape = patch.shape[:2]
    noise = [noise_like(patch, rngs["noise"]) for _ in range(hosts)]
    random = []
    for _ in range(hosts):
        source = sources[int(rngs["random"].integers(len(sources)))]
        random.append(cut(source, drawn(rngs["random"], (shape[0], shape[1]), source.shape[:2])))
    return {"noise": noise.__getitem__, "random": random.__getitem__}


@dataclass(frozen=True)
class Outcome:
    """What came of some patches.

    Attributes:
        patch: place of the one that was chosen. static: place of its size and corner among :data:`PLACES`.
        rates: by kind: patch, noise, random.
        turned: of the patch at that size and corner, whether each image became the class (n,).
    """

    patch: int
    static: int
    rates: dict[str, Rates]
    turned: np.ndarray


def experiment(
    found: Sequence[np.ndarray],
    search: Sequence[np.ndarray],
    held: Sequence[np.ndarray],
    sources: Sequence[np.ndarray],
    to: int,
    scores: Scores,
    becomes: Becomes,
    batch: int,
    seed: int,
) -> Outcome:
    """Chooses patch, size and corner on some images and tries them on others.

    Args:
        found: patches, uint8 (h, w, c) each.
        search, held: images of no such class, to choose on and to try on. sources: what random parts are cut from.
        to: the class that they are to be taken for.
    """
    best = best_patch(found, search, to, scores, becomes, batch)
    own = pasted(search, lambda number: found[best], PLACES, scores, batch)
    static = best_place(becomes(own), margin(own, to))
    kinds = {"patch": lambda number: found[best], **controls(found[best], len(held), sources, seed)}
    turned = {kind: becomes(pasted(held, of, PLACES, scores, batch)) for kind, of in kinds.items()}
    each = {kind: rates(values, static) for kind, values in turned.items()}
    return Outcome(best, static, each, turned["patch"][static])
