"""An image brought to the model's size, and boxes there and back.

Sizes are (height, width); boxes are (left, top, right, bottom) in pixel edges, so that a whole image is
(0, 0, width, height). Where an image lies on the model's input is said by :func:`_placement` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from PIL import Image

from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.vision.images.reading import MAX_PIXELS, array_of, upright
from activation_atlas.stages.vision.images.sampling import sampled
from activation_atlas.stages.vision.levels import Levels

Crop = Literal["center", "none", "pad"]
Interpolation = Literal["bilinear", "bicubic", "lanczos", "nearest"]

GREY = 128
"""What `pad` fills with, where nothing else is said."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Fit:
    """How an image is brought to the model's size.

    Attributes:
        crop: ``center`` takes the largest centred rectangle of the target's shape (a square for a square), ``none``
            squashes, ``pad`` keeps the whole image and fills the rest with grey.
        share: of the sides of that rectangle, what is taken of it, about its middle: 0.875 is what resizing the
            shorter side to 256 and cutting 224 out of the middle gives, at whole pixels of the resized image.
        interpolation: bilinear, bicubic (a = -1/2), lanczos (three lobes) or nearest.
        antialias: the filter is as wide as the larger of the two pixels; without, it spans pixels of the image.
        fill: the grey around a padded image, 0 to 255.
    """

    crop: Crop = "center"
    share: float = 1.0
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    fill: int = GREY

    def __post_init__(self) -> None:
        if self.crop not in get_args(Crop):
            raise ValueError(f"crop is center, none or pad, not {self.crop!r}")

    @staticmethod
    def of(images: ImagesSpec) -> Fit:
        """As the section `images` says, ``settled`` with what the model brings along."""
        share, antialias = images.crop_share or 1.0, images.antialias is not False
        fill = GREY if images.fill is None else images.fill
        return Fit(images.crop or "center", share, images.interpolation or "bilinear", antialias, fill)

    @staticmethod
    def named(crop: Crop | Fit) -> Fit:
        """A name alone has no share, and is antialiased bilinear."""
        return crop if isinstance(crop, Fit) else Fit(crop)

    @property
    def to_look_at(self) -> Fit:
        """The same part of an image in finer pixels, or of a mask: resampled as pictures are."""
        return replace(self, interpolation="bilinear", antialias=True)


def decode_to(
    data: bytes,
    size: tuple[int, int],
    crop: Crop | Fit = "center",
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    levels: Levels | None = None,
) -> np.ndarray:
    """``fit_size(decode(data), size, crop)`` without the array between."""
    return array_of(_fitted(upright(data, channels, max_pixels, levels), size, Fit.named(crop)))


def fit_size(
    image: np.ndarray, size: tuple[int, int], crop: Crop | Fit = "center", fill: int | None = None
) -> np.ndarray:
    """A uint8 (height, width, channels) image brought to ``size`` = (height, width), as :class:`Fit` says.

    ``pad`` fills with its grey, or with ``fill``.
    """
    flat = image[:, :, 0] if image.shape[2] == 1 else image
    return array_of(_fitted(Image.fromarray(np.ascontiguousarray(flat)), size, Fit.named(crop), fill))


def source_box(
    box: Box,
    upright: tuple[int, int],
    size: tuple[int, int],
    crop: Crop | Fit = "center",
    clip: bool = True,
) -> Box:
    """Where a box of the model's input lies in the upright image.

    Args:
        box: (left, top, right, bottom) in pixels of the model's input.
        upright: (height, width) of the decoded image.
        size: (height, width) it was brought to, with ``crop``.
        clip: cut off what lies outside the image (receptive fields often reach
            past it). A box that lies wholly in the padding comes back empty.

    Returns:
        (left, top, right, bottom) in pixels of the upright image.
    """
    height, width = upright
    (x0, y0, x1, y1), (left, top, right, bottom) = _placement(upright, size, Fit.named(crop))
    across, down = (x1 - x0) / (right - left), (y1 - y0) / (bottom - top)
    found = (
        x0 + (box[0] - left) * across,
        y0 + (box[1] - top) * down,
        x0 + (box[2] - left) * across,
        y0 + (box[3] - top) * down,
    )
    if not clip:
        return found
    xs, ys = ([min(max(v, 0.0), float(end)) for v in found[k::2]] for k, end in enumerate((width, height)))
    return xs[0], ys[0], xs[1], ys[1]


def input_box(box: Box, upright: tuple[int, int], size: tuple[int, int], crop: Crop | Fit = "center") -> Box:
    """Where a box of the upright image lies in the model's input: :func:`source_box` the other way, cut at the border.

    A box that the crop leaves out comes back without width or height.
    """
    (x0, y0, x1, y1), (left, top, right, bottom) = _placement(upright, size, Fit.named(crop))
    across, down = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
    xs = [min(max(left + (x - x0) * across, left), right) for x in box[::2]]
    ys = [min(max(top + (y - y0) * down, top), bottom) for y in box[1::2]]
    return xs[0], ys[0], xs[1], ys[1]


def _placement(upright: tuple[int, int], size: tuple[int, int], fit: Fit) -> tuple[Box, tuple[int, int, int, int]]:
    """(box taken from the image, box it fills in the target); whole pixels both, but for a share of the crop."""
    (height, width), (rows, cols) = upright, size
    filled = (0, 0, cols, rows)
    if fit.crop == "none":
        return (0, 0, width, height), filled
    if fit.crop == "pad":
        scale = min(cols / width, rows / height)
        w, h = min(cols, max(1, round(width * scale))), min(rows, max(1, round(height * scale)))
        x, y = (cols - w) // 2, (rows - h) // 2
        return (0, 0, width, height), (x, y, x + w, y + h)
    wider = width * rows >= height * cols
    if fit.share != 1:
        # As torchvision's Resize and CenterCrop: whole pixels of the resized image, or half of all would be blurred.
        least = round((rows if wider else cols) / fit.share)
        down, right = (least, int(least * width / height)) if wider else (int(least * height / width), least)
        y, x = round((down - rows) / 2), round((right - cols) / 2)
        vertical, across = height / down, width / right
        return (x * across, y * vertical, (x + cols) * across, (y + rows) * vertical), filled
    if wider:
        w, h = min(width, max(1, round(height * cols / rows))), height
    else:
        w, h = width, min(height, max(1, round(width * rows / cols)))
    x, y = (width - w) // 2, (height - h) // 2
    return (x, y, x + w, y + h), filled


def _fitted(image: Image.Image, size: tuple[int, int], fit: Fit, fill: int | None = None) -> Image.Image:
    taken, filled = _placement((image.height, image.width), size, fit)
    if fit.share == 1 and taken != (0, 0, image.width, image.height):
        # Cropped first: resized out of the whole, the filter would see pixels beyond the box. Of a share it does, as
        # where the whole image is resized and then cut.
        image = image.crop(taken)
        taken = (0, 0, image.width, image.height)
    scaled = (filled[2] - filled[0], filled[3] - filled[1])
    if taken != (0, 0, *scaled) or image.size != scaled:
        if fit.antialias or fit.interpolation == "nearest":
            image = image.resize(scaled, Image.Resampling[fit.interpolation.upper()], box=taken)
        else:
            image = Image.fromarray(sampled(np.asarray(image), taken, scaled[::-1], fit.interpolation))
    if scaled != (size[1], size[0]):
        grey = fit.fill if fill is None else fill
        whole = Image.new(image.mode, (size[1], size[0]), (grey,) * len(image.getbands()))
        whole.paste(image, filled[:2])
        image = whole
    return image
