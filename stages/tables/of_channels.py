"""The tables of single channels: their schemas, and what they mean; a part of ``described``."""

from __future__ import annotations

import pyarrow as pa

from activation_atlas.stages.stage import Table
from activation_atlas.stages.tables import kinds

POSITION = {
    "image_id": "first 16 hex digits of SHA-256 of the image's path relative to its source",
    "row": "row of the layer's map, from the top (-1: the whole image)",
    "col": "column of the layer's map, from the left (-1: the whole image)",
}
CHANNELS = (
    Table(
        "responses",
        ("image_id",),
        "what each channel of a layer does in each image, from all positions of its map",
        {
            "image_id": POSITION["image_id"],
            "peak": "largest value of the channel's map",
            "at": "where it is, row x columns of the map + column; of equals (a ReLU may be capped) the nearest to the "
            "middle of the map, of those the first",
            "mean": "over the positions",
            "zeros": "positions at which it is exactly 0",
        },
    ),
    Table(
        "channels",
        ("channel",),
        "what each channel of a layer does over all images, from all positions of their maps",
        {
            "channel": "of the layer, from 0",
            "mean": "over positions and images",
            "peak": "largest value",
            "zeros": "share of the positions at which it is exactly 0, what a ReLU stops",
            "dead": "whether it is 0 at every position of every image",
            "images": "images in which it is not 0 everywhere",
            "class": "the most exciting class: the one in whose images the mean is largest, the first of equals "
            "(null: the channel is dead, or there are no classes)",
            "class_by": "which images are of a class: label, or pred where no image has a label",
            "class_images": "images of that class",
            "class_mean": "mean over positions and the class's images",
            "class_low": "lower end of its 95 % interval over images (Student's t; null for one image). The class "
            "is the largest of all: that it is larger than another the interval does not tell",
            "class_high": "upper end of it",
            "selectivity": "(a - b) / (a + b), a the class's mean, b the mean of the other classes' means (Morcos "
            "et al. 2018): 0 for a channel that does not tell classes apart, 1 for one that is silent in all "
            "others (null where a mean is below 0, or there is one class)",
        },
    ),
    Table(
        "peaks",
        ("channel", "rank"),
        "the images in which each channel of a layer responds most, from all positions: one position each; no row "
        "of images in which it is 0 everywhere",
        {
            "channel": "of the layer, from 0",
            "rank": "0 is the largest; of equals the larger mean of the channel's map comes first, then the smaller "
            "image_id",
            **POSITION,
            "response": "the channel's value there, the largest of its map in that image (of equals the nearest to the "
            "middle of the map, of those the first)",
        },
    ),
)


def responses(channels: int) -> pa.Schema:
    """What each channel of a layer does in each image, over all positions."""
    sizes = {"peak": "float32", "at": "int32", "mean": "float32", "zeros": "int32"}
    return pa.schema(
        [("image_id", pa.string()), *((name, kinds.vector(channels, kind)) for name, kind in sizes.items())]
    )


def channels() -> pa.Schema:
    """What each channel of a layer does over the data set."""
    floats = [(name, pa.float32()) for name in ("class_mean", "class_low", "class_high", "selectivity")]
    return pa.schema(
        [
            ("channel", pa.int32()),
            *((name, pa.float32()) for name in ("mean", "peak", "zeros")),
            ("dead", pa.bool_()),
            ("images", pa.int32()),
            ("class", pa.int32()),
            ("class_by", pa.string()),
            ("class_images", pa.int32()),
            *floats,
        ]
    )


def peaks() -> pa.Schema:
    """Where in the data set a channel's responses are largest."""
    return pa.schema([("channel", pa.int32()), ("rank", pa.int16()), *kinds.POSITION, ("response", pa.float32())])
