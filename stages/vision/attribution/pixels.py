"""Maps of any method on the pixels of the model's input, where they can be ordered and compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activation_atlas.stages.vision.attribution.methods.method import Options
from activation_atlas.stages.vision.place import Place, enlarged, spread

_SALT = 0x70EE  # keeps these draws apart from those of the methods


def at_input(values: np.ndarray, options: Options, size: tuple[int, int], place: Place) -> np.ndarray:
    """A map (h, w) on the pixels of the model's input, float32 of shape ``size``; NaN where nothing of it lies.

    Of windows each pixel has the mean of those over it. All others: bilinear between the positions' places.
    """
    if options.windows:
        return spread(values, size, *options.windows)
    return place.on_input(values, size)


CELLS = 8
"""Cells along one side of the smooth random map."""


def random_map(image_id: str, seed: int, size: tuple[int, int], smooth: bool) -> np.ndarray:
    """A map that knows nothing, of shape ``size``: 8 x 8 cells enlarged, or each pixel by itself.

    Two, because it is a smooth map that a smooth one must beat: scattered grey pixels are noise, which destroys an
    image far sooner than a hidden region does, whatever the map says.
    """
    if smooth:
        return enlarged(draw(image_id, seed, (CELLS, CELLS)), size)
    return draw(image_id, seed, size)


def draw(image_id: str, seed: int, size: Sequence[int]) -> np.ndarray:
    """Random numbers in [0, 1), float64 of shape ``size``: they depend on the seed and the image's id alone."""
    return np.random.default_rng([seed, int(image_id, 16), _SALT]).random(tuple(size))


def order(values: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Rank of each pixel (0: the largest value), int32; pixels of one value rank as the image's own draw, ``random``.

    Where nothing of a map lies it says neither for nor against: 0.
    Of a map that is zero over half of the image that half has no order of its own; row by row would give it one.
    """
    values, ranks = np.nan_to_num(values), np.empty(values.size, np.int32)
    ranks[np.lexsort((-random.reshape(-1), -values.reshape(-1)))] = np.arange(values.size, dtype=np.int32)
    return ranks.reshape(values.shape)
