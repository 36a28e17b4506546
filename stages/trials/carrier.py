"""The part of an image that carries what a position says for a class: found by taking parts out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from activation_atlas.stages.intervention import Rect, around, inpaint

SIDES = (1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8)
"""Sides of the rectangles that are tried, as shares of the image's."""
KEEP = 0.95
"""Share of the most that any rectangle took from the logit that a smaller one must take, to be enough."""


AT_ONCE = 9
"""Images that are scored at once, at most."""
Scores = Callable[[np.ndarray], np.ndarray]
"""Images uint8 (n, h, w, c) to the scores of all classes, (n, K)."""


def carrier(image: np.ndarray, centre: tuple[float, float], kind: int, scores: Scores) -> tuple[Rect, float, float]:
    """The smallest rectangle that carries nearly all, from coarse to fine.

    Nine rectangles about the position, then nine within the best of them, and so on while what the class's logit loses
    by the best (:func:`inpaint`) is at least :data:`KEEP` of the most that it lost so far.

    Args:
        image: uint8 (h, w, c).
        centre: (y, x) the pixel at the middle of the position.
        kind: the class.

    Returns:
        the rectangle, what the logit loses by it, and the most that it loses by any. Where it loses nothing by the
        first, that is a quarter of the image's sides about the position.
    """
    size, before = image.shape[:2], float(scores(image[None])[0, kind])
    found: Rect | None = None
    reached = most = 0.0
    wide = 1.5 * SIDES[0]  # the first may lie a quarter of its side off the position
    for side in SIDES:
        shape = max(1, round(size[0] * side)), max(1, round(size[1] * side))
        steps = [(wide - side) / 2 * whole for whole in size]
        rects = sorted(
            {
                around((centre[0] + a * steps[0], centre[1] + b * steps[1]), shape, size)
                for a in (-1, 0, 1)
                for b in (-1, 0, 1)
            }
        )
        loss = before - scores(np.stack([inpaint(image, rect) for rect in rects]))[:, kind]
        best = int(loss.argmax())
        if loss[best] <= 0 or loss[best] < KEEP * most:
            break
        found, reached, most = rects[best], float(loss[best]), max(most, float(loss[best]))
        centre = (found[0] + found[2] - 1) / 2, (found[1] + found[3] - 1) / 2
        wide = side
    if found is None:
        shape = max(1, round(size[0] / 4)), max(1, round(size[1] / 4))
        found = around(centre, shape, size)
        reached = before - float(scores(inpaint(image, found)[None])[0, kind])
    return found, reached, most
