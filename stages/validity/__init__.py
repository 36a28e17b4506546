"""cells and photographs -> how far the heat of a class can be trusted: does it lie where the class's photographs do?

For every statistic of a cell the correlation over cells with the share of the cell's rows that come from photographs
taken for the class, labelled as it, or taken for any class of its group; and the lift of the warmest cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import groups, tables
from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.groups import Given, groups_of
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import PositiveInt, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, one_shard
from activation_atlas.stages.validity import telling
from activation_atlas.stages.validity.judging import Judge, Target
from activation_atlas.stages.validity.photographs import Photographs, Replicates
from activation_atlas.stages.validity.telling import Pool, Told, better, summary

REPLICATES = 200
MANY = 10
"""Photographs that a class, or a group, needs to be judged by itself."""
POOLED = 100
"""Where few classes have so many and no groups are given, the median is over as many of the commonest at most."""


class Params(Spec):
    """Everything the figures depend on."""

    view: ViewSpec
    min_count: PositiveInt = Field(5, description="cells with fewer rows are not compared")
    groups: Given | None = None
    seed: int = 0


def _steps(asked: Sections) -> list[tuple[str, dict[str, Any]]]:
    config = asked.config
    common = {"groups": asked.groups, "seed": config.run.seed}
    classes = config.extract.attribution != "none" and not asked.measured
    judged = [a for a in config.atlases if classes and not a.images]
    return [(a.name, {"view": a.view, "min_count": a.min_count, **common}) for a in judged]


def fit(inputs: Inputs, params: Params) -> State:
    """The rows of the table, and the statistic that is to be shown.

    Returns:
        statistic: mean, relative or top_share: top_share, unless another's median correlation is clearly better.
        over: what the median is over: classes, groups, or commonest (classes, of few photographs each).
        rows: of the table. metrics: what stands in the run's record.
    """
    from threadpoolctl import threadpool_limits

    view, extract = params.view, inputs.state("extract", "")
    if extract["top"]:
        inputs.note(
            "extract.attribution: top keeps an image's 20 highest classes only, so that the heat of a class follows "
            "what images are taken for: how well it does so (validity) says less than with attribution: all"
        )
    grid = inputs.table(f"grids/{view.name}", ["grid", "cell_x", "cell_y"]).combine_chunks()
    grids = Grids(grid)
    photographs = Photographs.of(inputs, view, grids)
    given = groups_of(inputs, params.groups)
    sides = sorted(set(grid["grid"].to_pylist()), reverse=True)
    with threadpool_limits(1):  # the order of a sum must not hang on the number of cores
        replicates = Replicates(photographs, REPLICATES, params.seed)
        judge = Judge(inputs, view, extract, grids, sides, params.min_count, photographs, replicates)
        state = _told(judge, _targets(photographs, extract, given), _statistics(extract), len(extract["attributed"]))
    if state["metrics"]["compared"] and state["statistic"] != telling.SHOWN:
        inputs.note(
            f"atlas {view.name!r}: shown for a class is the {telling.WORDS[state['statistic']]}, which lies where the "
            f"photographs do clearly better than the {telling.WORDS[telling.SHOWN]}"
        )
    return state


def _statistics(extract: State) -> list[str]:
    """A softmax reads attributions less what all classes share, which is known where all were attributed."""
    several = len(extract["attributed"]) > 1
    every = not extract["top"] and len(extract["attributed"]) == len(extract["classes"])
    shared = several and every and extract.get("kind", "softmax") == "softmax"
    return ["mean", *(["relative"] if shared else []), *(["top_share"] if several else [])]


def _targets(photographs: Photographs, extract: State, given: Mapping[str, Sequence[int]]) -> dict[str, list[Target]]:
    """Classes and groups to be judged, by kind."""
    column = {int(index): k for k, index in enumerate(extract["attributed"])}
    pred, label = photographs.pred, photographs.label
    everything = np.ones(len(pred), bool)
    targets: dict[str, list[Target]] = {"predicted": [], "label": [], "group": []}
    for kind, of, among in (("predicted", pred, everything), ("label", label, label.known)):
        number = of.counts(len(extract["classes"]))
        chosen = [k for k in column if number[k] >= MANY]
        if 2 * number[chosen].sum() < number.sum() and not given:
            commonest = sorted((k for k in column if number[k]), key=lambda k: (-number[k], k))
            chosen = sorted({*chosen, *commonest[:POOLED]})
        targets[kind] = [Target(kind, k, (column[k],), of.of(k), among) for k in sorted(chosen)]
    for name, classes in given.items():
        own = tuple(column[k] for k in classes if k in column)
        if own:
            targets["group"].append(Target("group", name, own, pred.of(*classes), everything))
    return targets


def _told(judge: Judge, targets: Mapping[str, Sequence[Target]], statistics: Sequence[str], attributed: int) -> State:
    """Judges all targets, and chooses the statistic to show.

    Of a group that holds all attributed classes nothing is told: what the heat of one gains that of another loses.
    """
    pools = {kind: Pool.of(kind, own, MANY) for kind, own in targets.items()}
    asked = [target for pool in pools.values() for target in pool.targets]
    place = {id(target): k for k, target in enumerate(asked)}
    judged = judge.judge(asked, statistics)
    for (_, _, k), association in judged.items():
        if asked[k].kind == "group" and len(asked[k].columns) == attributed > 1:
            association.moments.fill(0)
            association.lifts.fill(np.nan)
    rows: list[dict[str, Any]] = []
    figures: dict[str, list[dict[str, Told]]] = {kind: [] for kind, pool in pools.items() if pool.targets}
    for level in judge.levels:
        for kind, pool in pools.items():
            told = {
                statistic: Told.of([judged[level.grid, statistic, place[id(target)]] for target in pool.targets])
                for statistic in statistics
                if pool.targets
            }
            if told:
                figures[kind].append(told)
            rows += [{"grid": level.grid, "cells": level.cells, **row} for row in telling.rows(kind, pool, told)]
    basis, over = _basis(pools)
    statistic: str = telling.usual(statistics)
    compared: list[dict[str, Any]] = []
    if basis is not None and judge.levels:
        statistic, compared = better(figures[basis], pools[basis].pooled)
    metrics = {"statistic": statistic, "over": over, "compared": compared, "grids": summary(rows, statistic)}
    return {"statistic": statistic, "over": over, "rows": rows, "metrics": metrics}


def _basis(pools: Mapping[str, Pool]) -> tuple[str | None, str]:
    """What the statistics are compared by: classes, or groups where these are given and few classes have photographs
    enough; and how that is called."""
    predicted, groups = pools["predicted"], pools["group"]
    if predicted.targets and len(predicted.each) == len(predicted.pooled) and not _mostly_rare(predicted):
        return "predicted", "classes"
    if groups.each:
        return "group", "groups"
    return ("predicted", "commonest") if predicted.targets else (None, "")


def _mostly_rare(pool: Pool) -> bool:
    """Whether most photographs are of classes that are not told by themselves."""
    return 2 * sum(pool.targets[k].photographs for k in pool.each) < pool.targets[0].among.sum()


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """What ``fit`` found, as a table."""
    rows = sorted(inputs.state()["rows"], key=_order)
    return {f"validity/{params.view.name}": pa.Table.from_pylist(rows, schema=tables.validity())}


def _order(row: Mapping[str, Any]) -> tuple:
    """By key; the medians, which are of no class and no group, come first."""
    own = -1 if row["class"] is None else row["class"], row["group"] or ""
    return row["grid"], row["statistic"], row["kind"], *own


def _reads(params: Params) -> tuple[str, ...]:
    view = params.view
    own = (f"grids/{view.name}", f"layouts/{view.name}", view.rows_table, "predictions")
    return (*own, *groups.reads(params.groups))


STAGE = Stage(
    name="validity",
    version=4,
    about="how far the heat of a class can be trusted: whether it lies where the class's photographs do",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {},
    writes=lambda params: (f"validity/{params.view.name}",),
    fit=fit,
    fit_reads=_reads,
    state_of=lambda params: (("extract", ""),),
    check=("extract", lambda inputs, params: groups.check(inputs, params.groups)),
    libraries=("numpy", "scipy"),
    threads=False,
    steps=_steps,
    foreseen=True,
)
