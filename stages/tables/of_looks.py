"""The tables of what a network has learned and what it sees in an image; a part of ``tables`` and of ``described``."""

from __future__ import annotations

import pyarrow as pa

from activation_atlas.stages.stage import Table
from activation_atlas.stages.tables.kinds import PNG


def looks() -> pa.Schema:
    """What a network has learned and sees, a row for each picture of the textbook's page."""
    return pa.schema(
        [
            ("piece", pa.int32()),
            ("place", pa.int32()),
            ("section", pa.string()),
            ("stem", pa.string()),
            ("words", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("png", pa.binary()),
            ("pdf", pa.binary()),
            ("numbers", pa.binary()),
        ]
    )


def filters() -> pa.Schema:
    """The weights of a layer, a row for each slice of each filter."""
    return pa.schema(
        [
            ("layer", pa.string()),
            ("part", pa.string()),
            ("filter", pa.int32()),
            ("slice", pa.int32()),
            ("norm", pa.float32()),
            ("filter_norm", pa.float32()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("weights", pa.list_(pa.float32())),
        ]
    )


def feature_maps() -> pa.Schema:
    """What a layer answers to an image, a row for each channel."""
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("layer", pa.string()),
            ("channel", pa.int32()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("low", pa.float32()),
            ("high", pa.float32()),
            ("zeros", pa.float32()),
            ("dead", pa.bool_()),
            ("map", pa.list_(pa.float32())),
        ]
    )


def attention() -> pa.Schema:
    """What a transformer attends to in an image, a row for each head of each block."""
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("block", pa.string()),
            ("head", pa.int32()),
            ("query", pa.string()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("share", pa.float32()),
            ("map", pa.list_(pa.float32())),
        ]
    )


def maximised() -> pa.Schema:
    """Pictures drawn to make a network answer, a row for each."""
    return pa.schema(
        [
            ("layer", pa.string()),
            ("kind", pa.string()),
            ("index", pa.int32()),
            ("name", pa.string()),
            ("row", pa.int32()),
            ("col", pa.int32()),
            ("recipe", pa.string()),
            ("picture", PNG),
            ("response", pa.float32()),
            ("best", pa.float32()),
        ]
    )


LOOKS = (
    Table(
        "looks",
        ("piece", "place"),
        "the pictures of the page site/textbook, each drawn once and with the numbers behind it",
        {
            "piece": "what was drawn together: a layer's filters, a photograph's maps, all channels, all classes",
            "place": "of the picture among them",
            "section": "of the page: filters, maps, attention or maximised",
            "stem": "name of its files, without the ending",
            "words": "what it shows",
            "width": "pixels",
            "height": "pixels",
            "png": "the picture as PNG",
            "pdf": "the picture as PDF, for print",
            "numbers": "rows of the table filters, feature_maps, attention or maximised, as an Arrow stream",
        },
    ),
    Table(
        "filters",
        ("layer", "part", "filter", "slice"),
        "the learned filters of a layer, as its weights are stored",
        {
            "layer": "path of the layer",
            "part": "of a separable convolution: depthwise or pointwise; else empty",
            "filter": "which of the layer's filters: the channel of its output",
            "slice": "the channel of the layer's input that the slice is laid on; of a layer that reads the image "
            "0, 1, 2: red, green, blue",
            "norm": "Euclidean norm of the slice",
            "filter_norm": "Euclidean norm of the whole filter",
            "height": "rows of the slice",
            "width": "columns of the slice",
            "weights": "row by row",
        },
    ),
    Table(
        "feature_maps",
        ("image_id", "layer", "channel"),
        "what a layer answers to an image, channel by channel",
        {
            "image_id": "first 16 hex digits of SHA-256 of the image's path relative to its source",
            "layer": "path of the layer",
            "channel": "of the layer's output",
            "height": "rows of the map (1 of a layer without positions)",
            "width": "columns of the map (1 of a layer without positions)",
            "low": "least finite value (null: there is none)",
            "high": "largest finite value (null: there is none)",
            "zeros": "share of the map's values that are exactly 0",
            "dead": "whether the channel is 0 everywhere in this image",
            "map": "row by row, as the layer gives it",
        },
    ),
    Table(
        "attention",
        ("image_id", "block", "head"),
        "what the heads of a transformer attend to in an image",
        {
            "image_id": "first 16 hex digits of SHA-256 of the image's path relative to its source",
            "block": "path of the call that attends",
            "head": "of the block",
            "query": "who attends: class (the class token) or mean (all patches, in the mean)",
            "height": "rows of patches",
            "width": "columns of patches",
            "share": "of the head's attention that goes to patches; the rest goes to the tokens beside them",
            "map": "row by row: the share of the head's attention that each patch gets",
        },
    ),
    Table(
        "maximised",
        ("layer", "kind", "index", "recipe"),
        "pictures drawn to make channels, neurons, directions or classes answer",
        {
            "layer": "path of the layer (null: the classes' logits, or the outputs)",
            "kind": "channel, neuron, direction, class, or output (of a model of quantities)",
            "index": "channel, row of the directions given, class index, or number of the output",
            "name": "as figures have it",
            "row": "of a neuron: row of the layer's map (null for others)",
            "col": "of a neuron: column of the layer's map (null for others)",
            "recipe": "mean, icon or textbook",
            "picture": "PNG",
            "response": "what was climbed, measured on the picture as it is stored: the channel (or the dot product "
            "with the direction) where it was asked, or as a mean over the map without its border; the class's logit "
            "or the output",
            "best": "largest response of the channel at any position of the images given (null: there were none)",
        },
    ),
)
