"""Do methods agree? Rank correlation between the maps of every two variants, image by image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.methods import Options
from activation_atlas.stages.sanity.ranks import correlation, mean, standard
from activation_atlas.stages.sanity.sample import sampled
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.vision.place import COLUMNS, Place

_COLUMNS = ["image_id", "target", "height", "width", *COLUMNS, "map", "flag"]


def agreement(
    inputs: Inputs, variants: Mapping[str, Options], chosen: Sequence[str], size: tuple[int, int], seed: int
) -> list[dict[str, Any]]:
    """A row for every two variants, in the order of their names.

    Maps are compared on the pixels of the model's input, as deletion orders them; an image's targets are averaged
    first. Flagged maps are left out, and counted where an image has no others. Of one part at a time, the chosen
    images' maps are held.
    """
    names = sorted(variants)
    pairs = [(a, b) for k, a in enumerate(names) for b in names[k + 1 :]]
    found: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    without = Counter()
    wanted = pa.array(list(chosen), pa.string())
    for part in range(min(inputs.parts(f"maps/{v}") for v in names) if pairs else 0):
        tables = {v: sampled(inputs, f"maps/{v}", part, _COLUMNS, wanted) for v in names}
        rows = {v: _rows(tables[v]) for v in names}
        sound = {v: pc.is_null(tables[v]["flag"]).to_pylist() for v in names}
        for image_id in sorted(set().union(*rows.values())):
            own: dict[tuple[str, str], list[float]] = defaultdict(list)
            for target in sorted(set().union(*(rows[v].get(image_id, {}) for v in names))):
                ranked = {
                    v: standard(_at_input(tables[v], k, variants[v], size))
                    for v in names
                    if (k := rows[v].get(image_id, {}).get(target)) is not None and sound[v][k]
                }
                for pair in pairs:
                    value = correlation(*(ranked.get(v) for v in pair))
                    if value is not None:
                        own[pair].append(value)
            for pair, values in own.items():
                found[pair].append(float(np.mean(values)))
            without.update(p for p in pairs if p not in own and all(image_id in rows[v] for v in p))
    return [{"variant": a, "other": b, **asdict(mean(found[a, b], seed)), "left_out": without[a, b]} for a, b in pairs]


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
