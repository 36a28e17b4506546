"""From a file's bytes to pixels. Pillow does the work and releases the GIL meanwhile: a pool of threads scales.

JPEG's reduced-size decoding (``Image.draft``) is not used: it is a different
filter and gives different pixels.
"""

from __future__ import annotations

import re
import warnings
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from activation_atlas.stages.vision.levels import Levels, Span, colours_of, eight_bit, is_wide, span

MAX_PIXELS = 178_956_970
"""Default limit on width x height; the same as Pillow's own."""

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
    return array_of(upright(data, channels, max_pixels, levels))


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


def array_of(image: Image.Image) -> np.ndarray:
    """uint8 (height, width, channels), also of one channel."""
    array = np.array(image)
    return array[:, :, None] if array.ndim == 2 else array


def upright(data: bytes, channels: int, max_pixels: int, levels: Levels | None) -> Image.Image:
    """:func:`decode` without the array."""
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
