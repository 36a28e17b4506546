"""What a slice's images have more often than others, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

VALUES = 50
"""A metadata column of more distinct values says nothing of groups; numbers are then cut into four equal parts."""
FACTS = 4
CELLS = 5
SURE = 0.05
CLEARLY = 1.5
"""So many times as often as among all held-out images."""


@dataclass(frozen=True)
class Trait:
    """Something that an image has or has not.

    Attributes:
        words: e.g. ``taken for horse``.
        of: (n,) bool, held-out images that have it.
    """

    words: str
    of: np.ndarray


def traits(pred: np.ndarray, label: np.ndarray, classes: Sequence[str], told: pa.Table) -> list[Trait]:
    """Predictions, labels and metadata of held-out images (n,), each value a trait.

    Args:
        label: -1 where there is none.
        told: the columns `meta.*`.
    """
    found = []
    for words, values in (("taken for", pred), ("labelled", label)):
        found += [Trait(f"{words} {classes[k]}", values == k) for k in np.unique(values[values >= 0]).tolist()]
    for name in told.column_names:
        found += list(_of_column(name.removeprefix("meta."), told[name].combine_chunks()))
    return found


def _of_column(name: str, column: pa.Array) -> Iterator[Trait]:
    if pa.types.is_nested(column.type) or len(column) == column.null_count:
        return
    distinct = pc.count_distinct(column).as_py()
    if distinct > VALUES and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        known = np.isfinite(values)
        edges = np.unique(np.quantile(values[known], [0, 0.25, 0.5, 0.75, 1])) if known.any() else np.zeros(0)
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            last = high == edges[-1]
            within = known & (values >= low) & ((values <= high) if last else (values < high))
            yield Trait(f"{name} {low:.4g} to {high:.4g}", within)
    elif 1 < distinct <= VALUES:
        texts = np.array(column.cast(pa.string()).to_pylist(), object)
        for value in sorted({text for text in texts.tolist() if text is not None}):
            yield Trait(f"{name} {value}", texts == value)


def about(members: np.ndarray, having: Sequence[Trait], count: int) -> str:
    """The traits that a slice's images have clearly more often than all held-out images have, the clearest first.

    By the hypergeometric test at .05 over all traits (Bonferroni), and at least half as often again.

    Args:
        members: (m,) indices among the ``count`` held-out images.
    """
    if not having:
        return ""
    own = np.array([trait.of[members].sum() for trait in having])
    whole = np.array([trait.of.sum() for trait in having])
    clear = _clear(own, whole, len(members), count)
    texts = [f"{having[k].words} {_times(own[k], len(members), whole[k] / count)}" for k in clear[:FACTS]]
    return "; ".join(texts)


def reached(own: np.ndarray, whole: np.ndarray, members: int, count: int) -> np.ndarray:
    """Cells that a slice's images reach clearly more often than all do: at most 5, the clearest first.

    Args:
        own, whole: (cells,) how many of the slice's ``members`` images, and of all ``count``, have a position there.
    """
    return _clear(own, whole, members, count)[:CELLS]


def _clear(own: np.ndarray, whole: np.ndarray, members: int, count: int) -> np.ndarray:
    from scipy.stats import hypergeom

    often = np.flatnonzero((own * count >= CLEARLY * whole * members) & (own > 0))
    p = hypergeom.logsf(own[often] - 1, count, whole[often], members)
    sure = p < np.log(SURE / len(own))
    return often[sure][np.argsort(p[sure], kind="stable")]


def _times(own: int, members: int, share: float) -> str:
    return f"{own} of {members} ({100 * share:.{0 if share >= 0.1 else 1}f} % of all)"
