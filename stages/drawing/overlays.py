"""Pictures of attribution maps: enlarged, coloured, laid over the photograph they explain.

Sizes are (height, width) in pixels. Where a map lies on the model's input its :class:`~stages.vision.place.Place`
says; where that lies on the photograph, :func:`stages.vision.images.source_box`.

Two colour scales. Unsigned maps: from 0, transparent, to ``top``. Signed ones: red for, blue against, transparent at
0. Both are told apart by colour-blind readers, and the photograph shows where a map says little. What is not finite
is hatched grey and never a colour.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from activation_atlas.stages.caches import cached
from activation_atlas.stages.drawing.numbers import short
from activation_atlas.stages.vision.images import Crop, Fit, source_box
from activation_atlas.stages.vision.place import Box, How, Place

SIGNED, UNSIGNED = "RdBu_r", "inferno"
"""Names of matplotlib's colour maps."""

_LOWEST = 0.25  # the unsigned map begins here: what is darker looks like shadow on a photograph
_SIGNED_ENDS = (0.08, 0.92)  # beyond them red and blue turn to brown and black
_FULL = 0.6  # share of the top from which on a colour has its whole opacity
_GREY = 150  # of the hatching


def scale(values: np.ndarray | Iterable[np.ndarray], signed: bool) -> float:
    """Top of the colour scale of maps that are shown together, > 0.

    The 99th percentile of the absolute values (of the positive part where maps are unsigned), rounded up to two
    digits; the largest value where fewer than a hundredth are not zero; 1 where all are.
    """
    maps = [values] if isinstance(values, np.ndarray) else list(values)
    flat = np.concatenate([np.ravel(m) for m in maps]) if maps else np.zeros(0)
    flat = flat[np.isfinite(flat)].astype(np.float64)
    flat = np.abs(flat) if signed else np.maximum(flat, 0)
    if not flat.any():
        return 1.0
    top = float(np.percentile(flat, 99)) or float(flat.max())
    step = 10.0 ** (np.floor(np.log10(top)) - 1)
    return float(np.ceil(top / step - 1e-9) * step)


def coloured(values: np.ndarray, top: float, signed: bool) -> np.ndarray:
    """A map (H, W) as colours, uint8 RGBA (H, W, 4); values beyond ``top`` take the colour of ``top``."""
    finite = np.isfinite(values)
    share = np.clip(np.where(finite, values, 0) / top, -1 if signed else 0, 1)
    colours = _colours(signed)[np.rint(127.5 * (share + 1) if signed else 255 * share).astype(int)]
    alpha = np.clip(np.abs(share) / _FULL, 0, 1)
    alpha = alpha * alpha * (3 - 2 * alpha)  # smooth at both ends: no edge where the colour sets in
    painted = np.concatenate([colours, np.rint(255 * alpha).astype(np.uint8)[..., None]], -1)
    if not finite.all():
        down, right = np.indices(values.shape)
        period = max(8, min(values.shape) // 40)  # as wide on a large photograph as on a small one
        line = (down + right) % period < period // 2
        hatch = np.where(line[..., None], (_GREY, _GREY, _GREY, 255), (_GREY, _GREY, _GREY, 110)).astype(np.uint8)
        painted = np.where(finite[..., None], painted, hatch)
    return painted


@cached(2)
def _colours(signed: bool) -> np.ndarray:
    """256 colours, uint8 (256, 3)."""
    from matplotlib import colormaps

    name, ends = (SIGNED, _SIGNED_ENDS) if signed else (UNSIGNED, (_LOWEST, 1.0))
    return np.rint(255 * colormaps[name](np.linspace(*ends, 256))[:, :3]).astype(np.uint8)


def overlay(
    photo: np.ndarray,
    values: np.ndarray,
    top: float,
    signed: bool,
    opacity: float,
    contour: float | None = None,
) -> np.ndarray:
    """A map over the photograph, both (H, W), uint8 (H, W, 3).

    Args:
        photo: uint8 (H, W, 3).
        opacity: of the colours of the top of the scale, 0 to 1.
        contour: a line around the pixels whose value reaches this share of ``top``, in (0, 1]. A share and not a
            quantile: a map that says little gets no line.
    """
    painted = coloured(values, top, signed)
    alpha = painted[..., 3:] * np.float32(opacity / 255)
    mixed = np.rint(photo * (1 - alpha) + painted[..., :3] * alpha).astype(np.uint8)
    if contour is not None:
        _outline(mixed, np.where(np.isfinite(values), values, 0) >= contour * top)
    return mixed


def _outline(pixels: np.ndarray, inside: np.ndarray) -> None:
    """Draws a white line, edged in black, along the border of a region; it reads on any photograph."""
    width = max(1, round(min(inside.shape) / 250))
    grown = inside
    for step, colour in ((width, 255), (1, 0)):
        before = grown
        for _ in range(step):
            grown = _dilated(grown)
        pixels[grown & ~before] = colour


def boxed(pixels: np.ndarray, box: tuple[float, ...]) -> None:
    """Draws a frame into uint8 pixels (H, W, 3), white edged in black as :func:`overlay` draws lines.

    ``box``: left, top, right, bottom as shares of the picture.
    """
    height, width = pixels.shape[:2]
    inside = np.zeros((height, width), bool)
    left, right = (round(share * width) for share in box[::2])
    top, bottom = (round(share * height) for share in box[1::2])
    # A frame of three pixels lies within the picture even where the box is all of it.
    inside[max(top + 3, 3) : min(bottom, height) - 3, max(left + 3, 3) : min(right, width) - 3] = True
    _outline(pixels, inside)


def _dilated(mask: np.ndarray) -> np.ndarray:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def seen(upright: tuple[int, int], size: tuple[int, int], crop: Crop | Fit) -> tuple[int, int, int, int]:
    """What the model sees of a photograph: (left, top, right, bottom) in pixels of the upright image."""
    left, top, right, bottom = source_box((0, 0, size[1], size[0]), upright, size, crop)
    return round(left), round(top), round(right), round(bottom)


def placed(
    values: np.ndarray,
    upright: tuple[int, int],
    size: tuple[int, int],
    crop: Crop | Fit,
    how: How = "bilinear",
    factor: int = 1,
    place: Place | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What of a map lies on the photograph, at the size of :func:`seen` times ``factor``.

    Args:
        values: (h, w), of any resolution.
        upright: size of the photograph.
        size: of the model's input, to which the photograph was brought with ``crop``.
        place: where the map lies on that; default: evenly over all of it.

    Returns:
        The surface, float32, and where the map covers the photograph, bool.
    """
    left, top, right, bottom = seen(upright, size, crop)
    x0, y0, x1, y1 = source_box((0, 0, size[1], size[0]), upright, size, crop, clip=False)
    across, down = size[1] / (x1 - x0), size[0] / (y1 - y0)
    box: Box = ((left - x0) * across, (top - y0) * down, (right - x0) * across, (bottom - y0) * down)
    box = (max(box[0], 0), max(box[1], 0), min(box[2], size[1]), min(box[3], size[0]))
    place, shape = place or Place.even(values.shape, size), (factor * (bottom - top), factor * (right - left))
    return place.surface(values, box, shape, how), place.covered(box, shape)


def laid(
    photo: np.ndarray,
    values: np.ndarray,
    size: tuple[int, int],
    crop: Crop | Fit,
    top: float,
    signed: bool,
    opacity: float,
    how: How = "bilinear",
    contour: float | None = None,
    factor: int = 1,
    fade: bool = False,
    place: Place | None = None,
) -> np.ndarray:
    """A map on the whole upright photograph, uint8 (factor H, factor W, 3).

    What the model does not see is dimmed, and so is what the map does not cover.

    Args:
        photo: uint8 (H, W, 3) or (H, W, 1), upright.
        values, size, crop, place: as for :func:`placed`.
        opacity, contour: as for :func:`overlay`.
        factor: shows every pixel as a square of so many; see :func:`magnification`.
        fade: draws on a light grey print of the photograph: colours of single pixels drown in its own.
    """
    upright = photo.shape[:2]
    left, above, right, below = (factor * v for v in seen(upright, size, crop))
    photo = np.repeat(np.repeat(np.broadcast_to(photo, (*upright, 3)), factor, 0), factor, 1)
    within = (slice(above, below), slice(left, right))
    picture = _grey(photo, 0.33, 100)  # duller than the light print within
    under = _grey(photo[within], 0.4, 153) if fade else photo[within]
    surface, covered = placed(values, upright, size, crop, how, factor, place)
    drawn = overlay(under, np.where(covered, surface, 0), top, signed, opacity, contour)
    picture[within] = np.where(covered[..., None], drawn, picture[within])
    return picture


def _grey(photo: np.ndarray, contrast: float, black: int) -> np.ndarray:
    """Without colours, the luma's range narrowed and its black lifted to ``black``."""
    luma = photo @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat(np.rint(contrast * luma + black).astype(np.uint8)[..., None], 3, -1)


def magnification(upright: tuple[int, int], least: int = 224) -> int:
    """The whole factor by which a photograph is enlarged so that its longer side has ``least`` pixels, at least 1."""
    return max(1, -(-least // max(upright)))


def bar(top: float, signed: bool, width: int, height: int, opacity: float) -> np.ndarray:
    """The colour scale as it looks on a light photograph (upper half) and on a dark one, uint8 (height, width, 3)."""
    ramp = np.linspace(-top if signed else 0.0, top, width)[None].repeat(height, 0)
    under = np.full((height, width, 3), 245, np.uint8)
    under[height // 2 :] = 40
    return overlay(under, ramp, top, signed, opacity)


def ticks(top: float, signed: bool) -> list[tuple[float, str]]:
    """Where the bar is numbered: (share of its width, number)."""
    shares = (-1.0, -0.5, 0.0, 0.5, 1.0) if signed else (0.0, 0.5, 1.0)
    return [((s + 1) / 2 if signed else s, short(s * top, signed)) for s in shares]
