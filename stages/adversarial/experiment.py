"""The patch experiment of the atlas article (Carter, Armstrong, Schubert, Johnson & Olah 2019), with its controls.

A patch is pasted into a corner of images of one class, to make the network take them for another. Static: the same size
and corner for all images, chosen on one half of them and reported on the other. Dynamic: an image counts if it turns
at any size and corner. The patch itself is chosen on the first half, too. Noise of its spectrum, and parts of other
images, have as many tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from activation_atlas.stages.adversarial.proposed import Proposal
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.intervention import Rect, around, cut, drawn, noise_like, paste

CROPS = (0.25, 0.4, 0.6)
"""Sides of what is cut out about a position, as shares of the image's."""
SIDES = (0.2, 0.3, 0.4, 0.5)
"""Sides of what is pasted."""
FIRST, TRIED = 0.4, 24
"""The side, and the number of images, on which patches are compared."""
CONTROLS = ("noise", "random")

Scores = Callable[[np.ndarray], np.ndarray]
"""Images uint8 (n, h, w, c) to the scores of all classes, (n, K)."""
Becomes = Callable[[np.ndarray], np.ndarray]
"""Scores (n, K) to whether each image is taken for the class."""


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
class Patch:
    """What is pasted: cut out of an image of the run.

    Attributes:
        proposal: the position that it lies about. rect: what was cut. pixels: uint8 (h, w, c).
    """

    proposal: Proposal
    rect: Rect
    pixels: np.ndarray

    def on(self, image: np.ndarray, place: Place) -> np.ndarray:
        return laid(image, self.pixels, place)


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


def patches(
    proposals: Sequence[Proposal], pixels: Mapping[str, np.ndarray], centre: Callable[[Proposal], tuple[float, float]]
) -> list[Patch]:
    """What can be cut out about the proposed positions, in :data:`CROPS` sizes.

    Args:
        centre: of a position, the pixel (y, x) at its middle.
    """
    found = []
    for proposal in (p for p in proposals if p.image_id in pixels):
        image = pixels[proposal.image_id]
        for share in CROPS:
            shape = tuple(max(1, round(whole * share)) for whole in image.shape[:2])
            rect = around(centre(proposal), (shape[0], shape[1]), image.shape[:2])
            found.append(Patch(proposal, rect, cut(image, rect)))
    return found


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
    found: Sequence[Patch], hosts: Sequence[np.ndarray], to: int, scores: Scores, becomes: Becomes, batch: int
) -> Patch:
    """The patch that turns most of the first hosts, over the four corners; of equal ones that of the largest margin."""
    places, some = [Place(FIRST, corner) for corner in range(4)], hosts[:TRIED]

    def worth(patch: Patch) -> tuple[float, float]:
        own = pasted(some, lambda number: patch.pixels, places, scores, batch)
        return float(becomes(own).mean()), float(margin(own, to).mean())

    return max(found, key=worth)


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
    patch: Patch, hosts: int, sources: Sequence[np.ndarray], seed: int
) -> dict[str, Callable[[int], np.ndarray]]:
    """What is pasted on each host in place of the patch: noise like it, and as large a part of any other image."""
    rngs = {kind: np.random.default_rng([seed, k, 41]) for k, kind in enumerate(CONTROLS)}
    shape = patch.pixels.shape[:2]
    noise = [noise_like(patch.pixels, rngs["noise"]) for _ in range(hosts)]
    random = []
    for _ in range(hosts):
        source = sources[int(rngs["random"].integers(len(sources)))]
        random.append(cut(source, drawn(rngs["random"], (shape[0], shape[1]), source.shape[:2])))
    return {"noise": noise.__getitem__, "random": random.__getitem__}
