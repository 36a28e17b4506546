"""Superpixels: an image cut into segments that are shown or hidden as a whole."""

from __future__ import annotations

from typing import Literal

import numpy as np

How = Literal["slic", "quickshift", "felzenszwalb", "grid"]
"""Ways to cut: of scikit-image, and equal rectangles."""

COMPACTNESS = 20.0
"""Of SLIC: twice scikit-image's own value, at which photographs give the segments that are asked for, and not half."""


def superpixels(pixels: np.ndarray, how: How, count: int) -> np.ndarray:
    """An image's segments, numbered from 0 without a gap; each is connected, but for some of ``quickshift``.

    ``slic`` (Achanta et al. 2012) about as many as asked; ``quickshift`` (Vedaldi & Soatto 2008), with the kernel that
    LIME's image explainer has, and ``felzenszwalb`` (Felzenszwalb & Huttenlocher 2004) as many as they find; of what
    is too many, those nearest in colour are joined; an image in which less than two are found is cut into a ``grid``.
    Nothing is drawn at random.

    Args:
        pixels: uint8 (h, w, c), c 1 or 3.
        count: segments at most, 2 or more.

    Returns:
        int32 (h, w).
    """
    height, width = pixels.shape[:2]
    if how == "grid":
        return grid((height, width), count)
    from skimage import segmentation

    colour = np.repeat(pixels, 3 // pixels.shape[2], 2)
    scale = min(height, width) / 224
    if how == "slic":
        found = segmentation.slic(colour, count, compactness=COMPACTNESS, sigma=scale, start_label=0)
    elif how == "quickshift":
        found = segmentation.quickshift(colour, kernel_size=max(1.0, 4 * scale), max_dist=200, ratio=0.2, rng=42)
    else:
        least = max(2, height * width // (4 * count))
        found = segmentation.felzenszwalb(colour, scale=100, sigma=0.8 * scale, min_size=least)
    labels = joined(numbered(found), colour, count)
    return labels if labels.max() else grid((height, width), count)


def grid(size: tuple[int, int], count: int) -> np.ndarray:
    """Equal rectangles, as near to squares as can be, int32 of ``size``; ``count`` of them at most."""
    height, width = size
    shapes = [(rows, min(width, count // rows)) for rows in range(1, min(height, count) + 1)]
    # The most cells that are at most half as long again one way as the other; if there are none, the squarest.
    sides = [max(height / r * c / width, width / c * r / height) for r, c in shapes]
    rows, cols = max(zip(shapes, sides, strict=True), key=lambda s: (s[1] <= 1.5, s[0][0] * s[0][1], -s[1]))[0]
    down, right = np.arange(height) * rows // height, np.arange(width) * cols // width
    return (down[:, None] * cols + right[None]).astype(np.int32)


def numbered(labels: np.ndarray) -> np.ndarray:
    """Any whole numbers (h, w) as 0, 1, 2, ... in rising order of what they were, int32."""
    _, found = np.unique(labels, return_inverse=True)
    return found.reshape(labels.shape).astype(np.int32)


def joined(labels: np.ndarray, colour: np.ndarray, count: int) -> np.ndarray:
    """Segments (h, w), neighbours joined until there are ``count`` at most: those whose mean colours are nearest.

    By Ward's criterion over the segments' mean colours.
    """
    if labels.max() < count:
        return labels
    from scipy.sparse import coo_matrix
    from sklearn.cluster import AgglomerativeClustering

    pairs = np.concatenate(
        [np.stack([a.ravel(), b.ravel()]) for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]))], 1
    )
    size = int(labels.max()) + 1
    near = coo_matrix((np.ones(pairs.shape[1]), pairs), (size, size)).tocsr()
    cluster = AgglomerativeClustering(count, connectivity=near + near.T, linkage="ward")
    return numbered(cluster.fit_predict(means(labels, colour))[labels])


def means(labels: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Mean colour of each segment, float64 (segments, c)."""
    flat = labels.reshape(-1)
    sums = np.stack([np.bincount(flat, channel) for channel in pixels.reshape(len(flat), -1).T], 1)
    return sums / np.bincount(flat)[:, None]
