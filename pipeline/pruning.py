"""``prune``: removes from a run folder what the next run makes again, and nothing that it could not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activation_atlas import stages
from activation_atlas.pipeline.plan import Planner, library_version
from activation_atlas.pipeline.record import now, read
from activation_atlas.pipeline.store import LOG, TEMPORARY, Store
from activation_atlas.stages.specs import listed, meant
from activation_atlas.stages.stage import UserError

LEFTOVERS = "leftovers"
ORDER = {
    LEFTOVERS: "what a killed run left half written; nothing makes it again",
    "activations": "one pass of the model over the images",
    "responses": "the same pass",
    "features": "the same pass",
    "moments": "read off the activations",
    "feature_maps": "a pass over the few images that are looked at",
    "maps": "as many passes an image as the method has",
    "icons": "an optimisation for each cell: small, and the longest to make",
}
"""What goes, in this order: what frees most for the least work comes first."""


@dataclass(frozen=True)
class Pruned:
    """A table that went, or would: its name (:data:`LEFTOVERS` of what is none) and bytes."""

    name: str
    bytes: int


def prune(
    folder: str | os.PathLike[str], keep: Sequence[str] | str = (), free: float | None = None, dry_run: bool = False
) -> list[Pruned]:
    """Removes tables that the next run makes again, byte for byte, in :data:`ORDER`.

    The record, the history, predictions, layouts, cells, cues, pages and figures stay, and ``cache/``, without which
    all would be read again. The next run makes again whatever is missing, so that this is for folders that rest.

    Args:
        folder: a run folder whose last run has finished.
        keep: of :data:`ORDER`, what stays; with ``NAME/LAYER`` one table of it. One, or several.
        free: bytes after which it stops; None: all.
        dry_run: says what would go, and removes nothing.

    Raises:
        UserError: it is no run folder or not finished, another process works in it, or something could not be made
            again: the model or images are gone or changed, or another version of a library or of this package is
            installed.
    """
    store = Store(folder)
    record = read(store)
    if "config" not in record:
        raise UserError(f"{folder} is no run folder: it holds no run.json; give what a run wrote to")
    if "finished" not in record:
        raise UserError(f"{folder}: its run has not finished: run the same command again first")
    found = [(name, store.size(name)) for name in _tables(store)]
    kept = listed(keep)
    for name in kept:
        known = {*ORDER, *(name for name, _ in found)}
        if name not in known:
            raise UserError(f"--keep {name}: {meant(name, sorted(known))}")
    with store.lock():
        left = sorted(path for path in store.root.rglob(f"{TEMPORARY}*") if path.is_file())
        going = [(LEFTOVERS, sum(path.stat().st_size for path in left))] if left else []
        going += [(name, size) for name, size in found]
        going = [(name, size) for name, size in going if not {name, name.split("/")[0]} & {*kept}]
        chosen, total = [], 0
        for name, size in going:
            if free is not None and total >= free:
                break
            chosen.append(Pruned(name, size))
            total += size
        _refuse_what_is_lost(store, record["config"], [one.name for one in chosen if one.name != LEFTOVERS])
        if dry_run:
            return chosen
        store.append(LOG, {"time": now(), "event": "prune", "tables": [one.name for one in chosen], "bytes": total})
        for one in chosen:
            if one.name == LEFTOVERS:
                store.sweep()
            else:
                store.drop(one.name)
    return chosen


def _tables(store: Store) -> Iterator[str]:
    present = store.tables()
    for kind in ORDER:
        yield from (name for name in present if name.split("/")[0] == kind)


def _refuse_what_is_lost(store: Store, config: dict[str, Any], tables: Sequence[str]) -> None:
    """Raises UserError where a table could not be made again as it is."""
    planner = Planner(store)
    for table in tables:
        made = (store.footer(table, 0) or (None,))[0]
        if made is None or made.get("stage") not in stages.ORDER:
            continue  # damaged, or of another version: the next run makes it anew in any case
        stale = [f"{k[8:]} {v}" for k, v in made.items() if k.startswith("library ") and library_version(k[8:]) != v]
        if stages.stage(made["stage"]).version != made["version"]:
            stale.append("another version of activation-atlas")
        for key in ("path", "weights"):
            path = str(config["model"].get(key, ""))
            if "model" in made and path.endswith((".h5", ".keras")):
                digest = made["model"][-1] if isinstance(made["model"], list) else made["model"]
                if planner.file_hash(path, f"model.{key}") != digest:
                    stale.append(f"{path} as it was")
        tables_of = config["model"].get("tables")
        if tables_of and not Path(tables_of).exists():
            stale.append(tables_of)
        if stale:
            raise UserError(
                f"{store.root}: {table} was made with {', '.join(stale)}, and would not be made the same again; "
                f"run it anew first, or leave it with --keep {table}"
            )
    gone = next(_gone(store), None) if tables else None
    if gone is not None:
        raise UserError(f"{store.root}: {gone} is gone: nothing could be made again; bring it back first")


def _gone(store: Store) -> Iterator[str]:
    """Images on local disks that are no more; of remote stores nothing is asked."""
    seen = set()
    for part in range(store.parts("images")):
        for uri in store.read("images", part, ["uri"])["uri"].to_pylist():
            file, mark, row = uri.rpartition("#")
            path = file if mark and row.isdecimal() and not Path(uri).exists() else uri
            if os.path.isabs(path) and path not in seen and not os.path.exists(path):
                yield path
            seen.add(path)


def shown(pruned: Sequence[Pruned], dry_run: bool) -> Iterator[str]:
    """Lines of what went."""
    for one in pruned:
        yield f"  {one.name:<40} {one.bytes / 2**20:>10.1f} MiB  {ORDER[one.name.split('/')[0]]}"
    total = sum(one.bytes for one in pruned) / 2**20
    yield f"{total:.1f} MiB {'would be freed' if dry_run else 'freed; the next run makes them again'}"
