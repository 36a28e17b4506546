"""Every table of a run folder: its key and its columns. A leaf. What each means stands in ``described``.

Schemas whose vectors depend on the model (channels, classes, dtype) are
functions of those sizes. Vectors are stored as fixed-size lists; helpers turn
them into NumPy arrays without copying and back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from activation_atlas.stages.tables.described import TABLES as TABLES
from activation_atlas.stages.tables.kinds import CELL, MEMBER, PNG, POSITION, vector
from activation_atlas.stages.tables.of_audit import PATCH_FIELDS as PATCH_FIELDS
from activation_atlas.stages.tables.of_audit import VERDICTS as VERDICTS
from activation_atlas.stages.tables.of_audit import cues as cues
from activation_atlas.stages.tables.of_audit import evidence as evidence
from activation_atlas.stages.tables.of_audit import patches as patches
from activation_atlas.stages.tables.of_audit import placements as placements
from activation_atlas.stages.tables.of_audit import spuriosity as spuriosity
from activation_atlas.stages.tables.of_audit import trials as trials
from activation_atlas.stages.tables.of_channels import channels as channels
from activation_atlas.stages.tables.of_channels import peaks as peaks
from activation_atlas.stages.tables.of_channels import responses as responses
from activation_atlas.stages.tables.of_concepts import concept_effects as concept_effects
from activation_atlas.stages.tables.of_concepts import concepts as concepts
from activation_atlas.stages.tables.of_groups import groups as groups
from activation_atlas.stages.tables.of_looks import attention as attention
from activation_atlas.stages.tables.of_looks import feature_maps as feature_maps
from activation_atlas.stages.tables.of_looks import filters as filters
from activation_atlas.stages.tables.of_looks import looks as looks
from activation_atlas.stages.tables.of_looks import maximised as maximised
from activation_atlas.stages.tables.of_repair import repair as repair
from activation_atlas.stages.tables.of_slices import slices as slices
from activation_atlas.stages.tables.of_trust import RANKED as RANKED
from activation_atlas.stages.tables.of_trust import agreement as agreement
from activation_atlas.stages.tables.of_trust import complexity as complexity
from activation_atlas.stages.tables.of_trust import correlations as correlations
from activation_atlas.stages.tables.of_trust import faithfulness as faithfulness
from activation_atlas.stages.tables.of_trust import randomization as randomization
from activation_atlas.stages.tables.of_trust import road as road
from activation_atlas.stages.tables.of_trust import road_curves as road_curves
from activation_atlas.stages.tables.of_trust import shuffled as shuffled
from activation_atlas.stages.tables.of_trust import trust as trust
from activation_atlas.stages.tasks import CLASSES, Task


def images(meta: Sequence[pa.Field] = (), task: Task = CLASSES) -> pa.Schema:
    """``meta``: one field per metadata column, already named ``meta.*``."""
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("uri", pa.string()),
            ("label", task.stored),
            ("split", pa.string()),
            *meta,
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
        ]
    )


def rejects() -> pa.Schema:
    return pa.schema([("image_id", pa.string()), ("uri", pa.string()), ("stage", pa.string()), ("reason", pa.string())])


def levels() -> pa.Schema:
    numbers = [(name, pa.float64()) for name in ("darkest", "brightest", "white")]
    return pa.schema([("image_id", pa.string()), *numbers, ("exact", pa.bool_())])


def predictions(classes: int, task: Task = CLASSES) -> pa.Schema:
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("label", task.stored),
            ("pred", task.stored),
            ("prob", pa.float32()),
            ("correct", pa.bool_()),
            ("top_classes", pa.list_(pa.int32())),
            ("top_probs", pa.list_(pa.float32())),
            ("label_prob", pa.float32()),
            ("logits", vector(classes)),
        ]
    )


def doubts() -> pa.Schema:
    """What says that the whole run cannot be right."""
    return pa.schema(
        [
            ("place", pa.int32()),
            ("kind", pa.string()),
            ("message", pa.string()),
            ("remedy", pa.string()),
            ("figures", pa.string()),
        ]
    )


def measures() -> pa.Schema:
    """How well the model does."""
    numbers = [(name, pa.float64()) for name in ("value", "low", "high", "threshold")]
    head = [("place", pa.int32()), ("class", pa.int32()), ("name", pa.string()), ("measure", pa.string())]
    return pa.schema([*head, *numbers, ("images", pa.int32()), ("positives", pa.int32())])


def features(channels: int, dtype: str = "float16") -> pa.Schema:
    return pa.schema([("image_id", pa.string()), ("features", vector(channels, dtype))])


def activations(channels: int, attributed: int, dtype: str = "float16") -> pa.Schema:
    """``attributed``: number of attributed classes; 0 leaves the column out."""
    fields = [*POSITION, ("activation", vector(channels, dtype))]
    if attributed:
        fields.append(("attribution", vector(attributed, dtype)))
    return pa.schema(fields)


def moments(channels: int) -> pa.Schema:
    """Of ``activations``: see :mod:`stages.moments`."""
    size = channels * (channels + 1) // 2
    return pa.schema([("shard", pa.int32()), ("rows", pa.int64()), ("products", vector(size, "float64"))])


def pixels() -> pa.Schema:
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("count", pa.int64()),
            ("sum", vector(3, "float64")),
            ("products", vector(9, "float64")),
        ]
    )


def layouts() -> pa.Schema:
    return pa.schema([*POSITION, ("x", pa.float32()), ("y", pa.float32())])


def grids(channels: int) -> pa.Schema:
    """Cells before their attributions are known."""
    return pa.schema(
        [
            *CELL,
            ("count", pa.int64()),
            ("images", pa.int64()),
            ("activation", vector(channels)),
            ("error_rate", pa.float32()),
            ("label_entropy", pa.float32()),
            ("exemplars", pa.list_(MEMBER)),
        ]
    )


def cells(channels: int, attributed: int) -> pa.Schema:
    """``attributed`` 0 (no attributions were asked for) leaves its columns out."""
    base = {f.name: f for f in grids(channels)}
    argues = [
        pa.field("attribution", vector(attributed)),
        *(pa.field(f"{name}_se", vector(attributed)) for name in ("attribution", "relative")),
        *(pa.field(name, vector(attributed)) for name in ("top_share", "top_share_se")),
        pa.field("top_images", vector(attributed, "int32")),
        pa.field("top_classes", pa.list_(pa.int32())),
        pa.field("top_attributions", pa.list_(pa.float32())),
    ]
    head = ["grid", "cell_x", "cell_y", "count", "images", "activation"]
    tail = ["error_rate", "label_entropy", "exemplars"]
    return pa.schema([base[n] for n in head] + (argues if attributed else []) + [base[n] for n in tail])


def names() -> pa.Schema:
    """What cells may be called, best first."""
    floats = [(name, pa.float32()) for name in ("expected", "top_share", "low", "rate", "q_value", "lift")]
    return pa.schema(
        [
            *CELL,
            ("place", pa.int32()),
            ("kind", pa.string()),
            ("name", pa.string()),
            ("class", pa.int32()),
            ("images", pa.int32()),
            *floats,
        ]
    )


def validity() -> pa.Schema:
    """How well the heat of a class says where its photographs lie."""
    figures = ("correlation", "low", "high", "lift", "lift_low", "lift_high")
    return pa.schema(
        [
            ("grid", pa.int16()),
            ("statistic", pa.string()),
            ("kind", pa.string()),
            ("class", pa.int32()),
            ("group", pa.string()),
            *((name, pa.float32()) for name in figures),
            *((name, pa.int32()) for name in ("classes", "photographs", "cells")),
        ]
    )


def icons() -> pa.Schema:
    return pa.schema(
        [
            *CELL,
            ("icon", PNG),
            ("objective", pa.float32()),
            ("cosine", pa.float32()),
            ("retrieval_rank", pa.int32()),
            ("retrieval_rank_raw", pa.int32()),
            ("contrast", pa.float32()),
            ("predicted", pa.int32()),
        ]
    )


def maps() -> pa.Schema:
    """One attribution map for each image and class; resolution and meaning are the method's own."""
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("target", pa.int32()),
            ("target_kinds", pa.list_(pa.string())),
            ("layer", pa.string()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("stride", vector(2)),
            ("offset", vector(2)),
            ("covers", vector(4, "int32")),
            ("map", pa.list_(pa.float32())),
            ("score", pa.float32()),
            ("gap", pa.float32()),
            ("fit", pa.float32()),
            ("flag", pa.string()),
        ]
    )


def boxes() -> pa.Schema:
    """Where a map says that the thing is."""
    sides = [(name, pa.float32()) for name in ("left", "top", "right", "bottom")]
    head = [("image_id", pa.string()), ("target", pa.int32()), ("by", pa.string())]
    return pa.schema([*head, *sides, ("input", vector(4)), ("area", pa.float32()), ("score", pa.float32())])


def to_numpy(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A fixed-size-list column as an array of shape (rows, size), without copying where it lies in one chunk."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    size = column.type.list_size
    if len(column) == 0:
        return np.zeros((0, size), column.type.value_type.to_pandas_dtype())
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), size)


def from_numpy(array: np.ndarray) -> pa.FixedSizeListArray:
    """An array of shape (rows, size) as a fixed-size-list column of the same dtype."""
    array = np.ascontiguousarray(array)
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
