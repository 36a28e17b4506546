"""From a file's bytes to pixels at the model's size, and from the model's pixels back to the photograph.

Sizes are (height, width); boxes are (left, top, right, bottom) in pixel edges,
so that a whole image is (0, 0, width, height). Pillow does the work and
releases the GIL while it decodes and resizes: a pool of threads scales.

JPEG's reduced-size decoding (``Image.draft``) is not used: it is a different
filter and gives different pixels.
"""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from activation_atlas.stages.vision.levels import Levels, Span, colours_of, eight_bit, is_wide, span

Crop = Literal["center", "none", "pad"]

MAX_PIXELS = 178_956_970
"""Default limit on width x height; the same as Pillow's own."""

GREY = 128
"""What `pad` fills with."""

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .bmp .dib .webp .tif .tiff .ppm .pgm .pbm .pnm"
    " .jp2 .j2k .jpx .avif .avifs .ico .heic .heif".split()
)
"""What a folder's files must end in (lower case) to be taken for images; HEIC so that its rejection is seen."""

# Tried in this order. Left out: what runs other programs (EPS), documents, and TGA, which any bytes may pass for.
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO")

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What is often found under an image's name, by how it begins.
_BEGINNINGS = (
    (rb"\xff\xd8\xff", "a damaged JPEG"),
    (rb"\x89PNG", "a damaged PNG"),
    (rb"GIF8", "a damaged GIF"),
    (rb"RIFF....WEBP", "a damaged WebP"),
    (rb"II\*\0|MM\0\*", "a damaged TIFF"),
    (rb"\0\0\0\x0cjP  ", "a damaged JPEG 2000"),
    (rb"....ftypavi[fs]", "a damaged AVIF"),
    (rb"....ftyp(heic|heix|heim|heis|hevc|mif1|msf1)", "a HEIC photograph, which is not read here: convert it to JPEG"),
    (rb"....ftyp", "a video"),
    (rb"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (rb"%PDF", "a PDF"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"\s*<(svg|\?xml)", "an SVG drawing"),
    (rb"\s*<(!doctype|html)", "a web page"),
)

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # sizes are checked below
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # corrupt EXIF and the like


class ImageError(Exception):
    """An image that cannot be used; ``reason`` is one line for the `rejects` table."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def probe(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) as stored, before any EXIF rotation, from the header alone.

    Raises:
        ImageError: empty, not an image, or more than ``max_pixels`` pixels.
    """
    image = _open(data, max_pixels)
    # Pillow turns TIFFs by itself, and says the size it will turn them to.
    turned = image.format == "TIFF" and _orientation(image) > 4
    return image.size[::-1] if turned else image.size


def is_series(data: bytes, max_pixels: int = MAX_PIXELS) -> bool:
    """Whether a file holds several pages or frames, of which the first is read; raises ImageError as :func:`probe`."""
    image = _open(data, max_pixels)
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))  # MPO: the others are previews
    except Exception:  # a damaged second frame, which nobody reads
        return False


def measure(data: bytes, max_pixels: int = MAX_PIXELS) -> Span | None:
    """The values that an image of more than 8 bits a channel holds; None of others, which are not decoded.

    Raises:
        ImageError: as :func:`decode`.
    """
    image = _open(data, max_pixels)
    if not is_wide(image):
        return None
    colours = colours_of(image)
    try:
        image.load()
        return span(image, colours)
    except Exception as error:
        raise ImageError(f"cannot be decoded: {_line(error)}") from None


def decode(data: bytes, channels: int = 3, max_pixels: int = MAX_PIXELS, levels: Levels | None = None) -> np.ndarray:
    """Pixels as uint8 (height, width, channels), upright by EXIF.

    RGB for 3 channels, luma (ITU-R 601) for 1. Transparency is shown on white.
    More than 8 bits a channel are brought to 8 as :mod:`stages.vision.levels` says,
    or such that ``levels`` are black and white. Of an animation, the first frame. The format is recognised by the
    content, never by the name.

    Raises:
        ImageError: empty, truncated, not an image, or more than ``max_pixels`` pixels.
    """
    return _array(_upright(data, channels, max_pixels, levels))


def decode_to(
    data: bytes,
    size: tuple[int, int],
    crop: Crop = "center",
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    levels: Levels | None = None,
) -> np.ndarray:
    """``fit_size(decode(data), size, crop)`` without the array between."""
    return _array(_fit(_upright(data, channels, max_pixels, levels), size, crop))


def fit_size(image: np.ndarray, size: tuple[int, int], crop: Crop = "center", fill: int = GREY) -> np.ndarray:
    """A uint8 (height, width, channels) image brought to ``size`` = (height, width).

    Antialiased bilinear. ``center`` first takes the largest centred rectangle of
    the target's shape (a square for a square), ``none`` squashes, ``pad`` keeps
    the whole image and fills the rest with grey, or with ``fill``.
    """
    flat = image[:, :, 0] if image.shape[2] == 1 else image
    return _array(_fit(Image.fromarray(np.ascontiguousarray(flat)), size, crop, fill))


def source_box(
    box: tuple[float, float, float, float],
    upright: tuple[int, int],
    size: tuple[int, int],
    crop: Crop = "center",
    clip: bool = True,
) -> tuple[float, float, float, float]:
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
    (x0, y0, x1, y1), (left, top, right, bottom) = _placement(upright, size, crop)
    across, down = (x1 - x0) / (right - left), (y1 - y0) / (bottom - top)
    found = [
        x0 + (box[0] - left) * across,
        y0 + (box[1] - top) * down,
        x0 + (box[2] - left) * across,
        y0 + (box[3] - top) * down,
    ]
    if clip:
        found = [min(max(v, 0.0), float(end)) for v, end in zip(found, (width, height, width, height), strict=True)]
    return tuple(found)


def input_box(
    box: tuple[float, float, float, float], upright: tuple[int, int], size: tuple[int, int], crop: Crop = "center"
) -> tuple[float, float, float, float]:
    """Where a box of the upright image lies in the model's input: :func:`source_box` the other way, cut at the border.

    A box that the crop leaves out comes back without width or height.
    """
    (x0, y0, x1, y1), (left, top, right, bottom) = _placement(upright, size, crop)
    across, down = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
    xs = [min(max(left + (x - x0) * across, left), right) for x in box[::2]]
    ys = [min(max(top + (y - y0) * down, top), bottom) for y in box[1::2]]
    return xs[0], ys[0], xs[1], ys[1]


def _placement(upright: tuple[int, int], size: tuple[int, int], crop: Crop) -> tuple[tuple, tuple]:
    """(box taken from the image, box it fills in the target), whole pixels both."""
    (height, width), (rows, cols) = upright, size
    whole, filled = (0, 0, width, height), (0, 0, cols, rows)
    if crop == "none":
        return whole, filled
    if crop == "center":
        if width * rows >= height * cols:  # the image is the wider one
            w, h = min(width, max(1, round(height * cols / rows))), height
        else:
            w, h = width, min(height, max(1, round(width * rows / cols)))
        x, y = (width - w) // 2, (height - h) // 2
        return (x, y, x + w, y + h), filled
    if crop == "pad":
        scale = min(cols / width, rows / height)
        w, h = min(cols, max(1, round(width * scale))), min(rows, max(1, round(height * scale)))
        x, y = (cols - w) // 2, (rows - h) // 2
        return whole, (x, y, x + w, y + h)
    raise ValueError(f"crop is center, none or pad, not {crop!r}")


def _fit(image: Image.Image, size: tuple[int, int], crop: Crop, fill: int = GREY) -> Image.Image:
    upright = (image.height, image.width)
    taken, filled = _placement(upright, size, crop)
    if taken != (0, 0, image.width, image.height):
        # Cropped first: `resize(box=...)` would let the filter see pixels beyond the box.
        image = image.crop(taken)
    scaled = (filled[2] - filled[0], filled[3] - filled[1])
    if image.size != scaled:
        image = image.resize(scaled, Image.Resampling.BILINEAR)
    if scaled != (size[1], size[0]):
        whole = Image.new(image.mode, (size[1], size[0]), (fill,) * len(image.getbands()))
        whole.paste(image, filled[:2])
        image = whole
    return image


def _array(image: Image.Image) -> np.ndarray:
    array = np.array(image)
    return array[:, :, None] if array.ndim == 2 else array


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise ImageError("the file is empty")
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # or Pillow refuses first
    if "ICO" not in Image.OPEN:
        Image.init()
    try:
        image = Image.open(BytesIO(data), formats=[f for f in _FORMATS if f in Image.OPEN])
    except UnidentifiedImageError:
        raise ImageError(_what(data)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"more than max_pixels = {max_pixels} pixels") from None
    except Exception as error:  # plugins raise anything on malformed headers
        raise ImageError(f"{_what(data)} ({_line(error)})") from None
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} pixels are more than max_pixels = {max_pixels}")
    if width * height == 0:
        raise ImageError(f"{width} x {height} pixels")
    return image


def _upright(data: bytes, channels: int, max_pixels: int, levels: Levels | None) -> Image.Image:
    if channels not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, not {channels}")
    image = _open(data, max_pixels)
    colours = colours_of(image)
    try:
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        image = eight_bit(image, colours, levels)
        image = image.convert("L" if channels == 1 else "RGB")
        return image.transpose(turn) if turn is not None else image
    except Exception as error:  # truncated or corrupt data, in as many ways as there are formats
        raise ImageError(f"cannot be decoded: {_line(error)}") from None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # unreadable EXIF says nothing about the pixels
        return 1


def _what(data: bytes) -> str:
    for pattern, name in _BEGINNINGS:
        if re.match(pattern, data[:64], re.DOTALL | re.IGNORECASE):
            return f"not a readable image: {name}"
    return f"not an image: begins with {data[:8]!r}"


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
