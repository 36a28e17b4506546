"""Means of ``faithfulness``, ``road``, ``complexity``: by variant, kind of target and measure, beside random maps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np

from activation_atlas.stages.sanity.ranks import mean, share
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tables.flags import SILENT

BETTER = {"deletion": -1, "insertion": 1, "road_morf": -1, "road_lerf": 1}
"""Measures in which a map is set against the random one, and which way is better."""

GAINED = ("deletion", "insertion")
"""Those that add up to the gain."""

MEASURES = ("deletion", "insertion", "pointing", "energy", "area", "iou")

MORE = {
    "road": {"road_morf": "morf", "road_lerf": "lerf"},
    "complexity": {"complexity": "complexity", "sparseness": "sparseness"},
}
"""Tables that are there where they were asked for; their measures, and the columns of these. Of ROAD, a mean over its
percentages."""

LOCALISED, MET = "localised", 0.5
"""Whether the box meets the thing: an intersection over union from which on it does (Russakovsky et al. 2015)."""

SHARES = ("pointing", LOCALISED)

GAIN = "gain"
"""By how much a map does better than the random one in all of :data:`GAINED` that was asked for, added up."""


def summary(inputs: Inputs, against: Mapping[str, str], seed: int, more: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A row for each variant, kind of target and measure that has values; the random maps are the last variants.

    A mean is over images; those whose map says nothing are left out, and counted. ``better``: share of the images in
    which the map beats the random one. The gain is taken image by image, of those that have both maps.

    Args:
        against: the random map of each variant.
        more: those of :data:`MORE` that were asked for.
    """
    found: list[dict[str, Any]] = []
    baselines = {random: _values(inputs, random, more) for random in sorted(set(against.values()))}
    for variant in (*sorted(against), *baselines):
        random = against.get(variant)
        values, silent = _values(inputs, variant, more) if random else baselines[variant]
        others = baselines[random][0] if random else {}
        for kind, measure in sorted({*values, *(key for key in others if silent[key[0]])}, key=_place):
            of_images = values.get((kind, measure), {})
            known = list(of_images.values())
            found_mean = share(known) if measure in SHARES else mean(known, seed)
            ahead = _ahead(measure, of_images, others.get((kind, measure), {}))
            row = {"variant": variant, "kind": kind, "measure": measure, **asdict(found_mean), "against": random}
            found.append({**row, "left_out": silent[kind], "better": _share_above(ahead)})
        for kind in dict.fromkeys(kind for kind, _ in values) if random else ():
            asked = [m for m in GAINED if (kind, m) in values]
            each = [_ahead(m, values[kind, m], others.get((kind, m), {})) for m in asked]
            gain = {i: sum(one[i] for one in each) for i in (each[0] if each else ()) if all(i in one for one in each)}
            if gain:
                row = {"variant": variant, "kind": kind, "measure": GAIN, **asdict(mean(list(gain.values()), seed))}
                found.append({**row, "left_out": silent[kind], "better": _share_above(gain), "against": random})
    return found


def _place(key: tuple[str, str]) -> tuple[str, int]:
    return key[0], [*MEASURES, *(name for measures in MORE.values() for name in measures), LOCALISED].index(key[1])


def _ahead(measure: str, values: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    """By how much each image's map does better than its random one, of those that have both."""
    return {i: BETTER[measure] * (values[i] - others[i]) for i in values if i in others} if measure in BETTER else {}


def _share_above(ahead: Mapping[str, float]) -> float | None:
    return float(np.mean([value > 0 for value in ahead.values()])) if ahead else None


def _values(
    inputs: Inputs, variant: str, more: Sequence[str]
) -> tuple[dict[tuple[str, str], dict[str, float]], Counter[str]]:
    """(kind of target, measure) to image to value, of several targets of one kind their mean; and of each kind the
    images that have no map but such as say nothing."""
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    flagged: set[tuple[str, str]] = set()
    sound: set[tuple[str, str]] = set()
    for part in inputs.stream(f"faithfulness/{variant}", ["image_id", "target_kinds", *MEASURES, "flag"]):
        for row in part.to_pylist():
            for kind in row["target_kinds"]:
                (flagged if row["flag"] in SILENT else sound).add((kind, row["image_id"]))
                for measure in MEASURES:
                    # How large the thing is holds of the image; what is by chance must be of the same images.
                    if row[measure] is not None and row["flag"] not in SILENT:
                        found[kind, measure][row["image_id"]].append(float(row[measure]))
                if row["iou"] is not None and row["flag"] not in SILENT:
                    found[kind, LOCALISED][row["image_id"]].append(float(row["iou"] >= MET))
    for table in more:
        for part in inputs.stream(f"{table}/{variant}", ["image_id", "target_kinds", *MORE[table].values()]):
            for row in part.to_pylist():
                told = {m: row[column] for m, column in MORE[table].items() if row[column] is not None}
                for kind, measure in product(row["target_kinds"], told):
                    found[kind, measure][row["image_id"]].append(float(told[measure]))
    values = {key: {i: float(np.mean(v)) for i, v in found[key].items()} for key in sorted(found, key=_place)}
    return values, Counter(kind for kind, _ in flagged - sound)
