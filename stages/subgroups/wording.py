"""A group in words."""

from __future__ import annotations

from typing import Any

from activation_atlas.stages.drawing.numbers import figure, percent, plural, thousands

REST = "the rest"


def named(row: dict[str, Any]) -> str:
    """What a group is called: ``site = B``, or ``site = B and label = horse``."""
    said = f"{row['column']} = {row['value']}"
    return said if row["and_column"] is None else f"{said} and {row['and_column']} = {row['and_value']}"


def sentence(row: dict[str, Any], n: int, right: int) -> str:
    """One group with its numbers, and the test or why there is none.

    Args:
        n: images that count.
        right: of them those that are right.
    """
    name = named(row)
    if row["measure"] is None or n == 0:
        return f"{name}: {plural(row['images'], 'image')}; {row['about']}"
    return f"{name}: {_measured(row, n, right)}{_compared(row)}; {_tested(row)}"


def _measured(row: dict[str, Any], n: int, right: int) -> str:
    value = row[row["measure"]]
    if row["measure"] == "accuracy":
        span = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        drawn = f", few images, estimate {percent(row['shrunk'])}" if row["small"] else ""
        return f"{thousands(right)} of {plural(n, 'image')} right, {percent(value)} ({span}){drawn}"
    span = "" if row["low"] is None else f" ({figure(row['low'])} to {figure(row['high'])})"
    what = "mean absolute error" if row["measure"] == "mae" else "mean confidence"
    return f"{what} {figure(value)}{span} over {plural(n, 'image')}"


def _compared(row: dict[str, Any]) -> str:
    if row["gap"] is None:
        return ""
    share = row["measure"] == "accuracy"
    scale, unit = (100, " points") if share else (1, "")

    def text(number: float) -> str:
        return f"{scale * number:+.1f}".replace("-", "−") if share else figure(number, 3, True)

    against = row["against"] if row["against"] == REST else f"other images of {row['against']}"
    span = "" if row["gap_low"] is None else f" ({text(row['gap_low'])} to {text(row['gap_high'])})"
    return f", {text(row['gap'])}{unit}{span} beside {against}"


def _tested(row: dict[str, Any]) -> str:
    if row["about"] is not None:
        return f"not tested: {row['about']}"
    q = row["q_value"]
    return "q < 0.0001" if q < 0.0001 else f"q = {q:.2g}"
