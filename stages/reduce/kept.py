"""A layout that stays while a run grows: what of it still holds, and how far new rows lie from what it was learned of.

New rows are placed beside their nearest fitted ones, so a layout shows only what it was fitted to. A new row is far
where its nearest fitted row is further than that of another image is for 95 % of the fitted rows: 5 % of new rows are,
where nothing has drifted. (A distance to the nearest training example as a score of novelty: Knorr & Ng 1998.)
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.keys import find, stored
from activation_atlas.stages.reduce.components import project
from activation_atlas.stages.reduce.members import Members, row_hash, vectors_of
from activation_atlas.stages.reduce.neighbours import Index
from activation_atlas.stages.stage import Inputs, State

NEAR = 0.95
SAMPLE = 2000
BLOCK = 64


def image_codes(images: Any) -> np.ndarray:
    """uint64 of each of these image ids, shape (n,)."""
    digests = [hashlib.blake2b(own.encode(), digest_size=8).digest() for own in images]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def images_of(inputs: Inputs, members: Members) -> np.ndarray:
    """:func:`image_codes` of all images with a row of the view's layer, sorted: uint64 of shape (images,)."""
    parts = inputs.stream(members.view.rows_table, ["image_id"])
    found = [image_codes(pc.unique(part["image_id"]).to_pylist()) for part in parts]
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))


def reach(index: Index, images: np.ndarray, seed: int) -> float:
    """The distance within which 95 % of the fitted rows have one of another image; infinite where there is but one.

    Args:
        images: (n,), equal where two fitted rows are of one image.
        seed: of the at most 2,000 rows that are asked.
    """
    count = len(index.vectors)
    asked = np.sort(np.random.default_rng([seed, count]).choice(count, min(count, SAMPLE), replace=False))
    nearest = np.empty(len(asked))
    square = (index.vectors.astype(np.float64) ** 2).sum(1)
    for start in range(0, len(asked), BLOCK):
        own = asked[start : start + BLOCK]
        far = square[own, None] + square - 2.0 * (index.vectors[own] @ index.vectors.T)
        far[images[own, None] == images] = np.inf
        nearest[start : start + BLOCK] = np.sqrt(np.maximum(far.min(1), 0))
    return float(np.quantile(nearest, NEAR, method="higher"))


def still(inputs: Inputs, members: Members, old: State, keys: pa.Table, metric: str, seed: int) -> tuple[State, dict]:
    """What holds of a layout, and its drift.

    Args:
        old: a state that was made as this one is to be, of other rows.
        keys: the view's rows, or enough of them, sorted.

    Returns:
        The state, without fitted rows that are of other activations than they were (their image has changed, or all
        have: then there is none); and ``new_rows`` of ``new_images`` since the fit that were looked at, ``far``:
        which share of them is, each image counting as much as another (None where nothing is new), and ``changed``:
        the share of fitted rows that went.
    """
    present = images_of(inputs, members)
    fitted = stored(old)
    codes = _codes(keys)
    is_new = ~np.isin(codes, old["seen"])
    if members.keys is not None:
        is_new |= find(keys, fitted) < 0
    new = keys.filter(pa.array(is_new))
    new = new.take(pa.array(np.sort(np.argsort(row_hash(new, seed), kind="stable")[:SAMPLE])))
    there = np.isin(_codes(fitted), present)
    raw = vectors_of(inputs, members.view, pa.concat_tables([fitted.filter(pa.array(there)), new.cast(fitted.schema)]))
    if raw.shape[1] != len(old["components"]):
        return old, {"new_rows": len(new), "new_images": 0, "far": None, "changed": 1.0}
    vectors = project(raw, old["components"], old["center"], metric)
    own, others = vectors[: there.sum()], vectors[there.sum() :]
    same = np.ones(len(fitted), bool)
    same[there] = (own == old["vectors"][there]).all(1)
    state = dict(old)
    if not same.all():
        state |= {n: old[n][same] for n in ("image_id", "row", "col", "vectors", "layout", "lists")}
    far = None
    images = pc.unique(new["image_id"])
    if len(new) and same.any():
        index = Index(state["vectors"], state["centroids"], state["lists"])
        beyond = np.sqrt(index.search(others, 1)[1][:, 0]) > old["reach"]
        which = pc.index_in(new["image_id"], value_set=images).to_numpy()
        far = float((np.bincount(which, beyond) / np.bincount(which)).mean())
    return state, {"new_rows": len(new), "new_images": len(images), "far": far, "changed": float((~same).mean())}


def _codes(keys: pa.Table) -> np.ndarray:
    images = pc.unique(keys["image_id"])
    return image_codes(images.to_pylist())[pc.index_in(keys["image_id"], value_set=images).to_numpy()]
