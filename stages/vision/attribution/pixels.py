"""Maps of any method on the pixels of the model's input, where they can be ordered and compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.methods import Occlusion, Options, pair
from stages.vision.overlays import enlarged, spread

_SALT = 0x70EE  # keeps these draws apart from those of the methods


def at_input(values: np.ndarray, options: Options, size: tuple[int, int]) -> np.ndarray:
    """A map (h, w) on the pixels of the model's input, float32 of shape ``size``.

    Occlusion: each pixel has the mean of the windows over it, 0 where there is none. All others: enlarged by
    bilinear interpolation with half-pixel centres, or as they are where they have that size.
    """
    if isinstance(options, Occlusion):
        return np.nan_to_num(spread(values, size, pair(options.patch), pair(options.stride), options.edges))
    return enlarged(values, size) if values.shape != tuple(size) else np.asarray(values, np.float32)


def draw(image_id: str, seed: int, size: Sequence[int]) -> np.ndarray:
    """The random map of an image, in [0, 1), float64: it depends on the seed and the image's id alone."""
    return np.random.default_rng([seed, int(image_id, 16), _SALT]).random(tuple(size))


def order(values: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Rank of each pixel (0: the largest value), int32; pixels of one value rank as in the image's random map.

    Of a map that is zero over half of the image that half has no order of its own; row by row would give it one.
    """
    ranks = np.empty(values.size, np.int32)
    ranks[np.lexsort((-random.reshape(-1), -values.reshape(-1)))] = np.arange(values.size, dtype=np.int32)
    return ranks.reshape(values.shape)
