"""A part that is written anew takes over the rows of the images that did not change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.pipeline.inputs import StoreInputs
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import Shard, Stage

OWN = ("shard", "images")
"""What a part's fingerprint says of its images: not how they were treated."""
KEPT = "kept"
"""In the fingerprint of a state that stayed when its inputs changed."""


def marks(seen: Mapping[str, str]) -> dict[str, str]:
    """A mark of each image, 16 hex digits, that tells it and what its rows were made from.

    Args:
        seen: by image id, as :attr:`stages.stage.Stage.seen` gives it.
    """
    return {own: hashlib.sha256(f"{own} {what}".encode()).hexdigest()[:16] for own, what in seen.items()}


def unchanged(store: Store, stage: Stage, params: Any, shard: Shard, wanted: Mapping[str, Any], now: Mapping[str, str]):
    """Tables of the part as it is, without the images that are no more, that changed, or that were rejected: those are
    tried again. Empty where it was made otherwise.

    Args:
        wanted: the fingerprint that the part is to have.
        now: marks of its images.
    """
    kept = set(now)
    shared = {f"input {t}" for t, how in stage.reads(params).items() if how == "part"} | set(OWN)
    tables = stage.writes(params)
    for table in tables:
        footer = store.footer(table, shard.index)
        if footer is None or _of(footer[0], shared) != _of(wanted, shared):
            return set(), {}
        before = set(store.marks(table, shard.index))
        kept &= {own for own in kept if now[own] in before}
    if kept:
        for table in stage.rejects(params):
            kept -= set(store.read(table, shard.index, ["image_id"])["image_id"].to_pylist())
    return kept, {table: _only(store.read(table, shard.index), kept) for table in tables} if kept else {}


def run(store: Store, inputs: StoreInputs, stage: Stage, params: Any, shard: Shard, wanted: Mapping[str, Any]):
    """The tables of a shard, and the marks of its images: the stage sees only those that are new or changed.

    The rows are those that it would have given of all at once.
    """
    assert stage.seen is not None
    now = marks(stage.seen(inputs, params, shard))
    kept, old = unchanged(store, stage, params, shard, wanted, now)
    if not kept:
        return stage.run(inputs, params, shard), now
    new = frozenset(now) - kept
    if not new:
        return old, now
    part = shard if shard.images is None else replace(shard, images=tuple(i for i in shard.images if i in new))
    own = [table for table, how in stage.reads(params).items() if how == "part"]
    found = stage.run(inputs.narrowed(own, new), params, part)
    if any(not found[table].schema.equals(old[table].schema) for table in found):
        return stage.run(inputs, params, shard), now
    return {table: _together(old[table], found[table]) for table in found}, now


def fit(store: Store, inputs: StoreInputs, stage: Stage, label: str, params: Any, wanted: Mapping[str, Any]):
    """The state, and the fingerprint that it is to carry: that of one that was kept tells so.

    Returns:
        state, fingerprint.
    """
    assert stage.fit is not None
    if not stage.keeps(params):
        return stage.fit(inputs, params), wanted
    footer, tables = store.state_footer(stage.name, label), {f"input {t}" for t in stage.fit_reads(params)} | {KEPT}
    same = footer is not None and _of(footer[0], tables) == _of(wanted, tables)
    state = stage.fit(inputs.remembering(store.read_state(stage.name, label) if same else None), params)
    return state, {**wanted, KEPT: True} if "told" in state else wanted


def _of(fingerprint: Mapping[str, Any], but: set[str]) -> dict[str, Any]:
    return {key: value for key, value in fingerprint.items() if key not in but}


def _only(table: pa.Table, images: set[str]) -> pa.Table:
    return table.filter(pc.is_in(table["image_id"], value_set=pa.array(sorted(images), pa.string())))


def _together(old: pa.Table, new: pa.Table) -> pa.Table:
    """Sorted by image: an image's rows are all of one of the two, in their order."""
    both = pa.concat_tables([old, new])
    return both.take(pc.sort_indices(both["image_id"].combine_chunks()))  # a stable sort
