"""What is in a rectangle taken out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from activation_atlas.stages.intervention.places import Rect


def inpaint(image: np.ndarray, rect: Rect) -> np.ndarray:
    """A copy in which the rectangle is blended from the pixels that border on it.

    The mean of the two linear blends, of what is above and below and of what is left and right, each pixel of the
    border counting for its row or column (Coons 1967 without the corners). Beyond the image's edge the opposite border
    stands; a rectangle as large as the image is left as it is.
    """
    top, left, bottom, right = rect
    height, width = image.shape[:2]
    source = image.astype(np.float64)
    down = (np.arange(1, bottom - top + 1) / (bottom - top + 1))[:, None, None]
    across = (np.arange(1, right - left + 1) / (right - left + 1))[None, :, None]
    above = source[top - 1, left:right][None] if top > 0 else None
    below = source[bottom, left:right][None] if bottom < height else None
    before = source[top:bottom, left - 1][:, None] if left > 0 else None
    behind = source[top:bottom, right][:, None] if right < width else None
    pairs = ((above, below, down), (before, behind, across))
    blends = [blend for one, other, share in pairs if (blend := _blend(one, other, share)) is not None]
    if not blends:
        return image.copy()
    changed = image.copy()
    blended = sum(np.broadcast_to(b, (bottom - top, right - left, image.shape[2])) for b in blends) / len(blends)
    changed[top:bottom, left:right] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return changed


def _blend(one: np.ndarray | None, other: np.ndarray | None, share: np.ndarray) -> np.ndarray | None:
    """From one border to the other, either of which stands for both where the other is beyond the edge."""
    if one is None or other is None:
        return one if other is None else other
    return (1 - share) * one + share * other


def blur(image: np.ndarray, rect: Rect) -> np.ndarray:
    """A copy in which the rectangle is as in the image blurred by a Gaussian of a quarter of its longer side."""
    from scipy.ndimage import gaussian_filter

    top, left, bottom, right = rect
    sigma = max(bottom - top, right - left) / 4
    reach = int(np.ceil(4 * sigma))
    a, b = max(0, top - reach), max(0, left - reach)
    around = image[a : bottom + reach, b : right + reach].astype(np.float64)
    soft = gaussian_filter(around, (sigma, sigma, 0), mode="nearest")
    changed = image.copy()
    changed[top:bottom, left:right] = np.clip(np.rint(soft[top - a : bottom - a, left - b : right - b]), 0, 255)
    return changed


REMOVALS: dict[str, Callable[[np.ndarray, Rect], np.ndarray]] = {"inpaint": inpaint, "blur": blur}
"""Those that need nothing but the image."""
