"""What is maximised: channels of a layer, single neurons, directions, classes; and their names in figures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.stage import UserError

Kind = Literal["channel", "neuron", "direction", "class", "output"]


@dataclass(frozen=True)
class Wanted:
    """One thing that a picture is drawn for.

    Attributes:
        kind: what it is.
        index: channel, row of the directions, class, or output of a model of quantities.
        name: in figures.
        vector: float64 (C,), of length 1.
    """

    kind: Kind
    index: int
    name: str
    vector: np.ndarray


def channels(numbers: Iterable[int], count: int, layer: str, kind: Kind = "channel") -> list[Wanted]:
    """Channels of a layer that has ``count``.

    Raises:
        UserError: one that it has not, or none at all.
    """
    found = []
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 0 <= number < count:
            raise UserError(f"channel {number}: layer {layer} has {count}, 0 to {count - 1}")
        found.append(Wanted(kind, int(number), str(number), np.eye(count)[int(number)]))
    if not found:
        raise UserError(f"channels: none is given; layer {layer} has {count}, 0 to {count - 1}")
    return found


def neuron(at: tuple[int, int], size: tuple[int, int], layer: str) -> str:
    """The position of a map (height, width), as :func:`tap_of` has it.

    Raises:
        UserError: it is outside the map.
    """
    (row, col), (height, width) = at, size
    if not (0 <= row < height and 0 <= col < width):
        raise UserError(
            f"position {row} {col}: layer {layer} has {height} x {width}, rows 0 to {height - 1} and columns 0 to "
            f"{width - 1}"
        )
    return f"at:{row},{col}"


def directions(given: Any, count: int, layer: str) -> list[Wanted]:
    """Vectors of a layer's activations: an array (C,) or (n, C), or a ``.npy`` file of one; brought to length 1.

    Raises:
        UserError: no such file, another length, or a vector that is zero or not finite.
    """
    where, array = "directions", given
    if isinstance(given, (str, os.PathLike)):
        where = f"directions {os.fspath(given)}"
        try:
            array = np.load(Path(given), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise UserError(f"{where}: cannot be read; give a .npy file, as numpy.save writes it") from None
    vectors = np.atleast_2d(np.asarray(array))
    if vectors.ndim != 2 or vectors.shape[1] != count or vectors.dtype.kind not in "fiu":
        shape = " x ".join(map(str, vectors.shape))
        raise UserError(
            f"{where}: {shape} of {vectors.dtype}; layer {layer} has {count} channels, so n x {count} numbers"
        )
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(wrong) or not len(vectors):
        raise UserError(f"{where}: {f'row {wrong[0]} is zero or not finite' if len(wrong) else 'there is none'}")
    unit = vectors / norms[:, None]
    return [Wanted("direction", k, f"direction {k}", one) for k, one in enumerate(unit)]


def classes(names: Iterable[str | int], known: Sequence[str], kind: Kind = "class") -> list[Wanted]:
    """Classes, or outputs, by their names or indices.

    Raises:
        UserError: there is no such class.
    """
    found = [class_index(str(name), known, "class") for name in names]
    if not found:
        raise UserError("classes: none is given")
    return [Wanted(kind, k, known[k], np.eye(len(known))[k]) for k in dict.fromkeys(found)]


def numbers(text: str) -> list[int]:
    """Channels as a command is given them: ``0-63``, ``3,7,20-25``.

    Raises:
        UserError: it is not written so.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UserError(f"--channels {text}: write them as 0-63, or 3,7,20-25")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))
