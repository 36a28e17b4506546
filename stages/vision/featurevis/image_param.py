"""What may be drawn. ``ImageParam``: (coefficients) -> (pixels): numbers an optimiser may move freely, as an image.

Natural images have a spectrum that falls with frequency and colours that vary
together. Steps of equal size in the coordinates used here are therefore steps
of natural size in the image (Olah et al. 2017, "preconditioning").

The waves are cosines (those of JPEG) rather than lucid's complex exponentials:
one real number each, no seam that ties the left edge to the right, and two
matrix products instead of a Fourier transform.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

ImageParam = Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Spectrum:
    """Which waves there are, and how much of each a coefficient of 1 stands for.

    Attributes:
        decay: exponent of the fall with frequency (1: that of natural images).
        amplitude: root mean square, before the sigmoid, of what a coefficient of 1 adds at one wave a side.
        finest: highest frequency, cycles per pixel (at most 0.5). What is finer is where
            strided convolutions leave their speckle.
    """

    decay: float = 1.5
    amplitude: float = 0.55
    finest: float = 1 / 3

    def waves(self, size: int) -> int:
        """Number of waves along each axis."""
        return max(1, min(size, round(2 * self.finest * size)))

    def scale(self, size: int) -> np.ndarray:
        """Factor per coefficient, float64 (waves, waves): amplitude / max(w, 1)^decay at w waves a side."""
        halves = np.arange(self.waves(size)) / 2
        return self.amplitude / np.maximum(np.hypot(halves[:, None], halves[None, :]), 1.0) ** self.decay


def cosines(size: int, waves: int) -> np.ndarray:
    """The waves, float64 (size, waves), column k is sqrt(2) cos(pi k (x + 1/2) / size), column 0 is 1.

    Orthogonal, each of root mean square 1: the DCT-II basis.
    """
    x, k = np.arange(size)[:, None] + 0.5, np.arange(waves)[None, :]
    return np.where(k == 0, 1.0, np.sqrt(2) * np.cos(np.pi * k * x / size))


def start(seed: tuple[int, ...], size: int, channels: int, spectrum: Spectrum, deviation: float = 0.01) -> np.ndarray:
    """Faint noise to start from: float32 (c, waves, waves), drawn from ``seed`` alone."""
    waves = spectrum.waves(size)
    return (deviation * np.random.default_rng(list(seed)).standard_normal((channels, waves, waves))).astype(np.float32)


def cosine_image(size: int, colour: np.ndarray, spectrum: Spectrum) -> ImageParam:
    """Coefficients (n, c, waves, waves), rows first -> pixels in (0, 1) of shape (n, c, size, size).

    Every product is of one image's matrices, never of several images' stacked
    into one: a larger matrix may be summed in another order, and the bytes of an
    icon would depend on its companions.

    Args:
        colour: (c, c), square root of the pixel covariance divided by its largest column norm.
    """
    waves, channels = spectrum.waves(size), len(colour)
    basis, scale = cosines(size, waves), spectrum.scale(size)

    def image(coefficients: tf.Tensor) -> tf.Tensor:
        real = coefficients.dtype
        scaled = coefficients * tf.constant(scale, real)
        coloured = tf.matmul(tf.constant(colour, real), tf.reshape(scaled, (-1, channels, waves * waves)))
        across = tf.matmul(tf.reshape(coloured, (-1, waves, waves)), tf.constant(basis.T, real))
        down = tf.matmul(tf.constant(basis, real), across)
        return tf.reshape(tf.sigmoid(down), (-1, channels, size, size))

    return image
