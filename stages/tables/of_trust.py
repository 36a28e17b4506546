"""Schemas of the tables that say how far maps are to be trusted; `of_maps` describes them."""

from __future__ import annotations

import pyarrow as pa


def faithfulness() -> pa.Schema:
    """How well one map tells what the model went by."""
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("target", pa.int32()),
            ("target_kinds", pa.list_(pa.string())),
            ("deletion", pa.float32()),
            ("insertion", pa.float32()),
            ("pointing", pa.float32()),
            ("energy", pa.float32()),
            ("area", pa.float32()),
            ("iou", pa.float32()),
            ("flag", pa.string()),
        ]
    )


def road() -> pa.Schema:
    """What is left of a class at one share of removed pixels."""
    head = [("image_id", pa.string()), ("target", pa.int32()), ("target_kinds", pa.list_(pa.string()))]
    kinds = (("", pa.float32()), ("_first", pa.bool_()))
    return pa.schema(
        [*head, ("percent", pa.int32()), *((by + more, k) for by in ("morf", "lerf") for more, k in kinds)]
    )


def complexity() -> pa.Schema:
    """How far one map is spread out."""
    head = [("image_id", pa.string()), ("target", pa.int32()), ("target_kinds", pa.list_(pa.string()))]
    return pa.schema([*head, ("complexity", pa.float64()), ("sparseness", pa.float64())])


MEAN = [("mean", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("n", pa.int32())]
LEFT_OUT = ("left_out", pa.int32())


RANKED = ("", "_abs", "_smooth", "_smooth_abs")
"""What is added to the name of a rank correlation: of maps as they are, of absolute values, of the smooth form."""


def randomization() -> pa.Schema:
    """One depth of the cascade: maps of a model whose last layers were shuffled, against the model's own."""
    head = [("depth", pa.int32()), ("layers", pa.int32()), ("layer", pa.string()), ("images", pa.int32()), LEFT_OUT]
    means = [(f"{name}{more}", kind) for more in RANKED for name, kind in MEAN]
    return pa.schema([*head, *means, ("copies", pa.int32())])


def shuffled() -> pa.Schema:
    """What :func:`randomization` is the means of."""
    head = [("depth", pa.int32()), ("place", pa.int32()), ("image_id", pa.string()), ("layers", pa.int32())]
    values = [(f"correlation{more}", pa.float64()) for more in RANKED]
    return pa.schema([*head, ("layer", pa.string()), LEFT_OUT, *values])


def road_curves() -> pa.Schema:
    """Shares of :func:`road`: at one share of removed pixels, over images."""
    head = [("variant", pa.string()), ("kind", pa.string()), ("percent", pa.int32())]
    ends = [(f"{by}{end}", pa.float64()) for by in ("morf", "lerf") for end in ("", "_low", "_high")]
    return pa.schema([*head, *ends, ("n", pa.int32())])


def correlations() -> pa.Schema:
    """What :func:`agreement` is the means of."""
    head = [(name, pa.string()) for name in ("image_id", "variant", "other")]
    return pa.schema([*head, ("correlation", pa.float64())])


def agreement() -> pa.Schema:
    return pa.schema([("variant", pa.string()), ("other", pa.string()), *MEAN, LEFT_OUT])


def trust() -> pa.Schema:
    """Means of ``faithfulness``."""
    head = [("variant", pa.string()), ("kind", pa.string()), ("measure", pa.string())]
    return pa.schema([*head, *MEAN, LEFT_OUT, ("better", pa.float64()), ("against", pa.string())])
