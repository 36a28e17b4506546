"""The curves of ROAD: of how many images the class is still the most probable, when so many pixels are removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.sanity.ranks import share
from activation_atlas.stages.stage import Inputs

_FIRST = {"morf": "morf_first", "lerf": "lerf_first"}


def curves(inputs: Inputs, variants: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each variant, kind of target and percentage: shares of images, of its targets of one kind the mean.

    The accuracy of Rong et al. 2022 where the kind is ``label``. An image whose probabilities are not finite is left
    out.
    """
    found: list[dict[str, Any]] = []
    for variant in variants:
        still: dict[tuple[str, int], dict[str, list[tuple[bool, bool]]]] = defaultdict(lambda: defaultdict(list))
        for part in inputs.stream(f"road/{variant}", ["image_id", "target_kinds", "percent", *_FIRST.values()]):
            for row in part.to_pylist():
                pair = tuple(row[column] for column in _FIRST.values())
                for kind in row["target_kinds"] if None not in pair else ():
                    still[kind, row["percent"]][row["image_id"]].append(pair)
        for (kind, percent), images in sorted(still.items()):
            each = np.array([np.mean(pairs, 0) for pairs in images.values()])
            row = {"variant": variant, "kind": kind, "percent": percent, "n": len(each)}
            for by, values in zip(_FIRST, each.T, strict=True):
                of = share(values.tolist())
                row |= {by: of.mean, f"{by}_low": of.low, f"{by}_high": of.high}
            found.append(row)
    return found
