"""images, predictions, cells -> concepts: what a concept of the user's, given as two folders, does to each class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.audited import taken, task_in
from activation_atlas.stages.concepts.direction import Sides, Told, at_random, directions, redrawn, told
from activation_atlas.stages.concepts.folders import SIDES, Folders, folders_of, looked_at, read
from activation_atlas.stages.concepts.images import drawn, not_of
from activation_atlas.stages.concepts.scores import Score, scored
from activation_atlas.stages.concepts.trial import Effects, Half, effects, exchanged, fitted, halves
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.feed import Feed, at_size, uris_of
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.significance import bh
from activation_atlas.stages.specs import ImagesSpec, OpenedModel, PositiveInt, ReadImages, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Shared, Stage, UserError, one_shard

if TYPE_CHECKING:
    from activation_atlas.stages.vision.concepts import AtLayer

LEAST = 10
"""Images of a class, or of others, that a figure needs."""
MOST = 5000
"""Images whose gradients are taken; classes share them."""
REDRAWN = 200
RANDOM = 200
"""Directions of samples of a concept's images, and random ones, for the derivative."""
CELLS = 8


class Params(Spec):
    """Everything the concepts depend on."""

    model: OpenedModel
    images: ReadImages
    seed: int = 0
    concepts: list[Folders]
    view: ViewSpec
    grid: PositiveInt
    limit: PositiveInt
    batch: PositiveInt = Field(64, exclude=True)
    measured: bool = False


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    section = asked.config.audit
    if section is None or not section.concepts or asked.config.model.tables:
        return
    if (atlas := asked.audited) is None:
        raise UserError("audit.concepts: there is no atlas, so no layer to look for them at; give atlases")
    yield (
        "",
        {
            "concepts": [folders_of(concept, asked.images) for concept in section.concepts],
            "view": atlas.view,
            "grid": asked.audited_grid,
            "limit": section.images,
            "batch": section.batch,
            "measured": asked.measured,
            **asked.opened,
        },
    )


def _check(inputs: Inputs, params: Params) -> None:
    for folders in params.concepts:
        looked_at(folders, params.images, params.seed)


@dataclass
class Row:
    """What is found of one concept."""

    name: str
    sides: Sides
    told: Told
    vector: np.ndarray
    scores: Mapping[int, Score]
    counts: np.ndarray
    effects: Effects | None


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The direction of each concept, and what it does to each class."""
    from activation_atlas.stages.vision.concepts import AtLayer
    from activation_atlas.stages.vision.model import open_model

    model = open_model(params.model)
    layer = AtLayer(model, params.view.layer, params.batch)
    shown = params.images.settled(model.brings)
    prepare = at_size(shown, model.input_size, model.channels)
    given = [read(folders, shown, prepare, params.seed, inputs.warn) for folders in params.concepts]
    shared = set().union(*(hashes for _, hashes in given))
    asked = Asked(inputs, params, shown, layer, shared)
    found = [
        _concept(folders, pixels, number, asked)
        for number, (folders, (pixels, _)) in enumerate(zip(params.concepts, given, strict=True))
    ]
    return {"concepts": _concepts(inputs, params, found), "concept_effects": _effects(found)}


class Asked:
    """The images of the run that all concepts are asked of.

    Attributes:
        gradients: (n, C) of the score of each one's class. classes: (n,) that class.
        others: (m, K) bool, of which classes those of the trial are not.
    """

    def __init__(self, inputs: Inputs, params: Params, images: ImagesSpec, layer: AtLayer, shared: set[str]) -> None:
        from activation_atlas.stages.vision.model import open_model

        self.params, self.layer, self.extract = params, layer, inputs.state("extract", "")
        model = open_model(params.model)
        self.outputs, self._task = len(self.extract["classes"]), task_in(inputs)
        limit = min(params.limit, max(LEAST, MOST // self.outputs))
        own, whole = drawn(inputs, self.outputs, params.measured, (limit, params.limit), params.seed)
        uris = uris_of(inputs, sorted({*own.ids, *whole.ids}), shared)
        prepare = at_size(images, model.input_size, model.channels)
        self._feed = Feed(images, prepare)
        self.gradients, self.classes = self._derived(own, uris)
        trial = sorted(i for i in whole.ids if i in uris)
        read = self._feed.first({i: uris[i] for i in trial}, len(trial))
        # Either half of a concept's images is tried on its own half of these.
        self._trial = [[read[i] for i in list(read)[half::2]] for half in range(2)]
        others = not_of(inputs, [*list(read)[::2], *list(read)[1::2]], self.outputs)
        self.others = others if not params.measured else np.ones_like(others)

    def _derived(self, own: Any, uris: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
        asked = [(i, int(k)) for i, k in sorted(zip(own.ids, own.classes.tolist(), strict=True)) if i in uris]
        gradients, classes = [], []
        for batch in self._feed.batches({key: uris[key[0]] for key in asked}, self.params.batch):
            if batch.keys:
                targets = np.array([k for _, k in batch.keys], np.int32)
                gradients.append(self.layer.gradients(np.stack(batch.images), targets).astype(np.float64))
                classes.append(targets)
        if not gradients:
            return np.zeros((0, 0)), np.zeros(0, np.int32)
        return np.concatenate(gradients), np.concatenate(classes)

    def exchanged(self, halves: list[Half], rng: np.random.Generator) -> list[np.ndarray]:
        """Scores with a concept and without it, see :func:`trial.exchanged`."""
        size, found = self.params.batch, []
        for half, pixels in zip(halves, self._trial, strict=True):
            starts = range(0, len(pixels), size)
            batches = (self.layer.kept(np.stack(pixels[start : start + size])) for start in starts)
            found.append(exchanged(batches, half, len(pixels), rng))
        return [np.concatenate(scores, 1) for scores in zip(*found, strict=True)]

    def taken(self, scores: np.ndarray) -> np.ndarray:
        """For which classes images of these scores (..., K) are taken, bool; quantities for none."""
        return taken(scores, self.extract, self._task)


def _concept(folders: Folders, pixels: Mapping[str, np.ndarray], number: int, asked: Asked) -> Row:
    rng = np.random.default_rng([asked.params.seed, number])
    both = np.concatenate([pixels[side] for side in SIDES])
    sides = Sides(asked.layer.pooled(both).astype(np.float64), len(pixels["with"]))
    how, vector = told(sides), directions(sides.rows, sides.signs)
    again, random = redrawn(sides, REDRAWN, rng), at_random(sides, RANDOM, rng)
    counts = np.bincount(asked.classes, minlength=asked.outputs)
    scores = {
        int(k): scored(asked.gradients[asked.classes == k], vector, again, random, rng)
        for k in np.flatnonzero(counts >= LEAST)
    }
    tried = None
    if how.useful and len(asked.others) >= LEAST:
        vectors = fitted(sides)
        own = halves(sides, asked.layer.projected(both, vectors), vectors, rng)
        having, lacking = asked.exchanged(own, rng)
        tried = effects(having, lacking, (asked.taken(having), asked.taken(lacking)), asked.others, rng)
    return Row(folders.name, sides, how, vector, scores, counts, tried)


def _concepts(inputs: Inputs, params: Params, found: list[Row]) -> pa.Table:
    cells = inputs.table(f"cells/{params.view.name}", ["grid", "cell_x", "cell_y", "count", "activation"])
    means, count = tables.to_numpy(cells["activation"]).astype(np.float64), cells["count"].to_numpy()
    mine = np.flatnonzero(cells["grid"].to_numpy() == params.grid)
    centre = (means[mine] * count[mine, None]).sum(0) / count[mine].sum()
    place = cells.select(["grid", "cell_x", "cell_y"]).take(pa.array(mine)).to_pylist()
    rows = []
    for row in found:
        along = (means[mine] - centre) @ row.vector
        furthest = np.argsort(-along, kind="stable")[:CELLS]
        rows.append(
            {
                "concept": row.name,
                "layer": params.view.layer,
                "images_with": row.sides.count,
                "images_without": row.sides.others,
                "accuracy": row.told.accuracy,
                "low": row.told.low,
                "high": row.told.high,
                "useful": row.told.useful,
                "strength": row.told.strength,
                "direction": row.vector.tolist(),
                "atlas": params.view.name,
                "cells": [place[k] for k in furthest],
                "along": along[furthest].tolist(),
                "about": _useless(row),
            }
        )
        if not row.told.useful:
            inputs.warn(f"audit.concepts: {row.name}: {_useless(row)}")
    return pa.Table.from_pylist(rows, schema=tables.concepts())


def _useless(row: Row) -> str | None:
    if row.told.useful:
        return None
    accuracy, low, high = (f"{100 * v:.0f} %" for v in (row.told.accuracy, row.told.low, row.told.high))
    return (
        f"its direction tells {accuracy} of unseen images rightly, {low} to {high}, and half would be chance: the "
        "layer's mean activations do not know the concept, and nothing is tested; give more images, or another "
        "audit.atlas"
    )


def _effects(found: list[Row]) -> pa.Table:
    rows = [_of_class(row, k) for row in found for k in range(len(row.counts))]
    for own, name in (("score_p", "score_q"), ("p_value", "q_value")):
        q = bh(np.array([np.nan if row[own] is None else row[own] for row in rows], np.float64))
        for row, value in zip(rows, q.tolist(), strict=True):
            row[name] = None if np.isnan(value) else value
    return pa.Table.from_pylist(rows, schema=tables.concept_effects())


def _of_class(row: Row, k: int) -> dict[str, Any]:
    score, tried, lacking = row.scores.get(k), row.effects, []
    if score is None:
        lacking.append(f"{plural(int(row.counts[k]), 'image')} of the class, and its derivative needs {LEAST}")
    if tried is None or tried.images[k] < LEAST:
        few = row.told.useful
        lacking.append(
            f"the trial needs {LEAST} images that are not of the class" if few else "the concept is not useful"
        )
    values: dict[str, Any] = {"concept": row.name, "class": k, "images": int(row.counts[k]), "score_p": None}
    if score is not None:
        values |= {"score": score.score, "score_low": score.low, "score_high": score.high}
        values["derivative"] = score.derivative * row.told.strength
        values["score_p"] = score.p if row.told.useful else None
    values |= {"others": 0 if tried is None else int(tried.images[k]), "p_value": None}
    if tried is not None and tried.images[k] >= LEAST:
        values |= {
            "effect": tried.effect[k], "low": tried.low[k], "high": tried.high[k],
            "random_low": tried.random_low[k], "random_high": tried.random_high[k], "p_value": tried.p[k],
        }  # fmt: skip
        values |= {"flip_rate": tried.flips[k], "lacking_rate": tried.lacking[k], "random_rate": tried.random_flips[k]}
    told = {name: None if isinstance(v, float) and np.isnan(v) else v for name, v in values.items()}
    return {**told, "about": "; ".join(lacking) or None}


def _cost(asked: Sections, images: int) -> Iterator[str]:
    section = asked.config.audit
    if section is not None and section.concepts:
        count = min(images, section.images)
        yield f"{plural(len(section.concepts), 'concept')}, each exchanged some 80 times in {plural(count, 'image')}"


def _reads(params: Params) -> dict[str, Shared]:
    return {"images": "all", "predictions": "all", f"cells/{params.view.name}": "all"}


STAGE = Stage(
    name="concepts",
    version=2,
    about="images, predictions, cells -> concepts: what concepts of yours do to each class",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: ("concepts", "concept_effects"),
    state_of=lambda params: (("extract", ""),),
    libraries=("tensorflow", "keras", "numpy", "scipy", "pillow"),
    model=True,
    threads=False,
    check=("extract", _check),
    cost=_cost,
    steps=_steps,
)
