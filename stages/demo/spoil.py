"""Pictures that went wrong: out of focus, in fog, too dark, grainy."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter


def spoil(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture blurred, veiled and made grainy until its subject can hardly be told."""
    rgb: np.ndarray = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(3.0, 9.0))), np.float32)
    veil = np.array([1.0, 1.0, 1.0]) * rng.uniform(8, 215) + rng.normal(0, 9, 3)
    rgb = rgb + (veil - rgb) * rng.uniform(0.4, 0.8)
    rgb += rng.normal(0, rng.uniform(2, 9), rgb.shape)
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))
