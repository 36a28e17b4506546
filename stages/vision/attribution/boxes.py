"""From a map to a box: what reaches a share of its largest value, or what the image's own colours make of it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from activation_atlas.stages.specs import PositiveInt, Spec
from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.attribution.methods.method import Options

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixel edges, so that a whole image is (0, 0, width, height)."""


class BoxesSpec(Spec):
    """How a box is found in each map; an empty section, `boxes: {}`, finds them."""

    by: Literal["auto", "threshold", "grabcut"] = Field(
        "auto",
        description="threshold: around what reaches a share of the map's largest value (Zhou et al. 2016); grabcut: "
        "around what the image's colours join to the map's highest pixels (Simonyan et al. 2014); auto: grabcut for "
        "maps of single pixels, threshold for all others",
    )
    threshold: float = Field(0.2, gt=0, lt=1, description="of threshold: share of the map's largest value")
    foreground: float = Field(
        0.95, gt=0, lt=1, description="of grabcut: pixels from this quantile of the map on are the thing"
    )
    background: float = Field(0.3, gt=0, lt=1, description="of grabcut: pixels up to this quantile are not")
    iterations: PositiveInt = Field(5, description="of grabcut: how often colours and borders are fitted in turn")

    @model_validator(mode="after")
    def _apart(self) -> BoxesSpec:
        if self.background >= self.foreground:
            raise ValueError(f"background: {self.background:g} must be below foreground: {self.foreground:g}")
        return self


def way(spec: BoxesSpec, options: Options) -> Literal["threshold", "grabcut"]:
    """The way that is gone: ``auto`` decides by what the maps of a method can tell apart."""
    if spec.by != "auto":
        return spec.by
    return "grabcut" if _of_pixels(options) else "threshold"


def _of_pixels(options: Options) -> bool:
    return METHODS[options.name].grain == "pixels" and not options.inner


def find(spec: BoxesSpec, options: Options, values: np.ndarray, pixels: np.ndarray) -> tuple[Box, float] | None:
    """The box that a map finds, and the share of the input that the piece within takes, as :func:`largest`.

    Args:
        values: the map of a method on the model's input, (H, W), NaN where nothing of it lies.
        pixels: uint8 (H, W, 1 or 3), what the model was shown.
    """
    if way(spec, options) == "threshold":
        return largest(thresholded(values, spec.threshold))
    # Beside each other single pixels speak for and against: where the thing is, both are strong.
    both = METHODS[options.name].signed and _of_pixels(options)
    colours = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return largest(cut(np.abs(values) if both else values, colours, spec))


def thresholded(values: np.ndarray, share: float) -> np.ndarray:
    """Pixels (H, W) above ``share`` of the map's largest value (Zhou et al. 2016: 20 %); none where none is positive.

    ``values``: NaN where nothing of the map lies.
    """
    values = np.nan_to_num(values, nan=-np.inf)
    return values > share * max(float(values.max()), 0.0)


def cut(values: np.ndarray, pixels: np.ndarray, spec: BoxesSpec) -> np.ndarray:
    """Pixels (H, W) that GrabCut (Rother, Kolmogorov & Blake 2004) takes for the thing, seeded by the map.

    The highest pixels are the thing and the lowest are not, for good (Simonyan, Vedaldi & Zisserman 2014: from the 95 %
    quantile on, and up to the 30 %); of the others, which are to be decided, those in the upper half begin as the
    thing. The same whatever ran before: the colours' first centres are drawn from a seed of their own.

    Args:
        values: NaN where nothing of the map lies: what is there is not the thing.
        pixels: uint8 (H, W, 3).
    """
    import cv2

    known = np.isfinite(values)
    low, middle, high = np.quantile(values[known], [spec.background, (spec.background + spec.foreground) / 2,
                                                    spec.foreground])  # fmt: skip
    values = np.where(known, values, -np.inf)
    marks = np.where(values > middle, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[values <= low] = cv2.GC_BGD
    marks[(values >= high) & (values > low)] = cv2.GC_FGD
    if not (marks == cv2.GC_FGD).any() or not (marks == cv2.GC_BGD).any():
        return marks == cv2.GC_FGD  # of one value: nothing to tell apart
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(np.ascontiguousarray(pixels), marks, None, *models, spec.iterations, cv2.GC_INIT_WITH_MASK)
    return (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)


def largest(inside: np.ndarray) -> tuple[Box, float] | None:
    """The box around the largest piece of ``inside`` (H, W) and the share of all pixels that the piece takes.

    Pixels that meet at a side are of one piece; of two as large the upper, then the left one. None where there is none.
    """
    from scipy.ndimage import find_objects, label

    pieces, count = label(inside)
    if not count:
        return None
    sizes = np.bincount(pieces.reshape(-1))[1:]
    best = int(sizes.argmax())
    rows, cols = find_objects(pieces)[best]
    box = (float(cols.start), float(rows.start), float(cols.stop), float(rows.stop))
    return box, float(sizes[best] / inside.size)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 where they do not meet."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    both = max(across, 0.0) * max(down, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both) if both else 0.0
