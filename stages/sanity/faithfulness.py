"""The means of ``faithfulness``: each variant, each kind of target, each measure, beside the random map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.sanity.ranks import mean, share
from stages.stage import Inputs

BETTER = {"deletion": -1, "insertion": 1}
"""Measures in which a map is set against the random one, and which way is better."""

MEASURES = ("deletion", "insertion", "pointing", "energy", "area")


def summary(inputs: Inputs, against: Mapping[str, str], seed: int) -> list[dict[str, Any]]:
    """A row for each variant, kind of target and measure that has values; the random maps are the last variants.

    A mean is over images. ``better``: share of the images in which the map beats the random one.

    Args:
        against: the random map of each variant.
    """
    found: list[dict[str, Any]] = []
    baselines = {random: _values(inputs, random) for random in sorted(set(against.values()))}
    for variant in (*sorted(against), *baselines):
        random = against.get(variant)
        for (kind, measure), values in (_values(inputs, variant) if random else baselines[variant]).items():
            known = list(values.values())
            found_mean = share(known) if measure == "pointing" else mean(known, seed)
            row = {"variant": variant, "kind": kind, "measure": measure, **asdict(found_mean)}
            others = baselines[random].get((kind, measure), {}) if random else {}
            both = [i for i in values if i in others] if measure in BETTER else []
            ahead = [BETTER[measure] * (values[i] - others[i]) > 0 for i in both]
            found.append({**row, "better": float(np.mean(ahead)) if ahead else None, "against": random})
    return found


def _values(inputs: Inputs, variant: str) -> dict[tuple[str, str], dict[str, float]]:
    """(kind of target, measure) to image to value; of several targets of one kind, their mean."""
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for part in inputs.stream(f"faithfulness/{variant}", ["image_id", "target_kinds", *MEASURES]):
        for row in part.to_pylist():
            for kind in row["target_kinds"]:
                for measure in MEASURES:
                    if row[measure] is not None:
                        found[kind, measure][row["image_id"]].append(float(row[measure]))
    order = sorted(found, key=lambda key: (key[0], MEASURES.index(key[1])))
    return {key: {i: float(np.mean(v)) for i, v in found[key].items()} for key in order}
