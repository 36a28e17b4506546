"""Do methods agree? Rank correlation between the maps of every two variants, image by image.

And of each variant's with a random map: what methods score that have nothing in common.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages import tables
from activation_atlas.stages.correlation import correlation, standard
from activation_atlas.stages.methods import RANDOM, Options
from activation_atlas.stages.sanity.ranks import mean
from activation_atlas.stages.sanity.sample import sampled
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.vision.place import COLUMNS, Place

_COLUMNS = ["image_id", "target", "height", "width", *COLUMNS, "map", "flag"]


def correlations(
    inputs: Inputs,
    variants: Mapping[str, Options],
    against: Mapping[str, str],
    chosen: Sequence[str],
    size: tuple[int, int],
    seed: int,
    part: int,
) -> pa.Table:
    """A row for each chosen image of a part and every two variants that have maps of it, and each with a random map.

    Maps are compared on the pixels of the model's input, as deletion orders them; an image's targets are averaged.
    Flagged maps are left out; without others the correlation is null.

    Args:
        against: the random map of each variant.
    """
    from activation_atlas.stages.vision.attribution.pixels import random_map

    names, drawn = sorted(variants), sorted({against[v] for v in variants if v in against})
    pairs = _pairs(names, against)
    wanted = pa.array(list(chosen), pa.string())
    read = {v: sampled(inputs, f"maps/{v}", part, _COLUMNS, wanted) for v in names}
    rows = {v: _rows(read[v]) for v in names}
    sound = {v: pc.is_null(read[v]["flag"]).to_pylist() for v in names}
    made = []
    for image_id in sorted(set().union(*rows.values())):
        random = {r: standard(random_map(image_id, seed, size, r == RANDOM[0])) for r in drawn}
        own: dict[tuple[str, str], list[float]] = defaultdict(list)
        for target in sorted(set().union(*(rows[v].get(image_id, {}) for v in names))):
            ranked = random | {
                v: standard(_at_input(read[v], k, variants[v], size))
                for v in names
                if (k := rows[v].get(image_id, {}).get(target)) is not None and sound[v][k]
            }
            for a, b in pairs:
                value = correlation(ranked.get(a), ranked.get(b))
                if value is not None:
                    own[a, b].append(value)
        for a, b in pairs:
            if own[a, b] or (image_id in rows[a] and (b in random or image_id in rows[b])):
                value = float(np.mean(own[a, b])) if own[a, b] else None
                made.append({"image_id": image_id, "variant": a, "other": b, "correlation": value})
    return pa.Table.from_pylist(made, schema=tables.correlations())


def agreement(inputs: Inputs, variants: Sequence[str], against: Mapping[str, str], seed: int) -> list[dict[str, Any]]:
    """A row for every two variants, in the order of their names, and for each with its random map.

    An image without a correlation is left out.
    """
    values: dict[tuple[str, str], list[float | None]] = {pair: [] for pair in _pairs(sorted(variants), against)}
    for part in inputs.stream("correlations"):
        for row in part.to_pylist():
            values[row["variant"], row["other"]].append(row["correlation"])
    return [
        {"variant": a, "other": b, **asdict(mean(own, seed)), "left_out": own.count(None)}
        for (a, b), own in values.items()
    ]


def _pairs(names: Sequence[str], against: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted([*combinations(names, 2), *((v, against[v]) for v in names if v in against)])


def _rows(table: pa.Table) -> dict[str, dict[int, int]]:
    """Image id to target to row."""
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for row, (image_id, target) in enumerate(
        zip(table["image_id"].to_pylist(), table["target"].to_pylist(), strict=True)
    ):
        found[image_id][target] = row
    return found


def _at_input(table: pa.Table, row: int, options: Options, size: tuple[int, int]) -> np.ndarray:
    """A row's map on the pixels of the model's input, 0 where nothing of it lies."""
    from activation_atlas.stages.vision.attribution.pixels import at_input

    shape = (table["height"][row].as_py(), table["width"][row].as_py())
    values = table["map"][row].values.to_numpy(zero_copy_only=False).reshape(shape)
    return np.nan_to_num(at_input(values, options, size, Place.at(table, row)))
