"""A cue's own patches, and the images that they are pasted on where a class has too few that carry the cue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.intervention import Rect, cut, paste
from activation_atlas.stages.repair.known import Known

LEAST = 20
"""Images of a class that carry a cue from which on the class is fitted as it is: fewer may well be chance finds."""
PASTES = 500
"""Images of one class that a cue is pasted on for fitting, at most."""


@dataclass(frozen=True)
class Patch:
    """A rectangle of an image at the model's size, its pixels (h, w, channels) uint8, and where it was."""

    pixels: np.ndarray
    rect: Rect

    def on(self, image: np.ndarray) -> np.ndarray:
        """The image with the patch where it was in its own."""
        return paste(image, self.pixels, self.rect)


def patches(exemplars: Sequence[Mapping[str, Any]], images: Mapping[str, np.ndarray]) -> list[Patch]:
    """A cue's exemplars as patches, in their order, of the images that could be read."""
    there = [each for each in exemplars if each["image_id"] in images]
    rects = [(each["top"], each["left"], each["bottom"], each["right"]) for each in there]
    return [Patch(cut(images[each["image_id"]], rect), rect) for each, rect in zip(there, rects, strict=True)]


def parted(found: Sequence[Patch]) -> tuple[Sequence[Patch], Sequence[Patch]]:
    """Patches for fitting and patches for reporting: every other one, or one and the same where there is but one."""
    return (found[::2], found[1::2]) if len(found) > 1 else (found, found)


def lacking(known: Known, targets: Sequence[int]) -> list[tuple[int, int]]:
    """Cues and classes (j, k) whose images the cue is pasted on for fitting: those of which the half that is fitted on
    holds fewer than :data:`LEAST` carriers. With them the cue's own class, or that something was pasted would tell it.

    Args:
        targets: (J,) the class that each cue speaks for.
    """
    fitted = ~known.held
    classes = np.unique(known.label[fitted]).tolist()
    found: list[tuple[int, int]] = []
    for j, target in enumerate(targets):
        count = [int((fitted & known.cues[:, j] & (known.label == k)).sum()) for k in classes]
        few = [k for k, n in zip(classes, count, strict=True) if n < LEAST and k != target]
        found += [(j, k) for k in classes if k in few or (few and k == target)]
    return found


def to_fit(
    known: Known, pairs: Sequence[tuple[int, int]], rows: np.ndarray, found: Sequence[Sequence[Patch]], most: int
) -> dict[int, list[tuple[int, Patch]]]:
    """What is pasted on the images that are fitted on: place to (cue, patch) each.

    Args:
        pairs: of :func:`lacking`.
        rows: places of the images that are read; those without any cue are pasted on.
        found: of each cue the patches.
        most: pastes in all.
    """
    bare = np.zeros(len(known.label), bool)
    bare[rows] = ~known.cues[rows].any(1)
    pasted: dict[int, list[tuple[int, Patch]]] = {}
    pairs = [(j, k) for j, k in pairs if found[j]]
    for j, k in pairs:
        own = known.some(bare & (known.label == k), max(1, min(PASTES, most // len(pairs))))
        _add(pasted, own, j, found[j])
    return pasted


def to_report(
    known: Known, targets: Sequence[int], rows: np.ndarray, found: Sequence[Sequence[Patch]], most: int
) -> dict[int, list[tuple[int, Patch]]]:
    """What is pasted on held-out images: for each cue at most ``most`` without any cue, of other classes than its."""
    bare = np.zeros(len(known.label), bool)
    bare[rows] = ~known.cues[rows].any(1)
    pasted: dict[int, list[tuple[int, Patch]]] = {}
    for j, target in enumerate(targets):
        if found[j]:
            _add(pasted, known.some(bare & (known.label != target), most), j, found[j])
    return pasted


def _add(pasted: dict[int, list[tuple[int, Patch]]], rows: np.ndarray, cue: int, found: Sequence[Patch]) -> None:
    for order, row in enumerate(rows.tolist()):
        pasted.setdefault(row, []).append((cue, found[order % len(found)]))
