"""The tables of concepts of the user's: their schemas, and what they mean; a part of ``described``."""

from __future__ import annotations

import pyarrow as pa

from activation_atlas.stages.stage import Table
from activation_atlas.stages.tables.of_audit import CELLS


def concepts() -> pa.Schema:
    """Directions of a layer that stand for concepts."""
    return pa.schema(
        [
            ("concept", pa.string()),
            ("layer", pa.string()),
            ("images_with", pa.int32()),
            ("images_without", pa.int32()),
            *((name, pa.float32()) for name in ("accuracy", "low", "high")),
            ("useful", pa.bool_()),
            ("strength", pa.float32()),
            ("direction", pa.list_(pa.float32())),
            ("atlas", pa.string()),
            ("cells", CELLS),
            ("along", pa.list_(pa.float32())),
            ("about", pa.string()),
        ]
    )


def concept_effects() -> pa.Schema:
    """What a concept does to each class."""
    derivative = ("score", "score_low", "score_high", "derivative", "score_p", "score_q")
    effect = ("effect", "low", "high", "random_low", "random_high", "p_value", "q_value")
    return pa.schema(
        [
            ("concept", pa.string()),
            ("class", pa.int32()),
            ("images", pa.int32()),
            *((name, pa.float32()) for name in derivative),
            ("others", pa.int32()),
            *((name, pa.float32()) for name in (*effect, "flip_rate", "lacking_rate", "random_rate")),
            ("about", pa.string()),
        ]
    )


_CONCEPT = "as the configuration calls it"

CONCEPTS = (
    Table(
        "concepts",
        ("concept",),
        "concepts of the user's, each a direction in the channels of the audit's layer",
        {
            "concept": _CONCEPT,
            "layer": "the layer of the audit's atlas",
            "images_with": "images that show it, of those that could be used",
            "images_without": "images that do not",
            "accuracy": "mean of both sides' shares of images that the direction of others tells rightly (10 folds)",
            "low": "lower end of its 95 % interval (Wilson 1927, at half as many images: folds err together)",
            "high": "upper end of it",
            "useful": "whether low is above one half; if not, the layer's mean activations do not know the concept",
            "strength": "by how much images with it lie ahead along the direction, in activations; in the folds, too",
            "direction": "unit vector of the layer's channels, from all its images: ridge regression of the side on "
            "their mean activations",
            "atlas": "the atlas that the cells are of",
            "cells": "its cells that lie furthest along the direction, the furthest first, at most 8",
            "along": "how far each lies ahead of the mean of all the atlas's rows, in activations",
            "about": "what is the matter with the direction (null: nothing)",
        },
    ),
    Table(
        "concept_effects",
        ("concept", "class"),
        "what a concept does to each class: its directional derivative (TCAV: Kim et al. 2018), and its trial",
        {
            "concept": _CONCEPT,
            "class": "class index",
            "images": "images of the class that its derivative is taken in, none of them one of the concept's",
            "score": "share of them in which the class's logit would rise along the direction, at every position "
            "alike: the TCAV score (null: too few images, see about)",
            "score_low": "lower end of its 95 % interval: images and directions drawn again, and Wilson's",
            "score_high": "upper end of it",
            "derivative": "mean change of the logit, to first order, when every position moves by the strength",
            "score_p": "that a random direction has as large a derivative (two-sided t of one more draw; random: "
            "halves of the same images set against each other); null where the concept is not useful",
            "score_q": "over all concepts and classes (Benjamini & Hochberg 1995)",
            "others": "images not of the class that the trial is made on",
            "effect": "mean change of the class's logit in them when their component along the direction becomes, at "
            "every position, that of an image with the concept, against that of one without",
            "low": "lower end of its 95 % interval (bootstrap over images)",
            "high": "upper end of it",
            "random_low": "lower end of where 95 % of random directions lie, moved by just as much",
            "random_high": "upper end of it",
            "p_value": "that a random direction does as much, as score_p",
            "q_value": "over all concepts and classes",
            "flip_rate": "share of them that are taken for the class with the concept's component",
            "lacking_rate": "the same with the component of images without it",
            "random_rate": "as flip_rate, mean over the random directions",
            "about": "what is missing for a figure that is null",
        },
    ),
)
