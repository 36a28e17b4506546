"""Patches that are as good as any, were it not for what is in them."""

from __future__ import annotations

import numpy as np


def noise_like(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of a patch's mean colour and power spectrum, uint8: its phases are drawn anew, the same for all channels,
    so that colours go together as they did (Theiler et al. 1992, surrogate data).
    """
    pixels = patch.astype(np.float64)
    mean = pixels.mean((0, 1))
    spectrum = np.fft.fft2(pixels - mean, axes=(0, 1))
    turned = np.fft.fft2(rng.standard_normal(pixels.shape[:2]))
    turned /= np.maximum(np.abs(turned), 1e-12)
    noise = np.fft.ifft2(spectrum * turned[..., None], axes=(0, 1)).real
    return np.clip(np.rint(noise + mean), 0, 255).astype(np.uint8)
