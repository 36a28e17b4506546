"""The values that pixels have, as a configuration says it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

from activation_atlas.stages.specs.spec import listed


def standardisation(
    range: tuple[float, float] | None, mean: float | Sequence[float] | None, std: float | Sequence[float] | None
) -> tuple[tuple[float, float], list[float], list[float]]:
    """Black and white before the mean is taken off, and mean and deviation of each channel, or one of each for all.

    Raises:
        ValueError: they cannot be so, or not together.
    """
    taken, divided = (
        [float(v) for v in listed(given)] for given in (0.0 if mean is None else mean, 1.0 if std is None else std)
    )
    for name, values in (("mean", taken), ("std", divided)):
        if len(values) not in (1, 3) or not all(math.isfinite(v) for v in values):
            raise ValueError(f"{name}: give one number, or one for each of three channels, e.g. [0.485, 0.456, 0.406]")
    if min(divided) <= 0:
        raise ValueError(f"std: {min(divided):g} divides nothing; give what is above 0, e.g. [0.229, 0.224, 0.225]")
    if mean is None and std is None:
        return range or (0.0, 255.0), taken, divided
    small = [max(map(abs, values)) <= 1 for values in (taken, divided)]
    if range is None and small[0] != small[1] and any(taken) and set(divided) != {1.0}:
        one, other = ("[0, 1]", "[0, 255]") if small[0] else ("[0, 255]", "[0, 1]")
        raise ValueError(f"mean {taken[0]:g} is of values in {one}, std {divided[0]:g} in {other}; give both of one")
    scale = range or ((0.0, 1.0) if all(small) else (0.0, 255.0))
    low, high = sorted(scale)
    if not all(low <= v <= high for v in taken):
        raise ValueError(
            f"mean: {max(taken, key=abs):g} is no value in [{low:g}, {high:g}]; give range, or another mean"
        )
    if max(divided) > high - low:
        raise ValueError(f"std: {max(divided):g} is more than values in [{low:g}, {high:g}] differ by; give range too")
    return scale, taken, divided


def black_and_white(levels: Sequence[float] | float | None) -> tuple[float, float] | None:
    """The values that are black and white, where white alone may be given.

    Raises:
        ValueError: they are the same, or not finite.
    """
    if levels is None:
        return None
    black, white = levels if isinstance(levels, Sequence) else (0.0, levels)
    if not (math.isfinite(black) and math.isfinite(white) and black != white):
        raise ValueError(f"{black:g} and {white:g} cannot be black and white; give two values: [0, 4095]")
    return float(black), float(white)


def texts(values: Any) -> Any:
    """A list of names as YAML gives it, which reads some of them as something else (007, no, false).

    Raises:
        ValueError: the first that is no text, and what to do.
    """
    wrong = next((value for value in values if not isinstance(value, str)), None) if isinstance(values, list) else None
    if wrong is not None:
        raise ValueError(f"YAML reads {wrong!r}, which is no text: put every name in quotes, e.g. ['1', 'no', 'false']")
    return values


Texts = Annotated[list[str], BeforeValidator(texts)]
"""Names in a configuration."""
