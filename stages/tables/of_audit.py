"""The tables of an audit: their schemas, and what they mean; a part of ``described``."""

from __future__ import annotations

import pyarrow as pa

from activation_atlas.stages.stage import Table
from activation_atlas.stages.tables.kinds import CELL, MEMBER

_IMAGE = "first 16 hex digits of SHA-256 of the image's path relative to its source"
PATCH = pa.struct(
    [
        ("image_id", pa.string()),
        ("row", pa.int16()),
        ("col", pa.int16()),
        *((side, pa.int32()) for side in ("top", "left", "bottom", "right")),
    ]
)
CELLS = pa.list_(pa.struct(CELL))
PATCH_FIELDS = tuple(field.name for field in PATCH.fields)
VERDICTS = ("verified", "refuted", "undecided")


def evidence() -> pa.Schema:
    """Regions of an atlas that speak for a class."""
    counts = [(name, pa.int32()) for name in ("rows", "images", "own_images", "other_images", "foreign_rows")]
    shares: tuple[str, ...] = ("suspicion", "foreign", "foreign_se", "won", "own", "own_share", "other_share")
    shares += ("error_lift", "constancy", "outside", "typical")
    return pa.schema(
        [
            ("candidate", pa.int32()),
            ("class", pa.int32()),
            ("origin", pa.string()),
            ("atlas", pa.string()),
            ("cells", CELLS),
            *counts,
            *((name, pa.float32()) for name in shares),
            ("tested", pa.bool_()),
            ("exemplars", pa.list_(MEMBER)),
            ("others", pa.list_(MEMBER)),
        ]
    )


def patches() -> pa.Schema:
    """The exemplars of a cue, cut to what carries the attribution."""
    drops = [("drop", pa.float32()), ("whole", pa.float32())]
    return pa.schema([("candidate", pa.int32()), ("exemplar", pa.int32()), *PATCH.fields, *drops])


def trials() -> pa.Schema:
    """One row for a cue, an intervention and an image."""
    return pa.schema(
        [
            ("candidate", pa.int32()),
            ("class", pa.int32()),
            ("intervention", pa.string()),
            ("image_id", pa.string()),
            ("exemplar", pa.int32()),
            *((side, pa.int32()) for side in ("top", "left", "bottom", "right")),
            ("logit_before", pa.float32()),
            ("logit_after", pa.float32()),
            ("pred_before", pa.int32()),
            ("pred_after", pa.int32()),
        ]
    )


def cues() -> pa.Schema:
    """What became of each candidate."""
    numbers = ("effect", "low", "high", "flip_rate", "control_rate", "gap", "gap_low", "gap_high")
    return pa.schema(
        [
            ("rank", pa.int32()),
            ("candidate", pa.int32()),
            ("class", pa.int32()),
            ("origin", pa.string()),
            ("verdict", pa.string()),
            *((name, pa.float32()) for name in numbers),
            ("control", pa.string()),
            *((name, pa.float32()) for name in ("removal", "removal_low", "removal_high")),
            ("carriers", pa.int32()),
            *((name, pa.float64()) for name in ("p_value", "q_value")),
            *((name, pa.float32()) for name in ("suspicion", "typical_accuracy", "dependent_accuracy")),
            ("images", pa.int32()),
            ("needed", pa.int32()),
            ("exemplars", pa.list_(PATCH)),
            ("atlas", pa.string()),
            ("cells", CELLS),
            ("about", pa.string()),
            ("text", pa.string()),
        ]
    )


def placements() -> pa.Schema:
    """Verified cues at every size and corner."""
    head = [("candidate", pa.int32()), ("class", pa.int32()), ("pasted", pa.string()), ("exemplar", pa.string())]
    place = [("side", pa.float32()), ("corner", pa.string()), ("searched", pa.int32()), ("images", pa.int32())]
    shares = [f"{name}{end}" for name in ("static", "dynamic") for end in ("", "_low", "_high")]
    return pa.schema([*head, *place, *((name, pa.float32()) for name in shares)])


def spuriosity() -> pa.Schema:
    """A class's images from most typical to most dependent on a cue."""
    head = [("image_id", pa.string()), ("candidate", pa.int32()), ("class", pa.int32())]
    floats = [("dependence", pa.float32()), ("strongest", pa.float32())]
    where = [(name, pa.int16()) for name in ("row", "col")]
    flags = [(name, pa.bool_()) for name in ("own", "held_out", "correct")]
    return pa.schema([*head, *floats, *where, *flags])


_CLASS = "class index: what the cue speaks for"

AUDIT = (
    Table(
        "evidence",
        ("candidate",),
        "regions of an atlas that speak for a class, the most suspicious first; found on one half of the images",
        {
            "candidate": "from 0, those that are put to the test first: the most suspicious foreign ones, then the "
            "class's own that lie at one place or outside the object",
            "class": _CLASS,
            "origin": "foreign: made by images of other classes; own: by the class's own",
            "atlas": "the atlas that the cells are of",
            "cells": "cells of one grid, neighbours that speak for the class alike",
            "rows": "sampled positions in these cells",
            "images": "distinct images among them",
            "own_images": "of these images, those labelled as the class",
            "other_images": "those labelled otherwise",
            "foreign_rows": "positions of images not labelled as the class (unlabelled: not taken for it)",
            "suspicion": "lower bound (two standard errors) of the mean attribution for the class over these, in "
            "logits, times the share of them that it wins, in the region's strongest cell (null: of the class's own)",
            "foreign": "mean attribution for the class over these, in logits",
            "foreign_se": "its standard error, clustered by image",
            "won": "share of these at which the class's attribution is the highest of all classes",
            "own": "mean attribution for the class over positions of images that are labelled so",
            "own_share": "share of all images of the class that have a position there",
            "other_share": "share of all other images that have",
            "error_lift": "error rate of the held-out images there over that of all (null without labels)",
            "constancy": "1 - entropy of the positions' places (own: in the class's images) over that of all sampled "
            "places, on the half that is searched: 1 where it is always the same place, 0 where it is anywhere",
            "outside": "share of the positions, one an image of those that make the region, whose middle is outside "
            "evaluate.boxes or evaluate.masks (null without)",
            "typical": "median attribution for the class of what exemplars are drawn from (null: not tested)",
            "tested": "whether it was put to the test",
            "exemplars": "positions that stand for it, strongest first: of images not of the class (own: of the class) "
            "and not held out, one of each, drawn from the half that speaks most for the class",
            "others": "positions in other cells of images of the class that speak for it, drawn alike: controls",
        },
    ),
    Table(
        "patches",
        ("candidate", "exemplar"),
        "the exemplars of a cue, cut to the part of the image that carries what they say for the class",
        {
            "candidate": "as in evidence",
            "exemplar": "from 0, as in evidence",
            "image_id": _IMAGE,
            "row": "in the layer's map",
            "col": "in the layer's map",
            "top": "first row of the patch, pixels of the model's input",
            "left": "its first column",
            "bottom": "its last row, exclusive",
            "right": "its last column, exclusive",
            "drop": "what the class's logit loses where the patch is blended over from around it",
            "whole": "the most that it loses by any of the larger patches that were tried",
        },
    ),
    Table(
        "trials",
        ("candidate", "intervention", "image_id", "exemplar"),
        "each image of a trial, before and after one intervention",
        {
            "candidate": "as in evidence",
            "class": _CLASS,
            "intervention": "paste: a patch of the cue where the cue occurs; elsewhere: the same at a place drawn at "
            "random; random, class, noise: controls of the same size and place (a patch of any image, of other cells "
            "of the class, noise of the patch's spectrum); inpaint, blur, swap: the cue taken out of an image that has "
            "it; inpaint_elsewhere, blur_elsewhere, swap_elsewhere: as much taken out beside it",
            "image_id": _IMAGE,
            "exemplar": "place among the cue's exemplars (-1: none is used)",
            "top": "first row of the rectangle that changed, pixels of the model's input",
            "left": "its first column",
            "bottom": "its last row, exclusive",
            "right": "its last column, exclusive",
            "logit_before": "the class's, of the image as it is",
            "logit_after": "after the intervention",
            "pred_before": "class index",
            "pred_after": "class index",
        },
    ),
    Table(
        "cues",
        ("rank",),
        "what came of the candidates that were put to the test, verified ones first",
        {
            "rank": "from 0",
            "candidate": "as in evidence",
            "class": _CLASS,
            "origin": "as in evidence",
            "verdict": "verified, refuted or undecided",
            "effect": "mean change of the class's logit on pasting, over held-out images of other classes",
            "low": "lower end of its 95 % interval (Student's, over patches: each is pasted on images of its own)",
            "high": "upper end of it",
            "flip_rate": "share of these images that become the class",
            "control_rate": "the same for the strongest control",
            "gap": "flip_rate - control_rate",
            "gap_low": "lower end of its 95 % interval: the wider of Tango's (1998, over images) and Student's (over "
            "patches)",
            "gap_high": "upper end of it",
            "control": "which control is the strongest",
            "removal": "mean fall of the class's logit where the cue is taken out, less that where as much beside it "
            "is (null: too few held-out images have the cue)",
            "removal_low": "lower end of its 95 % interval",
            "removal_high": "upper end of it",
            "carriers": "held-out images that have the cue, at a position that speaks for the class as its exemplars "
            "do, which it was taken out of",
            "p_value": "that it turns no more than audit.least more images than some control, or raises the logit no "
            "more, over images or over patches, or that taking it out does no more than beside it (the largest of "
            "these; null: no test)",
            "q_value": "over all candidates (Benjamini & Hochberg 1995)",
            "suspicion": "as in evidence",
            "typical_accuracy": "on the quarter of the class's held-out images that depend on it least",
            "dependent_accuracy": "on the quarter that depend on it most: higher for whatever argues for the class",
            "images": "held-out images that it was pasted on",
            "needed": "undecided: so many images would decide with a chance of 80 %, if the gap stays as it is and "
            "patches come in proportion (null: decided, or something else is missing)",
            "exemplars": "the patches, as in the table patches",
            "atlas": "as in evidence",
            "cells": "as in evidence",
            "about": "why no test was possible, or what is missing for a verdict (null: nothing is)",
            "text": "the row in words (null: no test was possible)",
        },
    ),
    Table(
        "placements",
        ("candidate", "pasted"),
        "each verified cue at every size and corner of images of other classes, as Carter et al. (2019) tried patches; "
        "exemplar, size and corner are chosen on the searched half",
        {
            "candidate": "as in evidence",
            "class": _CLASS,
            "pasted": "patch: one exemplar; noise: of its spectrum; random: parts of other images; each as often",
            "exemplar": "image_id of the exemplar that turned most of the images it was chosen on",
            "side": "static: side of what is pasted, as a share of the image's",
            "corner": "static: where",
            "searched": "images that exemplar, size and corner were chosen on",
            "images": "held-out images that the shares are of",
            "static": "share that becomes the class by the one size and corner",
            "static_low": "lower end of its 95 % interval (Wilson)",
            "static_high": "upper end of it",
            "dynamic": "share that becomes the class at any of the sizes and corners",
            "dynamic_low": "lower end of its 95 % interval (Wilson)",
            "dynamic_high": "upper end of it",
        },
    ),
    Table(
        "spuriosity",
        ("image_id", "candidate"),
        "how much each image depends on a cue: those that have it, and all of the class; the most dependent are those "
        "the class may owe to the cue, the least dependent are typical of it (Moayeri et al. 2023)",
        {
            "image_id": _IMAGE,
            "candidate": "as in evidence",
            "class": _CLASS,
            "dependence": "sum of the attributions for the class over its positions in the cue's cells, in logits",
            "strongest": "the largest of them (null: no position is there)",
            "row": "where that is, in the layer's map",
            "col": "where that is, in the layer's map",
            "own": "whether the image is labelled as the class, or, without a label, predicted as it",
            "held_out": "whether the image is of the half that the cue was not found in",
            "correct": "whether the model is right (null without a label)",
        },
    ),
)
