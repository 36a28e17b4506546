"""Numbers as pages and figures give them. A leaf."""

from __future__ import annotations

import math


def thousands(count: float) -> str:
    return f"{count:,.0f}"


def plural(count: int, one: str, more: str | None = None) -> str:
    return f"{thousands(count)} {one if count == 1 else more or one + 's'}"


def rough(count: float) -> str:
    """A count that is an estimate, of two digits."""
    return thousands(float(f"{count:.2g}"))


def file_size(count: int) -> str:
    """Bytes as kB or MB of a thousand, and no smaller than one kB."""
    return f"{count / 1e6:.1f} MB" if count >= 999_500 else f"{max(1, round(count / 1000))} kB"


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def probability(share: float) -> str:
    """A probability in percent; what would round to 0 or to 100 is said to be below or above."""
    return "> 99.9 %" if share >= 0.9995 else "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def short(value: float, signed: bool = False) -> str:
    """A value of two digits with a true minus; with its sign where there are both."""
    if value == 0:
        return "0"
    text = f"{value:+.2g}" if signed else f"{value:.2g}"
    if 100 <= abs(float(text)) < 1e6:  # 110, which is read at a glance, and not 1.1e+02
        text = f"{float(text):+,.0f}" if signed else f"{float(text):,.0f}"
    return text.replace("-", "−")


def figure(value: float, digits: int = 4, signed: bool = False) -> str:
    """A quantity of a few digits with a true minus."""
    if not math.isfinite(value):
        return "?"
    value = value or 0.0  # no -0
    text = f"{value:{'+' if signed else ''}.{digits}g}"
    return text.replace("-", "−")
