"""Metadata columns as groups: which value each image has, gathered part by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MISSING = "(missing)"
FEW = 20
"""Values of a column up to which numbers are taken as they are, and columns are crossed."""
MOST = 200
"""Values of a column of texts; with more it names things, and groups none."""
EACH = 10
"""Images that a value of a column of more than :data:`FEW` has at least, on average."""
BINS = 5
"""Quantiles that numbers and dates are cut at."""
_UTC = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Grouping:
    """Images told apart by one column, or by two.

    Attributes:
        kind: label, prediction, metadata or intersection.
        column: its name.
        values: what groups are called, (G,).
        image, index: (m,) int64, pairs of an image and its group, by rising image.
        binned: whether groups are quantiles of numbers or dates.
    """

    kind: str
    column: str
    values: Sequence[str]
    image: np.ndarray
    index: np.ndarray
    binned: bool = False

    @classmethod
    def of_codes(
        cls, kind: str, column: str, values: Sequence[str], codes: np.ndarray, binned: bool = False
    ) -> Grouping:
        """From each image's group (n,), -1 where it is of none."""
        image = np.flatnonzero(codes >= 0)
        return cls(kind, column, values, image, codes[image].astype(np.int64), binned)

    def of(self, group: int) -> np.ndarray:
        """The images of a group, rising."""
        return self.image[self.index == group]

    def same(self, other: Grouping) -> bool:
        """Whether it makes the same groups of the same images."""
        if len(self.values) != len(other.values) or not np.array_equal(self.image, other.image):
            return False
        return len(np.unique(self.index * len(other.values) + other.index)) == len(self.values)


class Unfit(Exception):
    """Why a column tells no groups apart."""


class Numbers:
    """A column of numbers or dates over all images: 8 bytes of each are held."""

    def __init__(self, kind: pa.DataType) -> None:
        self._dates = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
        self._parts: list[np.ndarray] = []

    def add(self, column: pa.ChunkedArray) -> None:
        """Rows of the next part."""
        self._parts.append(_floats(_moments(column) if self._dates else pc.cast(column, pa.float64(), safe=False)))

    def told(self) -> Told:
        return binned(_joined(self._parts), written_dates if self._dates else written_numbers)


class Texts:
    """A column of anything else over all images: a code of each is held, and the texts of up to :data:`MOST` values;
    besides the dates, where all texts are dates."""

    def __init__(self, kind: pa.DataType) -> None:
        self._codes: list[np.ndarray] = []
        self._known: dict[str, int] = {}
        self._dates: list[np.ndarray] | None = []

    def add(self, column: pa.ChunkedArray) -> None:
        """Rows of the next part."""
        texts = pc.utf8_trim_whitespace(pc.cast(column, pa.string()).combine_chunks())
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        if self._dates is not None:
            moments = _moments(texts)
            self._dates = None if moments is None else [*self._dates, _floats(moments)]
        if len(self._known) <= MOST:
            found = pc.dictionary_encode(texts)
            own = [self._known.setdefault(text, len(self._known)) for text in found.dictionary.to_pylist()]
            codes = pc.fill_null(found.indices, len(own)).to_numpy(zero_copy_only=False)
            self._codes.append(np.array([*own, -1], np.int32)[codes])

    def told(self) -> Told:
        if len(self._known) > FEW and self._dates is not None:
            return binned(_joined(self._dates), written_dates)
        if len(self._known) > MOST:
            raise Unfit(f"more than {MOST} values")
        codes = np.concatenate(self._codes) if self._codes else np.zeros(0, np.int32)
        return Told(codes, list(self._known), False)


@dataclass(frozen=True)
class Told:
    """What images have in a column: codes (n,), -1 of none, what each is called, and whether they are quantiles."""

    codes: np.ndarray
    values: list[str]
    binned: bool

    def grouping(self, column: str) -> Grouping:
        """Its groups; images without a value are one of their own.

        Raises:
            Unfit: there are not two, or too many.
        """
        codes, values = self.codes, self.values
        if len(values) > max(FEW, len(codes) // EACH):
            raise Unfit(f"{len(values)} values, of fewer than {EACH} images each")
        if (codes < 0).any():
            codes, values = np.where(codes < 0, len(values), codes), [*values, MISSING]
        if len(values) < 2:
            raise Unfit("no values" if values == [MISSING] else "the same value everywhere")
        return Grouping.of_codes("metadata", column, values, codes, self.binned)


def gathered(kind: pa.DataType) -> Numbers | Texts:
    """What gathers a column of a type."""
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return Numbers(kind) if number or pa.types.is_date(kind) or pa.types.is_timestamp(kind) else Texts(kind)


def _floats(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, np.nan).to_numpy().astype(np.float64)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0)


def _moments(column: pa.Array) -> pa.Array | None:
    """Dates, or texts that are dates (ISO 8601), as microseconds since 1970, float64; None where one is no date."""
    text = pa.types.is_string(column.type)
    kinds = (pa.timestamp("us"), _UTC) if text else (pa.timestamp("us", getattr(column.type, "tz", None)),)
    for kind in kinds:
        try:
            return pc.cast(pc.cast(pc.cast(column, kind, safe=text), pa.int64()), pa.float64(), safe=False)
        except pa.ArrowInvalid:
            continue
    return None


def binned(numbers: np.ndarray, write: Callable[[np.ndarray], list[str]]) -> Told:
    """Numbers (n,) as they are where there are few, else cut at quantiles and called by the smallest and largest of
    each bin; what is not finite is none."""
    known = np.isfinite(numbers)
    codes = np.full(len(numbers), -1, np.int64)
    own = numbers[known]
    distinct = np.unique(own)
    if len(distinct) <= FEW:
        codes[known] = np.searchsorted(distinct, own)
        return Told(codes, write(distinct), False)
    edges = np.unique(np.quantile(own, np.arange(1, BINS) / BINS))
    used, codes[known] = np.unique(np.searchsorted(edges, own, "left"), return_inverse=True)
    mine = [own[codes[known] == k] for k in range(len(used))]
    ends = np.array([[each.min(), each.max()] for each in mine])
    return Told(codes, write(ends), True)


def written_numbers(numbers: np.ndarray) -> list[str]:
    """Numbers (k,), or spans of them (k, 2), with as many digits as it takes to tell them apart, at least 4."""
    for digits in (4, 6, 9, 17):
        texts = _spans(np.vectorize(lambda number, digits=digits: f"{number:.{digits}g}", otypes=[object])(numbers))
        if len(set(texts)) == len(texts):
            break
    return texts


def written_dates(moments: np.ndarray) -> list[str]:
    """Microseconds since 1970 (k,), or spans of them (k, 2), as days, or with the time where it takes that to tell them
    apart."""
    for unit in ("D", "m", "s", "us"):
        dates = moments.astype(np.int64).astype("datetime64[us]").astype(f"datetime64[{unit}]").astype(str)
        texts = _spans(np.char.replace(dates, "T", " ")) if dates.size else []
        if len(set(texts)) == len(texts):
            break
    return texts


def _spans(texts: np.ndarray) -> list[str]:
    if texts.ndim == 1:
        return [str(text) for text in texts]
    return [str(low) if low == high else f"{low} to {high}" for low, high in texts]


def crossed(one: Grouping, other: Grouping, images: int) -> tuple[Grouping, np.ndarray]:
    """The groups by two columns that occur, and each one's two groups, (G, 2).

    Args:
        other: an image is of at most one of its groups.
    """
    codes = np.full(images, -1, np.int64)
    codes[other.image] = other.index
    both = codes[one.image] >= 0
    image = one.image[both]
    cells, index = np.unique(one.index[both] * len(other.values) + codes[image], return_inverse=True)
    parents = np.stack(np.divmod(cells, len(other.values)), 1)
    return Grouping("intersection", one.column, [one.values[a] for a, _ in parents], image, index), parents
