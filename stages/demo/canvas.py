"""A canvas to paint small textured pictures on: gradients, noise, shapes, light.

Coordinates are in units of the picture's side, x to the right and y downward.
Everything is painted at three times the final size and averaged down, which is
the antialiasing. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SCALE = 3


def colour(*rgb: float) -> np.ndarray:
    """Three numbers in [0, 1] as an array that broadcasts over a picture."""
    return np.array(rgb, np.float32)


def blend(a: Any, b: Any, t: float | np.ndarray) -> np.ndarray:
    """``a`` where t is 0, ``b`` where t is 1."""
    return a + (b - a) * t


def ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between (either may be the larger)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def byte(rgb: np.ndarray, alpha: float | None = None) -> tuple[int, ...]:
    """A colour for a pen."""
    values = tuple(int(v) for v in np.clip(np.asarray(rgb) * 255, 0, 255))
    return values if alpha is None else (*values, int(alpha * 255))


WHITE = colour(0.96, 0.95, 0.92)


class Canvas:
    """A square picture being painted.

    Attributes:
        rgb: float32 (S, S, 3) with S = SCALE * side.
        x, y: float32 (S, S), pixel centres in [0, 1].
        rng: the picture's own random numbers.
    """

    def __init__(self, side: int, rng: np.random.Generator):
        self.side, self.rng, self.size = side, rng, side * SCALE
        line = (np.arange(self.size, dtype=np.float32) + 0.5) / self.size
        self.x, self.y = np.meshgrid(line, line)
        self.rgb: np.ndarray = np.zeros((self.size, self.size, 3), np.float32)
        self._lattice = rng.random((64, 64), dtype=np.float32)

    # -- fields ---------------------------------------------------------------------------------------

    def noise(self, cells_x: float, cells_y: float | None = None, octaves: int = 4, gain: float = 0.5) -> np.ndarray:
        """Smooth noise over the picture, about [0, 1] with mean 0.5: ``octaves`` sizes of random cells."""
        cells_y = cells_x if cells_y is None else cells_y
        coarse = self.size // 2  # noise has no edges to keep: half the resolution is enough, and four times as fast
        total, weight, amount = np.zeros((coarse, coarse), np.float32), 0.0, 1.0
        for _ in range(octaves):
            w, h = max(2, round(cells_x) + 1), max(2, round(cells_y) + 1)
            if max(w, h) > coarse:
                break
            grid = Image.fromarray(self.rng.random((h, w), dtype=np.float32))
            total += amount * np.asarray(grid.resize((coarse, coarse), Image.Resampling.BICUBIC))
            weight, amount, cells_x, cells_y = weight + amount, amount * gain, cells_x * 2, cells_y * 2
        field = np.clip((total / weight - 0.5) * 1.6 + 0.5, 0, 1)
        return np.asarray(Image.fromarray(field).resize((self.size, self.size), Image.Resampling.BILINEAR))

    def lattice(self, u: np.ndarray, v: np.ndarray, octaves: int = 2, below: float = 0.0) -> np.ndarray:
        """Noise in [0, 1] at arbitrary coordinates (one cell per unit), for planes seen in perspective.

        Rows above ``below`` are left at 0.5.
        """
        first = max(0, int(below * self.size) - 4)
        if first:
            out = np.full(u.shape, 0.5, np.float32)
            out[first:] = self.lattice(u[first:], v[first:], octaves)
            return out
        total, weight, amount = np.zeros(u.shape, np.float32), 0.0, 1.0
        for _ in range(octaves):
            iu, iv = np.floor(u), np.floor(v)
            fu, fv = u - iu, v - iv
            fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
            a, b = iu.astype(np.int32) & 63, iv.astype(np.int32) & 63
            a1, b1 = (a + 1) & 63, (b + 1) & 63
            n = self._lattice
            top = n[b, a] * (1 - fu) + n[b, a1] * fu
            low = n[b1, a] * (1 - fu) + n[b1, a1] * fu
            total += amount * (top * (1 - fv) + low * fv)
            weight, amount, u, v = weight + amount, amount * 0.5, u * 2.03 + 17.1, v * 2.03 + 5.3
        return total / weight

    def ridge(self, cells: float, octaves: int = 5, gain: float = 0.5) -> np.ndarray:
        """A random line over x, (S,) in about [0, 1]."""
        total, weight, amount = np.zeros(self.size, np.float32), 0.0, 1.0
        where = self.x[0]
        for _ in range(octaves):
            knots = self.rng.random(int(cells) + 3).astype(np.float32)
            total += amount * np.interp(where * cells, np.arange(len(knots)), knots).astype(np.float32)
            weight, amount, cells = weight + amount, amount * gain, cells * 2
        return total / weight

    def glow(self, x: float, y: float, radius: float) -> np.ndarray:
        """A soft round light, 1 at its centre."""
        return np.exp(-((self.x - x) ** 2 + (self.y - y) ** 2) / (radius * radius))

    # -- masks: float32 (S, S) in [0, 1] --------------------------------------------------------------

    def polygon(self, points: list[tuple[float, float]]) -> np.ndarray:
        """The inside of a polygon."""
        image = Image.new("L", (self.size, self.size))
        ImageDraw.Draw(image).polygon([(x * self.size, y * self.size) for x, y in points], fill=255)
        return np.asarray(image, np.float32) / 255

    def disc(self, x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> np.ndarray:
        """The inside of an ellipse turned by ``turn`` radians."""
        u, v = self.turned(x, y, turn)
        return np.clip((1 - np.sqrt((u / rx) ** 2 + (v / (ry or rx)) ** 2)) * rx * self.size + 0.5, 0, 1)

    def turned(self, x: float, y: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates about (x, y), turned by ``turn`` radians."""
        cos, sin = math.cos(turn), math.sin(turn)
        return (self.x - x) * cos + (self.y - y) * sin, (self.y - y) * cos - (self.x - x) * sin

    def soften(self, mask: np.ndarray, radius: float) -> np.ndarray:
        """A mask blurred by ``radius`` (in sides)."""
        image = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
        return np.asarray(image.filter(ImageFilter.BoxBlur(radius * self.size)), np.float32) / 255

    # -- paint ----------------------------------------------------------------------------------------

    def fill(self, mask: np.ndarray, rgb: np.ndarray) -> None:
        """Covers with a colour or a picture where the mask is 1."""
        self.rgb += mask[..., None] * (rgb - self.rgb)

    def light(self, mask: np.ndarray, rgb: np.ndarray) -> None:
        """Adds light."""
        self.rgb += mask[..., None] * rgb

    def shade(self, mask: np.ndarray, amount: float) -> None:
        """Darkens by ``amount`` where the mask is 1."""
        self.rgb *= 1 - amount * mask[..., None]

    def pen(self) -> Pen:
        """Flat shapes, many at a time: ``with canvas.pen() as pen: pen.polygon(...)``."""
        return Pen(self)

    def finish(self) -> Image.Image:
        """The picture at its final size: grade, vignette, a little grain, averaged down."""
        rng = self.rng
        rows: Any = sum(self.rgb[i::SCALE] for i in range(SCALE))
        rgb: Any = sum(rows[:, i::SCALE] for i in range(SCALE)) / np.float32(SCALE * SCALE)
        rgb = rgb * (1 + colour(*rng.normal(0, 0.025, 3)))
        grey = rgb.mean(-1, keepdims=True)
        rgb = grey + (rgb - grey) * rng.uniform(0.95, 1.2)
        rgb = (rgb - 0.45) * rng.uniform(0.95, 1.12) + 0.45 + rng.normal(0, 0.015)
        middle = SCALE // 2
        x, y = self.x[middle::SCALE, middle::SCALE], self.y[middle::SCALE, middle::SCALE]
        rgb *= (1.04 - rng.uniform(0.1, 0.5) * ((x - 0.5) ** 2 + (y - 0.5) ** 2))[..., None]
        rgb += rng.normal(0, 0.012, rgb.shape)
        return Image.fromarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))


def pick(c: Canvas, options: list[tuple[float, float, float]]) -> np.ndarray:
    """One of several colours, a little varied."""
    rgb = colour(*options[c.rng.integers(len(options))])
    return np.clip(rgb * c.rng.uniform(0.88, 1.1) + c.rng.normal(0, 0.015, 3).astype(np.float32), 0, 1)


class Pen:
    """Draws flat shapes on a canvas; coordinates in sides, widths too."""

    def __init__(self, canvas: Canvas):
        self.canvas, self.size = canvas, canvas.size

    def __enter__(self) -> Pen:
        self._image = Image.fromarray((np.clip(self.canvas.rgb, 0, 1) * 255).astype(np.uint8))
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        return self

    def __exit__(self, *exception: object) -> None:
        self.canvas.rgb = np.asarray(self._image, np.float32) / 255

    def polygon(self, points: list[tuple[float, float]], rgb: np.ndarray, alpha: float = 1.0) -> None:
        self._draw.polygon([(x * self.size, y * self.size) for x, y in points], fill=byte(rgb, alpha))

    def ellipse(self, x: float, y: float, rx: float, ry: float, rgb: np.ndarray, alpha: float = 1.0) -> None:
        s = self.size
        self._draw.ellipse([(x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s], fill=byte(rgb, alpha))

    def box(self, x0: float, y0: float, x1: float, y1: float, rgb: np.ndarray, alpha: float = 1.0) -> None:
        s = self.size
        if x1 > x0 and y1 > y0:
            self._draw.rectangle([x0 * s, y0 * s, x1 * s, y1 * s], fill=byte(rgb, alpha))

    def line(self, points: list[tuple[float, float]], width: float, rgb: np.ndarray, alpha: float = 1.0) -> None:
        """A line with round joints and ends."""
        s = self.size
        thick = max(1, round(width * s))
        xy = [(x * s, y * s) for x, y in points]
        self._draw.line(xy, fill=byte(rgb, alpha), width=thick, joint="curve")
        if thick > 2 and alpha == 1:
            r = thick / 2
            for x, y in (xy[0], xy[-1]):
                self._draw.ellipse([x - r, y - r, x + r, y + r], fill=byte(rgb))
