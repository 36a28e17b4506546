"""Where the images of a run are read from."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.stage import Inputs


def uris_of(inputs: Inputs, ids: Iterable[str], without: Collection[str] = ()) -> dict[str, str]:
    """Where images are read from, by id, in the order asked for; a part of the table is held at a time.

    Args:
        without: SHA-256, hex, of files that are left out.
    """
    asked, known = list(dict.fromkeys(ids)), pa.array(sorted(without), pa.string())
    wanted = pa.array(asked, pa.string())
    found: dict[str, str] = {}
    for part in inputs.stream("images", ["image_id", "uri", *(["sha256"] if without else [])]):
        mine = part.filter(pc.is_in(part["image_id"], value_set=wanted))
        if without:
            mine = mine.filter(pc.invert(pc.is_in(mine["sha256"], value_set=known)))
        found |= dict(zip(mine["image_id"].to_pylist(), mine["uri"].to_pylist(), strict=True))
    return {own: found[own] for own in asked if own in found}
