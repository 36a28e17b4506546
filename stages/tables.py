"""Every table of a run folder: its key and, for each column, what it means and in which unit. A leaf.

Schemas whose vectors depend on the model (channels, classes, dtype) are
functions of those sizes. Vectors are stored as fixed-size lists; helpers turn
them into NumPy arrays without copying and back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from stages.stage import Table

POSITION = [("image_id", pa.string()), ("row", pa.int16()), ("col", pa.int16())]
CELL = [("grid", pa.int16()), ("cell_x", pa.int16()), ("cell_y", pa.int16())]
MEMBER = pa.struct([("image_id", pa.string()), ("row", pa.int16()), ("col", pa.int16())])
PNG = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def vector(size: int, dtype: str | pa.DataType = "float32") -> pa.DataType:
    """Arrow type of a vector of ``size`` numbers."""
    return pa.list_(_arrow(dtype), size)


def _arrow(dtype: str | pa.DataType) -> pa.DataType:
    return dtype if isinstance(dtype, pa.DataType) else pa.from_numpy_dtype(np.dtype(dtype))


def images(meta: Sequence[pa.Field] = ()) -> pa.Schema:
    """``meta``: one field per metadata column, already named ``meta.*``."""
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("uri", pa.string()),
            ("label", pa.int32()),
            ("split", pa.string()),
            *meta,
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
        ]
    )


def rejects() -> pa.Schema:
    return pa.schema([("image_id", pa.string()), ("uri", pa.string()), ("stage", pa.string()), ("reason", pa.string())])


def predictions(classes: int) -> pa.Schema:
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("label", pa.int32()),
            ("pred", pa.int32()),
            ("prob", pa.float32()),
            ("correct", pa.bool_()),
            ("top_classes", pa.list_(pa.int32())),
            ("top_probs", pa.list_(pa.float32())),
            ("label_prob", pa.float32()),
            ("logits", vector(classes)),
        ]
    )


def features(channels: int, dtype: str = "float16") -> pa.Schema:
    return pa.schema([("image_id", pa.string()), ("features", vector(channels, dtype))])


def activations(channels: int, attributed: int, dtype: str = "float16") -> pa.Schema:
    """``attributed``: number of attributed classes; 0 leaves the column out."""
    fields = [*POSITION, ("activation", vector(channels, dtype))]
    if attributed:
        fields.append(("attribution", vector(attributed, dtype)))
    return pa.schema(fields)


def pixels() -> pa.Schema:
    return pa.schema(
        [
            ("shard", pa.int32()),
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
    """``attributed`` 0 (no attributions were asked for) leaves its three columns out."""
    base = {f.name: f for f in grids(channels)}
    argues = [
        pa.field("attribution", vector(attributed)),
        pa.field("top_classes", pa.list_(pa.int32())),
        pa.field("top_attributions", pa.list_(pa.float32())),
    ]
    head = ["grid", "cell_x", "cell_y", "count", "images", "activation"]
    tail = ["error_rate", "label_entropy", "exemplars"]
    return pa.schema([base[n] for n in head] + (argues if attributed else []) + [base[n] for n in tail])


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
            ("map", pa.list_(pa.float32())),
            ("score", pa.float32()),
            ("gap", pa.float32()),
            ("flag", pa.string()),
        ]
    )


_POSITION = {
    "image_id": "first 16 hex digits of SHA-256 of the image's path relative to its source",
    "row": "row of the layer's map, from the top (-1: the whole image)",
    "col": "column of the layer's map, from the left (-1: the whole image)",
}
_CELL = {
    "grid": "cells along one side of the grid",
    "cell_x": "column, 0 at the left",
    "cell_y": "row, 0 at the top",
}
_COUNTED = {
    "count": "rows in the cell",
    "images": "distinct images in the cell",
    "activation": "plain mean of the members' activations",
    "error_rate": "share of misclassified among the cell's distinct labelled images (null without labels)",
    "label_entropy": "entropy of the distinct images' labels, bits (null without labels)",
    "exemplars": "up to 8 members nearest the mean by cosine, at most one per image",
}

TABLES = {
    t.name: t
    for t in (
        Table(
            "images",
            ("image_id",),
            "every readable image of the source",
            {
                "image_id": _POSITION["image_id"],
                "uri": "where it is read from",
                "label": "class index (null where unlabelled)",
                "split": "as given by the source (null where none)",
                "meta.*": "further columns as the source gives them",
                "sha256": "of the file's bytes, hex",
                "width": "pixels, as stored",
                "height": "pixels, as stored",
            },
        ),
        Table(
            "rejects",
            ("image_id",),
            "every image that could not be used",
            {
                "image_id": _POSITION["image_id"],
                "uri": "where it was read from",
                "stage": "the stage that refused it",
                "reason": "one line",
            },
        ),
        Table(
            "predictions",
            ("image_id",),
            "what the model says of each image",
            {
                "image_id": _POSITION["image_id"],
                "label": "class index (null where unlabelled)",
                "pred": "class with the largest logit",
                "prob": "its probability",
                "correct": "pred == label (null where unlabelled)",
                "top_classes": "the min(5, K) classes of largest logit, best first",
                "top_probs": "their probabilities",
                "label_prob": "probability of the label (null where unlabelled)",
                "logits": "what goes into the last softmax or sigmoid, per class",
            },
        ),
        Table(
            "features",
            ("image_id",),
            "one vector per image and layer",
            {"image_id": _POSITION["image_id"], "features": "spatial mean of the layer's map"},
        ),
        Table(
            "activations",
            ("image_id", "row", "col"),
            "sampled positions of a layer",
            {
                **_POSITION,
                "activation": "the layer's output at this position",
                "attribution": "activation . d logit / d activation, per class, in logits",
            },
        ),
        Table(
            "pixels",
            ("shard",),
            "colour moments of the decoded images, for the icons' colour space",
            {
                "shard": "part of the images table",
                "count": "pixels",
                "sum": "sum of RGB in [0, 1]",
                "products": "sum of the outer products of RGB, row-major 3 x 3",
            },
        ),
        Table(
            "layouts",
            ("image_id", "row", "col"),
            "where each row lies in an atlas",
            {**_POSITION, "x": "in [0, 1), to the right", "y": "in [0, 1), downward"},
        ),
        Table(
            "grids",
            ("grid", "cell_x", "cell_y"),
            "the occupied cells of every grid, before their attributions",
            {**_CELL, **_COUNTED},
        ),
        Table(
            "cells",
            ("grid", "cell_x", "cell_y"),
            "the occupied cells of every grid and what each argues for",
            {
                **_CELL,
                **_COUNTED,
                "attribution": "plain mean of the members' attributions, per class, in logits",
                "top_classes": "the 5 classes of largest mean attribution, best first",
                "top_attributions": "their mean attributions, in logits",
            },
        ),
        Table(
            "icons",
            ("grid", "cell_x", "cell_y"),
            "a feature visualisation per cell, and how faithful it is",
            {
                **_CELL,
                "icon": "PNG",
                "objective": "final value of the objective",
                "cosine": "of the stored icon's centre activation with the cell's mean",
                "retrieval_rank": "how many other cells' whitened directions match the icon better (0 is right)",
                "retrieval_rank_raw": "how many other cells' raw means match the icon better (0 is right)",
                "contrast": "standard deviation of the icon's pixels, in [0, 1]",
                "predicted": "the model's class for the icon (-1 where it cannot take this size)",
            },
        ),
        Table(
            "maps",
            ("image_id", "target"),
            "what in an image speaks for a class, by one method: raw, never upsampled or normalised",
            {
                "image_id": _POSITION["image_id"],
                "target": "class index",
                "target_kinds": "what the class was asked for as: predicted, label, second, rank:K, or its name",
                "layer": "where the method looks (null: at the input)",
                "height": "rows of the map",
                "width": "columns of the map",
                "map": "row by row; signed where the method is",
                "score": "the class's logit (of a single sigmoid unit z: z, and -z for class 0)",
                "gap": "path methods: sum of the map minus the change of the score (null for others)",
                "flag": "zero: the map is zero everywhere; not finite: NaN or infinite somewhere (null: neither)",
            },
        ),
    )
}


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
