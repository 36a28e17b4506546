"""Images of more than 8 bits a channel: which values are black and white, and what is said where that is not certain.

Without levels, 16-bit images go from 0 to 65535. Wider integers and floats: [0, 1] and [0, 255] where all values lie
within, [0, 65535] of integers; others are stretched from their own darkest to their brightest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

Levels = tuple[float, float]
"""The values that are black and white; of negatives black is the larger."""

WHITE = 255
"""What transparent pixels are shown on, as a browser or a viewer shows them."""

_NARROW = 4  # one that reaches no more than a quarter of white: 14 bits of 16
_PHOTOMETRIC = 262  # tag of TIFF
_STEP = 257  # of 16 bits, where Pillow reads the upper 8 alone


@dataclass(frozen=True)
class Span:
    """What an image of more than 8 bits a channel holds.

    Attributes:
        darkest, brightest: its smallest and largest value; what is not finite counts as 0.
        white: what is white where no levels are given, and 0 is black; None where it is stretched.
        exact: False of 16-bit colours, of which the upper 8 bits alone are read.
    """

    darkest: float
    brightest: float
    white: float | None
    exact: bool = True

    @property
    def narrow(self) -> bool:
        """Whether it is nearly black as it is read."""
        return self.white is not None and 0 < self.brightest * _NARROW <= self.white


def is_wide(image: Image.Image) -> bool:
    """Whether a file that was opened, and not loaded yet, holds more than 8 bits a channel."""
    return image.mode.startswith("I;16") or image.mode in ("I", "F") or colours_of(image)


def span(image: Image.Image, colours: bool) -> Span:
    """Of an image that :func:`is_wide`, once it is loaded.

    Args:
        colours: whether it is of 16-bit colours.
    """
    if colours:
        values = np.asarray(image.convert("RGB")).astype(np.float64) * _STEP
        return Span(float(values.min()), float(values.max()), 65535.0, exact=False)
    values = _greys(image) if image.mode.startswith("I") else _finite(image)
    darkest, brightest = float(values.min()), float(values.max())
    return Span(darkest, brightest, _white(image.mode, darkest, brightest))


def eight_bit(image: Image.Image, colours: bool, levels: Levels | None) -> Image.Image:
    """Any mode as one that ``convert`` turns into RGB or L without loss of range or of transparency.

    Args:
        colours: whether it is of 16-bit colours.
        levels: what is black and white of an image of more than 8 bits a channel; others stay as they are.
    """
    if image.mode.startswith("I;16") and levels is None:
        wide = _greys(image).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode.startswith("I;16"):
        return Image.fromarray(_scaled(np.arange(65536.0), *levels)[_greys(image)])
    if image.mode in ("I", "F"):
        values = _finite(image)
        white = _white(image.mode, values.min(), values.max())
        own = (values.min(), values.max()) if white is None else (0.0, white)
        return Image.fromarray(_scaled(values, *(levels or own)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, (WHITE, WHITE, WHITE, 255))
        if colours and levels is not None:
            alpha = image.getchannel("A")
            image = _relevelled(image.convert("RGB"), levels)
            image.putalpha(alpha)
        return Image.alpha_composite(page, image)
    return _relevelled(image.convert("RGB"), levels) if colours and levels is not None else image


def colours_of(image: Image.Image) -> bool:
    """Whether a file that was opened, and not loaded yet, holds 16-bit colours, of which Pillow reads 8 bits."""
    modes = (part for tile in image.tile for part in (tile[3] if isinstance(tile[3], tuple) else (tile[3],)))
    return image.mode in ("RGB", "RGBA", "LA") and any(isinstance(part, str) and ";16" in part for part in modes)


def _relevelled(image: Image.Image, levels: Levels) -> Image.Image:
    return Image.fromarray(_scaled(np.asarray(image).astype(np.float64) * _STEP, *levels))


def _greys(image: Image.Image) -> np.ndarray:
    """Values of whole numbers, larger ones brighter: Pillow turns a TIFF whose white is 0 at 8 bits, and not at 16."""
    values = np.asarray(image)
    white_is_zero = image.mode.startswith("I;16") and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    return 65535 - values if white_is_zero else values


def _finite(image: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _white(mode: str, darkest: float, brightest: float) -> float | None:
    if mode.startswith("I;16") or (mode == "I" and darkest >= 0 and brightest <= 65535):  # in 32 bits: 16-bit grey
        return 65535.0
    if darkest < 0 or brightest > 255:
        return None
    return 1.0 if mode == "F" and brightest <= 1 else 255.0


def _scaled(values: np.ndarray, black: float, white: float) -> np.ndarray:
    scale = 255.0 / (white - black) if white != black else 0.0
    return np.rint(np.clip((values - black) * scale, 0.0, 255.0)).astype(np.uint8)


# -- what is said --------------------------------------------------------------------


def told(spans: Sequence[Span], levels: Levels | None, option: str) -> list[str]:
    """What makes images dark, or not comparable, and what mends it: a line each.

    Args:
        spans: of all images of more than 8 bits a channel.
        option: how levels are given, with BLACK and WHITE in it.
    """
    if levels is not None:
        return _told_with(spans, levels)
    said = []
    for white in (65535, 255, 1):
        fixed = [s for s in spans if s.white == white and s.brightest > 0]
        narrow = [s.brightest for s in fixed if s.narrow]
        if narrow:
            top, others = max(narrow), len(fixed) - len(narrow)
            reach = f"the largest value is {_number(top)} of {white}, which is nearly black"
            more = "1 other is" if others == 1 else f"{others} others are"
            hedge = f"; {more} brighter: where white is another in these, convert them, or" if others else ":"
            give = _option(option, 0, _bits(top) if white == 65535 else top)
            said.append(f"{_images(len(narrow))}: {reach}{hedge} give {give}")
    stretched = [s for s in spans if s.white is None]
    ones, bytes_ = ([s for s in spans if s.white == white and s.brightest > 0] for white in (1, 255))
    if ones and bytes_:
        said.append(
            f"{_images(len(ones))}: no value is above 1, which is read as white; in {len(bytes_)} more 255 is, so "
            f"that images cannot be compared: give {_option(option, 0, 255)} if these are dark images of the same kind"
        )
    if stretched:
        low, high = min(s.darkest for s in stretched), max(s.brightest for s in stretched)
        ends = f"values go from {_number(low)} to {_number(high)}"
        said.append(
            f"{_images(len(stretched))}: {ends}; each is stretched from its own darkest to its brightest, so that "
            f"images cannot be compared: give {_option(option, low, high)}"
        )
    return said


def _told_with(spans: Sequence[Span], levels: Levels) -> list[str]:
    if not spans:
        return ["levels are given, and no image holds more than 8 bits a channel: they change nothing"]
    said, (low, high) = [], sorted(levels)
    beyond = [s for s in spans if s.darkest < low or s.brightest > high]
    if beyond:
        ends = f"{_number(min(s.darkest for s in beyond))} to {_number(max(s.brightest for s in beyond))}"
        said.append(f"{_images(len(beyond))}: values go from {ends}, beyond the levels given: they are cut off there")
    coarse = [s for s in spans if not s.exact]
    if coarse and (high - low) * _NARROW <= 65535:
        said.append(
            f"{_images(len(coarse))}: of 16-bit colours the upper 8 bits are read, {round((high - low) / _STEP)} steps "
            "between the levels given; convert them to 8 bits to have more"
        )
    return said


def _option(option: str, black: float, white: float) -> str:
    return option.replace("BLACK", _number(black)).replace("WHITE", _number(white))


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'} of more than 8 bits a channel"


def _bits(value: float) -> int:
    """The largest number of as many bits, 8 at least: 4095 for 3000."""
    return max(255, 2 ** int(value).bit_length() - 1)


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
