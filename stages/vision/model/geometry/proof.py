"""Whether positions see the pixels that the reckoning says, told by numbers: pixels change, and positions move.

Spots all over what a layer sees are replaced, one at a time, in images of noise. Positions that move far must be
among those that see the spot. Branches that look at the whole image (squeeze-and-excite, norms over positions) move
all positions a little, so the place is told by those that move most.

Where the middle of the receptive field is not the middle of the map's share of the image (one-sided padding), numbers
decide between the two: kernels that were trained long often undo the shift. In MobileNet and EfficientNet-Lite
trained on ImageNet the pixels that a position depends on centre where positions lie evenly, to a third of the shift or
less; in networks trained for minutes, in the middle of the field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.vision.model.geometry.reach import Reach

Tap = Callable[[np.ndarray], np.ndarray]
"""Pixels in [0, 255], float32 (n, h, w, c), to a layer's output (n, H, W, C)."""

Sides = tuple[Reach, Reach]

IMAGES = 2
SHARES = {True: (0.1, 0.5, 0.9), False: (0.05, 0.25, 0.5, 0.75, 0.95)}
"""Of what is seen along a side, where spots lie: closer where the graph alone does not tell."""
FAINT = 1e-3
"""Spots at which no position moves by this share of what the liveliest spot moves say nothing."""


@dataclass(frozen=True)
class Spot:
    """Pixels that were replaced, [from, to) down and right, and how far each position moved, (H, W) float64."""

    rows: tuple[int, int]
    cols: tuple[int, int]
    moved: np.ndarray


def moved(tap: Tap, sides: Sides, known: bool, size: tuple[int, int], channels: int) -> list[Spot]:
    """What moves when spots change, as wide as a step of the layer, in the middle and near the ends of what it sees.

    Args:
        known: as for :func:`misplaced`.
        size, channels: of the model's input.
    """
    down, right = (_ends(side, pixels, SHARES[known]) for side, pixels in zip(sides, size, strict=True))
    spots = [(rows, cols) for rows in down for cols in right]
    found = [0.0] * len(spots)
    for seed in range(IMAGES):
        noise = np.random.default_rng(seed).uniform(0, 255, (1, *size, channels)).astype("float32")
        images = np.repeat(noise, len(spots) + 1, 0)
        for k, (rows, cols) in enumerate(spots):
            part = images[k + 1, slice(*rows), slice(*cols)]
            part[:] = np.where(part < 128, part + 127, part - 127)
        first, *others = np.concatenate([tap(images[k : k + 5]) for k in range(0, len(images), 5)]).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a model that overflows: such spots say nothing
            for k, other in enumerate(others):
                found[k] = found[k] + np.abs(other - first).sum(-1)
    return [Spot(*spot, np.asarray(change)) for spot, change in zip(spots, found, strict=True)]


def _ends(side: Reach, pixels: int, shares: tuple[float, ...]) -> list[tuple[int, int]]:
    """Where spots begin and end along a side."""
    low, high = max(0, int(np.ceil(side.low))), min(pixels - 1, int(np.floor(side.high)))
    wide = int(np.clip(np.ceil(abs(side.stride)), 1, high - low + 1))
    starts = dict.fromkeys(low + round(share * (high - low + 1 - wide)) for share in shares)
    return [(start, start + wide) for start in starts]


def misplaced(spots: list[Spot], sides: Sides, known: bool) -> str | None:
    """What the spots say against the reckoning; None: nothing.

    Args:
        known: whether the operations before the layer are all known. If not, the spots must speak for it as well.
    """
    finite = [s for s in spots if np.isfinite(s.moved).all()]
    liveliest = max((s.moved.max() for s in finite), default=0.0)
    telling = [s for s in finite if s.moved.max() > FAINT * liveliest]
    if not telling:
        return None if known else "no position moves when pixels do"
    strays = [s for s in telling if not _sees(s, sides)]
    if 4 * len(strays) > len(telling):
        spot = strays[0]
        row, col = np.unravel_index(int(spot.moved.argmax()), spot.moved.shape)
        pixel = f"({spot.rows[0]}, {spot.cols[0]})"
        return f"pixels at {pixel} move the position ({row}, {col}), which by the graph does not see them"
    if not known and 4 * (len(finite) - len(telling)) > len(finite):
        return "pixels that it should see move no position"
    if not known and (far := np.median([_distance(s, sides) for s in telling])) > 1:
        return f"positions that move lie {far:.1f} steps from where the graph says"
    return None


def _sees(spot: Spot, sides: Sides) -> bool:
    """Whether the position that moved most, or one that moved nearly as far, sees the spot."""
    allowed = [
        (side.first + side.stride * np.arange(n) < end) & (side.last + side.stride * np.arange(n) > start - 1)
        for side, (start, end), n in zip(sides, (spot.rows, spot.cols), spot.moved.shape, strict=True)
    ]
    inside = spot.moved[allowed[0]][:, allowed[1]]
    return bool(inside.size and inside.max() > 0.8 * spot.moved.max())


def _distance(spot: Spot, sides: Sides) -> float:
    """How many steps the middle of what moved far lies from where the graph has the spot."""
    weight = np.maximum(spot.moved - spot.moved.max() / 2, 0)
    off = []
    for axis, (side, (start, end)) in enumerate(zip(sides, (spot.rows, spot.cols), strict=True)):
        count = spot.moved.shape[axis]
        found = (weight.sum(1 - axis) * np.arange(count)).sum() / weight.sum()
        expected = np.clip(((start + end - 1) / 2 - side.centre) / side.stride, 0, count - 1)
        off.append(found - expected)
    return float(np.hypot(*off))


Weight = Callable[[np.ndarray, int, int], np.ndarray]
"""Pixels (n, h, w, c) and a position (row, col) to how strongly it depends on each pixel (h, w), not negative."""


def centred(weight: Weight, sides: Sides, counts: tuple[int, int], size: tuple[int, int], channels: int) -> Sides:
    """The sides as the map is best drawn: each around the middle of its field, or even over what is seen of the image.

    Whichever is nearer to the centre of what the middle position depends on, in images of noise.
    """
    even = [side.centred(count) for side, count in zip(sides, counts, strict=True)]
    beside = [abs(e.centre - s.centre) / s.stride for e, s in zip(even, sides, strict=True)]
    if max(beside) < 1e-6:
        return sides
    row, col = (count // 2 for count in counts)
    noise = np.random.default_rng(0).uniform(0, 255, (2 * IMAGES, *size, channels)).astype("float32")
    shares = weight(noise, row, col).astype(np.float64)
    if not np.isfinite(shares).all() or not shares.any():
        return sides
    found = []
    for axis, (side, other, place) in enumerate(zip(sides, even, (row, col), strict=True)):
        centre = (shares.sum(1 - axis) * np.arange(size[axis])).sum() / shares.sum() - side.stride * place
        found.append(other if abs(centre - other.centre) < abs(centre - side.centre) and beside[axis] <= 1 else side)
    return tuple(found)
