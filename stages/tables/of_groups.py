"""The table of groups: its schema, and what it means; a part of ``described``."""

from __future__ import annotations

import pyarrow as pa

from activation_atlas.stages.stage import Table

BY_CLASS = pa.struct(
    [
        ("class", pa.int32()),
        ("images", pa.int32()),
        *((name, pa.float32()) for name in ("score", "low", "high")),
    ]
)


def groups() -> pa.Schema:
    """How the model does on each group of images that labels, predictions or metadata tell apart."""
    names = ("kind", "column", "value", "and_column", "and_value")
    scores = ("accuracy", "mae", "confidence", "low", "high", "shrunk")
    tests = ("gap", "gap_low", "gap_high", "p_value", "q_value", "ece", "ece_low", "ece_high")
    return pa.schema(
        [
            ("rank", pa.int32()),
            *((name, pa.string()) for name in names),
            *((name, pa.int32()) for name in ("images", "labelled", "errors")),
            ("measure", pa.string()),
            *((name, pa.float32()) for name in scores),
            ("small", pa.bool_()),
            ("against", pa.string()),
            *((name, pa.float32()) for name in tests),
            ("by_class", pa.list_(BY_CLASS)),
            ("about", pa.string()),
            ("text", pa.string()),
        ]
    )


GROUPS = (
    Table(
        "groups",
        ("rank",),
        "how the model does on each group of images that labels, predictions or metadata tell apart, the worst first",
        {
            "rank": "from 0: first what is surely worse than what it is compared with (q_value < .05), then the rest, "
            "each by shrunk",
            "kind": "label, prediction, metadata or intersection (of two columns)",
            "column": "label (of quantities: label: OUTPUT), prediction, split, or the metadata column's name",
            "value": "what its images have there: a class's name, a value, a span of numbers or dates (of quantiles), "
            "or (missing)",
            "and_column": "of an intersection: its second column (null of others)",
            "and_value": "what its images have there",
            "images": "of the group",
            "labelled": "of them with a label",
            "errors": "of these those that the model gets wrong (null of quantities)",
            "measure": "what low, high, shrunk, gap and test are of: accuracy; mae of quantities; confidence where no "
            "image of the run has a label",
            "accuracy": "share of the labelled images that the model gets right (of several labels: all of an image)",
            "mae": "mean absolute error, in the quantity's unit; of several the mean, each in units of its root mean "
            "square error over the run",
            "confidence": "mean probability of the prediction, over the labelled images, or all where none is (null of "
            "quantities)",
            "low": "95 % interval of the measure: Wilson's of accuracy, else by Student's t",
            "high": "its upper end",
            "shrunk": "the measure drawn towards that of the column's groups together, small groups farther (empirical "
            "Bayes: beta-binomial, Kleinman 1973, of accuracy; DerSimonian & Laird 1986 of means)",
            "small": "fewer than 30 images that count: look at shrunk",
            "against": "what it is compared with: the rest (all other images); of an intersection the other images of "
            "COLUMN = VALUE, of its two values the one that it differs from less",
            "gap": "its measure less theirs",
            "gap_low": "95 % interval: Newcombe's (1998, method 10) of accuracy, else Welch's (1947)",
            "gap_high": "its upper end",
            "p_value": "two-sided (twice the smaller tail): Fisher's exact test of accuracy, else a permutation test; "
            "of an intersection that it differs, in one direction, from the other images of both its values (null: see "
            "about)",
            "q_value": "over all tests of its kind (Benjamini & Hochberg 1995)",
            "ece": "expected calibration error of the prediction's probability, over up to 15 bins of as many images "
            "of the run each, without what few images add to it (null of several labels, of quantities, and of fewer "
            "than 50 labelled images)",
            "ece_low": "95 % interval (parametric bootstrap; where it was simulated 84 to 98 % of them held the truth)",
            "ece_high": "its upper end",
            "by_class": "recall of each class that its images are labelled as, with Wilson's interval, and of how many "
            "images; of quantities the mean absolute error of each output, in its unit (null of predictions and "
            "intersections)",
            "about": "why there is no test, and which number is missing (null: there is one)",
            "text": "the row in words",
        },
    ),
)
