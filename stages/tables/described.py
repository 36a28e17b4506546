"""What each table and column means, and in which unit."""

from __future__ import annotations

from activation_atlas.stages.stage import Table
from activation_atlas.stages.tables.of_audit import AUDIT
from activation_atlas.stages.tables.of_channels import CHANNELS, POSITION
from activation_atlas.stages.tables.of_concepts import CONCEPTS
from activation_atlas.stages.tables.of_groups import GROUPS
from activation_atlas.stages.tables.of_looks import LOOKS
from activation_atlas.stages.tables.of_maps import MAPS
from activation_atlas.stages.tables.of_repair import REPAIR
from activation_atlas.stages.tables.of_slices import SLICES

_CELL = {
    "grid": "cells along one side of the grid",
    "cell_x": "column, 0 at the left",
    "cell_y": "row, 0 at the top",
}
_COUNTED = {
    "count": "rows in the cell",
    "images": "distinct images in the cell",
    "activation": "plain mean of the members' activations",
    "error_rate": "share of misclassified among the cell's distinct labelled images (null without, or of quantities)",
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
                "image_id": POSITION["image_id"],
                "uri": "where it is read from",
                "label": "class index, or a list of indices (several labels) or of numbers (null where unlabelled)",
                "split": "as given by the source (null where none)",
                "meta.*": "further columns as the source gives them; lists of few numbers as texts: [0, 0, 64, 48]",
                "sha256": "of the file's bytes, hex",
                "width": "pixels, as stored",
                "height": "pixels, as stored",
            },
        ),
        Table(
            "levels",
            ("image_id",),
            "the values of images of more than 8 bits a channel; no row of others",
            {
                "image_id": POSITION["image_id"],
                "darkest": "smallest value of a pixel; what is not finite counts as 0",
                "brightest": "largest value",
                "white": "what is white without images.levels; black is 0 (null: stretched from darkest to brightest)",
                "exact": "false of 16-bit colours, of which the upper 8 bits alone are read",
            },
        ),
        Table(
            "rejects",
            ("image_id",),
            "every image that could not be used",
            {
                "image_id": POSITION["image_id"],
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
                "image_id": POSITION["image_id"],
                "label": "as in images",
                "pred": "class with the largest logit; of several labels those that reach their threshold; quantities",
                "prob": "of several labels the largest, else pred's probability (null of quantities)",
                "correct": "pred == label (null where unlabelled, and of quantities)",
                "top_classes": "the min(5, K) classes of largest logit, best first (null of quantities)",
                "top_probs": "their probabilities",
                "label_prob": "probability of the label, of several the least (null where unlabelled, or of none)",
                "logits": "what goes into the last softmax or sigmoid, per class; quantities as they are",
            },
        ),
        Table(
            "doubts",
            ("place",),
            "what says that the whole set-up cannot be right; none of a run that may be",
            {
                "place": "in the order in which they are told, from 0",
                "kind": "accuracy, one class, order, range, uniform or labels",
                "message": "what was seen, in figures of this run",
                "remedy": "what to look at, or what would mend it; empty where a later one tells",
                "figures": "what the message says, as numbers: JSON",
            },
        ),
        Table(
            "measures",
            ("place",),
            "how often the model is right, class by class, or how far off its quantities are",
            {
                "place": "from 0, of the whole run first",
                "class": "class or output index (null: of the whole run)",
                "name": "its name",
                "measure": "accuracy (of several labels: all of an image), recall, precision; of several labels "
                "average_precision and their mean, f1 at the threshold of the run, best_f1 at the best one for these "
                "very labels; of quantities mae, rmse (in their unit) and r2",
                "value": "in [0, 1], or in the quantity's unit (null where nothing is to be measured)",
                "low": "95 % interval: Wilson's of shares, else of images drawn again (null of best_f1)",
                "high": "its upper end",
                "threshold": "probability from which the class is predicted (null where there is none)",
                "images": "with a label",
                "positives": "of them of this class (null of quantities)",
            },
        ),
        Table(
            "features",
            ("image_id",),
            "one vector per image and layer",
            {"image_id": POSITION["image_id"], "features": "spatial mean of the layer's map"},
        ),
        Table(
            "activations",
            ("image_id", "row", "col"),
            "sampled positions of a layer",
            {
                **POSITION,
                "activation": "the layer's output at this position",
                "attribution": "per class, in logits, with extract.by: insertion what the logit of a plain grey image "
                "gains by the block around the position, removal what the image's own loses without it, gradient "
                "activation . d logit / d activation",
            },
        ),
        *CHANNELS,
        Table(
            "moments",
            ("shard",),
            "second moments of activations: what sets a layer's vectors apart, for the whitening of icons",
            {
                "shard": "part of the images table",
                "rows": "vectors of that part of activations",
                "products": "sum of their outer products, float64: the upper triangle, row by row",
            },
        ),
        Table(
            "pixels",
            ("image_id",),
            "colour moments of each decoded image, for the icons' colour space",
            {
                "image_id": POSITION["image_id"],
                "count": "pixels",
                "sum": "sum of RGB in [0, 1]",
                "products": "sum of the outer products of RGB, row-major 3 x 3",
            },
        ),
        Table(
            "layouts",
            ("image_id", "row", "col"),
            "where each row lies in an atlas",
            {**POSITION, "x": "in [0, 1), to the right", "y": "in [0, 1), downward"},
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
                "attribution_se": "its standard error, clustered by image (NaN where the rows are of one image)",
                "relative_se": "the same, of the attribution less its mean over the classes at each position",
                "top_share": "share of the members at which the class is among the highest max(1, K // 20) of the K "
                "attributed (of equal ones the first column; with `attribution: top`, the highest listed)",
                "top_share_se": "its standard error, clustered by image (NaN where the rows are of one image)",
                "top_images": "distinct images with at least one such member",
                "top_classes": "the 5 classes of largest mean attribution, best first",
                "top_attributions": "their mean attributions, in logits",
            },
        ),
        Table(
            "names",
            ("grid", "cell_x", "cell_y", "place"),
            "what a cell may be called: classes, and groups of them, that surely stand out there; no row of others",
            {
                **_CELL,
                "place": "0 is the best name: by falling low - rate, a group where its best class would be",
                "kind": "class, or group: of classes.groups",
                "name": "of the class or group",
                "class": "class index (null for a group)",
                "images": "distinct images in the cell with a member that ranks it high: as top_share in cells, or, of "
                "a group, whose best class is one of its own",
                "expected": "such images to be expected at the map's rate, were the members independent",
                "top_share": "share of the cell's members that rank it high",
                "low": "lower end of its 95 % interval, clustered by image",
                "rate": "share of the whole map's",
                "q_value": "of the test that the images are no more than expected, over all cells and names of the "
                "grid (Benjamini & Yekutieli 2001)",
                "lift": "share of the cell's members from images that the model takes for the class (or one of the "
                "group), over the map's (null where these are fewer than 3)",
            },
        ),
        Table(
            "validity",
            ("grid", "statistic", "kind", "class", "group"),
            "how well the heat of a class says where its photographs lie; no row of grids of fewer than 3 cells",
            {
                "grid": _CELL["grid"],
                "statistic": "what is shown of a cell: mean (the attribution), relative (less its mean over the "
                "classes; of a softmax only) or top_share",
                "kind": "which photographs are of a class: predicted as it, label: labelled as it, or group: predicted "
                "as any class of its group",
                "class": "class index (null: of all classes, or groups, together)",
                "group": "name of the group (null where kind is not group, and of all groups together)",
                "correlation": "over cells of enough rows, of the heat with the share of the cell's rows that come "
                "from these photographs; of several classes or groups the median (null: too few photographs)",
                "low": "lower end of the 95 % interval of what it would be of very many photographs (bootstrap over "
                "photographs)",
                "high": "upper end of it",
                "lift": "share of these photographs among the rows of the warmest cells, which hold 5 % of all, over "
                "their share of all rows; the median as above",
                "lift_low": "lower end of its 95 % interval",
                "lift_high": "upper end of it",
                "classes": "how many it is of; of all groups together, how many groups",
                "photographs": "how many there are; of several classes or groups, of the one that has the fewest",
                "cells": "cells that are compared",
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
        *MAPS,
        *LOOKS,
        *AUDIT,
        *GROUPS,
        *REPAIR,
        *CONCEPTS,
        *SLICES,
    )
}
