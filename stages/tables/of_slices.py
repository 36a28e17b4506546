"""The table of slices: its schema, and what it means; a part of ``described``."""

from __future__ import annotations

import pyarrow as pa

from activation_atlas.stages.stage import Table
from activation_atlas.stages.tables.of_audit import CELLS


def slices() -> pa.Schema:
    """Images that fail together, and that nobody had named."""
    counts = [(name, pa.int32()) for name in ("images", "labelled", "errors")]
    numbers = ("error_rate", "low", "high", "base_rate", "lift", "p_value", "q_value", "confidence")
    return pa.schema(
        [
            ("rank", pa.int32()),
            ("finder", pa.string()),
            ("found", pa.int32()),
            *counts,
            *((name, pa.float32()) for name in numbers),
            ("same_as", pa.int32()),
            ("about", pa.string()),
            ("atlas", pa.string()),
            ("cells", CELLS),
            ("members", pa.list_(pa.string())),
            ("strengths", pa.list_(pa.float32())),
        ]
    )


SLICES = (
    Table(
        "slices",
        ("rank",),
        "images that fail together: sought in one half of the images, and all figures of the other",
        {
            "rank": "from 0: the tested ones by their p value, the surest first; then the others, by their errors "
            "(without labels: by confidence, the least first)",
            "finder": "confusion, highest_loss, planespot, domino, cells or spray",
            "found": "place among the finder's own, as it ranks them in the half that they are sought in, from 0",
            "images": "held-out images in it",
            "labelled": "of them those with a label",
            "errors": "of these those that the model gets wrong",
            "error_rate": "errors / labelled (null: none is labelled)",
            "low": "lower end of its 95 % interval (Wilson 1927); of slices with q_value < .05 so much wider that 5 % "
            "of these intervals miss (Benjamini & Yekutieli 2005)",
            "high": "upper end of it",
            "base_rate": "error rate of all held-out images",
            "lift": "error_rate / base_rate",
            "p_value": "that so many of as many held-out images err, drawn anyhow (hypergeometric, one-sided); null "
            "where the finder reads the labels of the images that it chooses: confusion, highest_loss",
            "q_value": "over all slices of all finders (Benjamini & Hochberg 1995)",
            "confidence": "mean probability of what is predicted",
            "same_as": "rank of the better slice that it is the same as: of the images in either at least half are in "
            "both; or of the smaller's, and what they share fails no more than that one, and what it has besides is at "
            "most a third of it or fails no more than all images (null: of none)",
            "about": "what its images have more often than all held-out images, and how often",
            "atlas": "the atlas that the cells are of (null without)",
            "cells": "cells that its images reach clearly more often than all, the clearest first, at most 5",
            "members": "its held-out images, the strongest first",
            "strengths": "how strongly each is of it: planespot, domino log odds; cells evidence for the predicted "
            "class in logits; spray a difference of distances; confusion the predicted probability; highest_loss nats",
        },
    ),
)
