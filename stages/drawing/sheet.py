"""A sheet of paper measured in pixels: pictures, lines and lettering, saved as PNG, JPEG, PDF or SVG.

A thin layer over matplotlib's artists, without pyplot and so without global
state. Origin at the upper left, y downward. The same drawing gives the same
bytes: no dates, no software names, salted ids.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

PAPER = "#fdfdfb"
INK = "#1c1c1e"
QUIET = "#66666b"
FAINT = "#d9d9d4"
DPI = 100

FONTS = Path(__file__).parent.parent / "viewer" / "fonts"


@lru_cache(maxsize=1)
def _families() -> dict[str, Any]:
    """Regular and semibold lettering; DejaVu (part of matplotlib) where Source Sans lacks a sign."""
    from matplotlib.font_manager import FontProperties, fontManager

    found = {}
    for weight, file in (("regular", "SourceSansPro-Regular.ttf"), ("semibold", "SourceSansPro-Semibold.ttf")):
        fontManager.addfont(FONTS / file)
        entry = next(f for f in reversed(fontManager.ttflist) if Path(f.fname) == FONTS / file)
        found[weight] = FontProperties(family=[entry.name, "DejaVu Sans"], weight=entry.weight)
    return found


class Sheet:
    """A blank sheet of ``width`` x ``height`` pixels."""

    def __init__(self, width: int, height: int, paper: str = PAPER) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = int(width), int(height)
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor=paper)
        self._canvas = FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        self.axes.axis("off")

    def picture(self, pixels: np.ndarray, left: float, top: float, width: float, height: float) -> None:
        """uint8 RGB(A) pixels (h, w, 3 or 4) filling a rectangle; exact where it is as large as they are."""
        extent = (left, left + width, top + height, top)
        self.axes.imshow(pixels, extent=extent, interpolation="none", aspect="auto", zorder=2)
        self.axes.set(xlim=(0, self.width), ylim=(self.height, 0))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        weight: str = "regular",
        color: str = INK,
        halo: float = 0,
        ha: str = "left",
        va: str = "baseline",
        turn: float = 0,
    ) -> Any:
        """Lettering of ``size`` pixels; taken literally (a dollar sign starts no formula)."""
        from matplotlib.patheffects import Normal, withStroke

        properties = _families()[weight].copy()
        properties.set_size(size * 72 / DPI)
        effects = [withStroke(linewidth=2 * halo * 72 / DPI, foreground="white"), Normal()] if halo else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = self.axes.text(
                x, y, printable(words), fontproperties=properties, color=color, ha=ha, va=va, rotation=turn,
                parse_math=False, path_effects=effects, zorder=6, linespacing=1.0,
            )  # fmt: skip
        return drawn

    def box(self, drawn: Any) -> tuple[float, float, float, float]:
        """left, top, right, bottom of lettering, in pixels."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            extent = drawn.get_window_extent(self._canvas.get_renderer())
        return extent.x0, self.height - extent.y1, extent.x1, self.height - extent.y0

    def span(self, words: str, size: float, weight: str = "regular") -> float:
        """Width of one line of lettering in pixels."""
        drawn = self.text(0, 0, words, size, weight)
        left, _, right, _ = self.box(drawn)
        drawn.remove()
        return right - left

    def paragraph(
        self, x: float, y: float, words: str, size: float, width: float, leading: float = 1.35, **style: Any
    ) -> float:
        """Lettering broken into lines of at most ``width`` pixels; the baseline after the last one."""
        line = ""
        weight = style.get("weight", "regular")
        for word in words.split():
            longer = f"{line} {word}".strip()
            if line and self.span(longer, size, weight) > width:
                self.text(x, y, line, size, **style)
                y += leading * size
                line = word
            else:
                line = longer
        self.text(x, y, line, size, **style)
        return y + leading * size

    def fitted(self, words: str, size: float, width: float, weight: str = "regular") -> str:
        """``words`` cut to an ellipsis so as to span at most ``width`` pixels.

        A path of three levels or more loses its first ones: layers of one model, and files of one folder, share those.
        """
        if self.span(words, size, weight) <= width:
            return words
        path = max((word for word in words.split() if word.count("/") > 1), key=len, default="")
        levels = path.split("/")
        for k in range(1, len(levels)):
            words = words.replace(path, shorter := "/".join(["…", *levels[k:]]))
            if self.span(words, size, weight) <= width:
                return words
            path = shorter
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            if self.span(words[:middle].rstrip() + "…", size, weight) <= width:
                low = middle
            else:
                high = middle - 1
        return words[:low].rstrip() + "…"

    def line(
        self, x: Sequence[float], y: Sequence[float], color: str = INK, width: float = 1, dashes: Any = None
    ) -> None:
        style = {"linestyle": dashes} if dashes else {}
        self.axes.plot(x, y, color=color, linewidth=width * 72 / DPI, zorder=1, solid_capstyle="butt", **style)

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], color: str) -> None:
        """The area between two lines, pale and below all lines."""
        self.axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0, zorder=0.5)

    def dots(self, x: Sequence[float], y: Sequence[float], radius: float, color: str) -> None:
        area = (2 * radius * 72 / DPI) ** 2
        self.axes.scatter(x, y, s=area, c=color, linewidths=0, zorder=3)

    def square(self, left: float, top: float, side: float, color: str, edge: str | None = None) -> None:
        self.rectangle(left, top, side, side, color, edge)

    def rectangle(
        self, left: float, top: float, width: float, height: float, color: Any, edge: str | None = None
    ) -> None:
        from matplotlib.patches import Rectangle

        line = {"edgecolor": edge, "linewidth": 0.72} if edge else {"linewidth": 0}
        self.axes.add_patch(Rectangle((left, top), width, height, facecolor=color, zorder=2, **line))

    def bars(self, left: np.ndarray, base: float, width: float, heights: np.ndarray, color: str) -> None:
        """Bars of one width side by side, from ``base`` downward by ``heights`` (upward where these are negative)."""
        from matplotlib.collections import PolyCollection

        corners = [
            [(x, base), (x, base + h), (x + width, base + h), (x + width, base)]
            for x, h in zip(left, heights, strict=True)
        ]
        self.axes.add_collection(PolyCollection(corners, facecolors=color, linewidths=0, zorder=2))

    def pixels(self) -> np.ndarray:
        """uint8 RGB (height, width, 3)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()

    def png(self) -> bytes:
        return encoded(self.pixels(), "PNG")

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png()

    def vector(self, form: str) -> bytes:
        """``form``: pdf or svg."""
        import matplotlib

        dates = (
            {"CreationDate": None, "Creator": None, "Producer": None}
            if form == "pdf"
            else {"Date": None, "Creator": None}
        )
        out = BytesIO()
        options: Any = {"svg.hashsalt": "activation-atlas", "svg.fonttype": "path", "pdf.fonttype": 42}
        with matplotlib.rc_context(options), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.figure.savefig(out, format=form, metadata=dates, facecolor=self.figure.get_facecolor())
        return out.getvalue()


def printable(words: str) -> str:
    """Without control characters and halves of surrogate pairs, which no font can draw."""
    return "".join(
        c if c == "\n" or (c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF) else "\N{REPLACEMENT CHARACTER}"
        for c in words
    )


def encoded(pixels: np.ndarray, form: str, quality: int = 85) -> bytes:
    """uint8 RGB pixels as PNG, JPEG or WEBP bytes."""
    from PIL import Image

    out = BytesIO()
    options = {
        "PNG": {"compress_level": 6},
        "JPEG": {"quality": quality, "subsampling": 0, "optimize": True},
        "WEBP": {"quality": quality, "method": 4},
    }[form]
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, form, **options)
    return out.getvalue()


TINY = 128
"""Photographs with a shorter side below are kept without loss: of so few pixels each one counts."""


def photograph(pixels: np.ndarray) -> bytes:
    """uint8 RGB pixels of a photograph that the pages show large, as WebP bytes."""
    from PIL import Image

    out = BytesIO()
    options = {"lossless": True} if min(pixels.shape[:2]) < TINY else {"quality": 82}
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "WEBP", method=4, **options)
    return out.getvalue()
