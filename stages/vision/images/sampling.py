"""Resampling without antialiasing, which Pillow does not have: what ``tf.image.resize`` does by default."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def sampled(image: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int], how: str) -> np.ndarray:
    """A box of an image at another size, each pixel from those around its centre, however much smaller it gets.

    Weights are those of ``tf.image.resize`` with ``antialias=False`` (half-pixel centres; taps beyond the border are
    left out, and the others made to sum to 1), the values rounded to whole ones.

    Args:
        image: uint8 (height, width) or (height, width, channels).
        box: (left, top, right, bottom) in pixel edges.
        size: (rows, cols) of the result.
        how: bilinear, bicubic or lanczos.
    """
    found = image.astype(np.float32)
    found = _along(found, *_taps(box[1], box[3], size[0], len(found), how))
    found = _along(found.swapaxes(0, 1), *_taps(box[0], box[2], size[1], found.shape[1], how)).swapaxes(0, 1)
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)


def _taps(low: float, high: float, count: int, pixels: int, how: str) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that each of ``count`` takes, and with what weights, both (count, taps)."""
    kernel, reach = _KERNELS[how]
    centre = low + (np.arange(count) + 0.5) * ((high - low) / count)
    taken = np.floor(centre - 0.5).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    weight = kernel(np.abs(taken + 0.5 - centre[:, None])) * ((taken >= 0) & (taken < pixels))
    weight /= weight.sum(1, keepdims=True)
    return np.clip(taken, 0, pixels - 1), weight.astype(np.float32)


def _along(values: np.ndarray, taken: np.ndarray, weight: np.ndarray) -> np.ndarray:
    shape = (-1, *(1,) * (values.ndim - 1))
    found = values[taken[:, 0]] * weight[:, 0].reshape(shape)
    for k in range(1, taken.shape[1]):
        found += values[taken[:, k]] * weight[:, k].reshape(shape)
    return found


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - x)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Of Keys 1981, a = -1/2."""
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos": (_lanczos, 3),
}
"""By the distance from a pixel's centre, and how many pixels they reach to either side."""
