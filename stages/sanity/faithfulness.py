"""The means of ``faithfulness``: each variant, each kind of target, each measure, beside the random map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.sanity.ranks import mean
from stages.stage import Inputs

BETTER = {"deletion": -1, "insertion": 1}
"""Measures in which a map is set against the random one, and which way is better."""

MEASURES = ("deletion", "insertion", "pointing", "energy", "area")


def summary(inputs: Inputs, variants: Sequence[str], random: str, seed: int) -> list[dict[str, Any]]:
    """A row for each variant, kind of target and measure that has values; ``random`` is the last of the variants.

    A mean is over images. ``better``: share of the images in which the map beats the random one.
    """
    found: list[dict[str, Any]] = []
    baseline = _values(inputs, random)
    for variant in (*variants, random):
        own = baseline if variant == random else _values(inputs, variant)
        for (kind, measure), values in own.items():
            row = {"variant": variant, "kind": kind, "measure": measure, **asdict(mean(list(values.values()), seed))}
            row["better"] = None
            others = baseline.get((kind, measure), {})
            both = [i for i in values if i in others]
            if variant != random and measure in BETTER and both:
                ahead = [BETTER[measure] * (values[i] - others[i]) > 0 for i in both]
                row["better"] = float(np.mean(ahead))
            found.append(row)
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
