"""Which rows belong to a view, and which of them the reduction is learned from.

Everything streams over the parts: attributions are held one part at a time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.keys import find, positions
from activation_atlas.stages.reduce.argument import is_relative, lead
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State, UserError
from activation_atlas.stages.tables import to_numpy

KEY = ["image_id", "row", "col"]


def attributed_index(name: str, extract: State, view: str) -> int:
    """The index of a class whose attributions there are.

    Raises:
        UserError: it is no class of the model's, or one of several of its name, or without attributions.
    """
    names = extract["classes"]
    index = class_index(name, names, f"atlas {view!r}")
    if index not in list(extract["attributed"]):
        have = ", ".join(names[i] for i in list(extract["attributed"])[:5]) or "none"
        raise UserError(
            f"atlas {view!r}: attributions of class {name!r} were not extracted (extracted: {have}); "
            "add it to extract.attribution or set that to all"
        )
    return index


@dataclass(frozen=True)
class Members:
    """The rows of a view.

    Attributes:
        view: the view.
        indices: its class, or the two of its pair; empty where all rows belong.
        extract: the state of ``extract``.
        inputs: where the rows are.
        keys: the chosen rows of a `top` or pair view, sorted by key.
        argued: how strongly each of them argues for each of the classes, float32 of shape (rows, classes of the view).
        x: of a pair, the chosen rows' places on the axis from left to right, float32 in [0, 1).
    """

    view: ViewSpec
    indices: tuple[int, ...]
    extract: State
    inputs: Inputs
    keys: pa.Table | None = None
    argued: np.ndarray | None = None
    x: np.ndarray | None = None

    @classmethod
    def of(cls, inputs: Inputs, view: ViewSpec) -> Members:
        """The view's rule, before any row is looked at."""
        wanted: tuple[str, ...] = view.pair or ((view.class_,) if view.class_ is not None else ())
        extract = inputs.state("extract", "") if wanted else {}
        indices = tuple(attributed_index(name, extract, view.name) for name in wanted)
        if len(indices) == 2 and indices[0] == indices[1]:
            raise UserError(f"atlas {view.name!r}: a pair needs two different classes, not {wanted[0]!r} twice")
        return cls(view, indices, extract, inputs)

    @classmethod
    def choose(cls, inputs: Inputs, view: ViewSpec) -> Members:
        """With the rows that only a look at all attributions can choose."""
        self = cls.of(inputs, view)
        if not self.indices:
            return self
        if view.pair is None and view.keep == "winner":
            known, classes = len(self.extract["attributed"]), len(self.extract["classes"])
            if known < classes:
                inputs.warn(
                    f"atlas {view.name!r}: keep: winner compares the {known} extracted classes only, of {classes}; "
                    "set extract.attribution: all, or use keep: top"
                )
            return self
        best: list[pa.Table | None] = [None] * len(self.indices)
        for part in range(inputs.parts(view.rows_table)):
            values, argued = self._values(part)
            keys = positions(inputs.part(view.rows_table, part, KEY))
            for which in range(len(self.indices)):
                best[which] = _largest(best[which], keys, values, argued, which, view.rows)
        return self._union([b for b in best if b is not None])

    def _union(self, best: list[pa.Table]) -> Members:
        rows = pa.concat_tables(best) if best else pa.table({"image_id": pa.array([], pa.string())})
        names = self.view.pair or (self.view.class_,)
        for name, found in zip(names, best, strict=False):
            if len(found) < self.view.rows:
                enough = "an attribution above the mean of all classes" if self._relative else "a positive attribution"
                few = f"class {name!r} has {len(found)} rows with {enough}"
                if not len(found):
                    raise UserError(f"atlas {self.view.name!r}: {few}; choose another class or add images of it")
                self.inputs.warn(f"atlas {self.view.name!r}: {few}, not the {self.view.rows} asked for")
        if not len(rows):
            return self
        if len(best) == 2:
            rows = pa.concat_tables([best[0], best[1].filter(pa.array(find(best[1], best[0]) < 0))])
        rows = rows.sort_by([(name, "ascending") for name in KEY])
        x = None
        if len(best) == 2:
            x = preference(rows["value1"].to_numpy().astype(np.float64) - rows["value0"].to_numpy())
        argued = np.stack([rows[f"argued{k}"].to_numpy() for k in range(len(best))], 1)
        return Members(self.view, self.indices, self.extract, self.inputs, rows.select(KEY), argued, x)

    def mask(self, part: int, rows: int) -> np.ndarray:
        """Which of a part's rows belong, by a rule that looks at one row alone: bool of shape (rows,)."""
        if not self.indices:
            return np.ones(rows, bool)
        return self._winner(part) == self.indices[0]

    def empty(self) -> str:
        """One line for a view without rows."""
        if self.view.class_ is not None:
            return (
                f"atlas {self.view.name!r}: class {self.view.class_!r} has 0 rows whose largest attribution it is; "
                "use keep: top, choose another class or add images of it"
            )
        return (
            f"atlas {self.view.name!r}: {self.view.rows_table} holds 0 rows; "
            "see the rejects table for why no image was used"
        )

    @property
    def _relative(self) -> bool:
        return is_relative(self.extract)

    def _part(self, part: int) -> tuple[np.ndarray, np.ndarray]:
        """A part's attributions (rows, A), and the class of each: (A,), or (rows, A) where each row has its own."""
        columns = ["attribution", "attributed_classes"] if self.extract["top"] else ["attribution"]
        table = self.inputs.part(self.view.rows_table, part, columns)
        classes = to_numpy(table["attributed_classes"]) if self.extract["top"] else np.array(self.extract["attributed"])
        return to_numpy(table["attribution"]), classes

    def _values(self, part: int) -> tuple[np.ndarray, np.ndarray]:
        """Attributions of the view's classes, and how strongly each row argues for them (<= 0: not at all).

        Both float32 of shape (rows, classes of the view). The latter is :func:`lead` where attributions can be set
        against those of all classes, else the attributions themselves; unknown ones are 0.
        """
        attribution, classes = self._part(part)
        if classes.ndim == 1:
            where = [int(np.flatnonzero(classes == index)[0]) for index in self.indices]
            values = attribution[:, where].astype(np.float32)
            return values, lead(attribution, where) if self._relative else values
        known = [(np.where(classes == index, attribution, 0)).sum(1) for index in self.indices]
        values = np.stack(known, 1).astype(np.float32)
        return values, values

    def _winner(self, part: int) -> np.ndarray:
        """Class of the largest attribution of each row; -1 where no known one is positive and unknown ones count 0."""
        attribution, classes = self._part(part)
        if not len(attribution):
            return np.zeros(0, np.int64)
        best = attribution.argmax(1)
        if classes.ndim == 1:
            return classes[best]
        rows = np.arange(len(best))
        return np.where(attribution[rows, best] > 0, classes[rows, best], -1)


def _largest(
    best: pa.Table | None, keys: pa.Table, values: np.ndarray, argued: np.ndarray, which: int, rows: int
) -> pa.Table:
    """``best`` (or nothing) and a part's rows: the ``rows`` that argue most for one class, ties broken by key."""
    positive = np.flatnonzero(argued[:, which] > 0)
    order = positive[np.argsort(-argued[positive, which], kind="stable")][:rows]
    found = keys.take(pa.array(order))
    for k in range(values.shape[1]):
        found = found.append_column(f"value{k}", pa.array(values[order, k]))
        found = found.append_column(f"argued{k}", pa.array(argued[order, k]))
    if best is not None:
        found = pa.concat_tables([best, found])
    return found.sort_by([(f"argued{which}", "descending"), *((n, "ascending") for n in KEY)]).slice(0, rows)


def preference(difference: np.ndarray) -> np.ndarray:
    """Attribution(right) - attribution(left) as a place: (clip(d / p99, -1, 1) + 1) / 2, float32 in [0, 1).

    p99 is the 99th percentile of \\|d\\| over the rows given; 0.5 means no preference.
    """
    p99 = np.percentile(np.abs(difference), 99)
    scaled = np.clip(difference / p99, -1, 1) if p99 > 0 else np.zeros_like(difference)
    return np.minimum(((scaled + 1) / 2).astype(np.float32), np.nextafter(np.float32(1), np.float32(0)))


def sample(inputs: Inputs, members: Members, rows: int, seed: int) -> tuple[pa.Table, int]:
    """At most ``rows`` of the view's rows, sorted by key, and how many there are in all.

    Kept are the rows of smallest hash of (seed, key), so the choice does not depend on how they are sharded.
    """
    kept: list[pa.Table] = []
    total = held = 0
    view = members.view
    columns = ["image_id"] if view.images else KEY
    for part in range(inputs.parts(view.rows_table)):
        if members.keys is None:
            keys = positions(inputs.part(view.rows_table, part, columns))
            keys = keys.filter(pa.array(members.mask(part, len(keys))))
        elif part == 0:
            keys = members.keys
        else:
            break
        total += len(keys)
        kept.append(keys.append_column("hash", pa.array(row_hash(keys, seed))))
        held += len(keys)
        if held > 2 * rows:
            kept = [_smallest(kept, rows)]
            held = rows
    if not total:
        return pa.table({name: [] for name in KEY}), 0
    return _smallest(kept, rows).sort_by([(n, "ascending") for n in KEY]).select(KEY), total


def _smallest(kept: list[pa.Table], rows: int) -> pa.Table:
    return pa.concat_tables(kept).sort_by([("hash", "ascending"), *((n, "ascending") for n in KEY)]).slice(0, rows)


def row_hash(keys: pa.Table, seed: int) -> np.ndarray:
    """uint64 of shape (rows,): a hash of (seed, image_id, row, col), mixed by splitmix64 (Steele et al. 2014)."""
    images = keys["image_id"].combine_chunks().dictionary_encode()
    digests = [hashlib.blake2b(f"{seed}:{i}".encode(), digest_size=8).digest() for i in images.dictionary.to_pylist()]
    image = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)[images.indices.to_numpy()]
    row, col = (keys[n].to_numpy().astype(np.int64) + 32768 for n in ("row", "col"))
    z = image + ((row << 16) | col).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def vectors_of(inputs: Inputs, view: ViewSpec, keys: pa.Table) -> np.ndarray:
    """The raw vectors of the rows ``keys``, shape (rows, C), in the dtype they are stored in."""
    out: Any = None
    for part in inputs.stream(view.rows_table, [*(["image_id"] if view.images else KEY), view.vector_column]):
        where = find(part, keys)
        found = to_numpy(part[view.vector_column].filter(pa.array(where >= 0)))
        if out is None:
            out = np.zeros((len(keys), found.shape[1]), found.dtype)
        out[where[where >= 0]] = found
    bad = int((~np.isfinite(out).all(1)).sum())
    if bad:
        raise UserError(
            f"atlas {view.name!r}: {bad} of {len(out)} rows of {view.rows_table} hold NaN or infinity; "
            "check the model's weights, or set extract.dtype: float32 where values are too large"
        )
    return out
