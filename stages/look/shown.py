"""Lists of what was looked at, which a notebook shows as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from activation_atlas.stages.drawing.sheet import PAPER, Sheet, encoded


class Drawable(Protocol):
    """What has a sheet of paper of its own."""

    def sheet(self) -> Sheet:
        """The sheet."""
        ...


T = TypeVar("T", bound=Drawable)


class Shown(list[T]):
    """A list whose picture is that of its items, one below the other."""

    def _repr_png_(self) -> bytes | None:
        return encoded(stacked([one.sheet().pixels() for one in self]), "PNG") if self else None


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures uint8 (h, w, 3) below one another, as wide as the widest."""
    paper = tuple(int(PAPER[k : k + 2], 16) for k in (1, 3, 5))
    whole = np.full((sum(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures), 3), paper, np.uint8)
    top = 0
    for picture in pictures:
        whole[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0]
    return whole
