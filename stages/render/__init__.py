"""Cells -> icons: for each cell an image that makes the layer answer as it does there, and how well it does."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.render.moment import second_moment, source
from activation_atlas.stages.render.section import RenderSpec, cost, steps
from activation_atlas.stages.specs import OpenedModel, PositiveInt, Spec, ViewSpec
from activation_atlas.stages.stage import Inputs, Shard, Shared, Stage, State, UserError
from activation_atlas.stages.vision.colours import colour_root


class Params(Spec):
    view: ViewSpec
    model: OpenedModel
    min_count: PositiveInt = 5
    seed: int = 0
    render: RenderSpec = RenderSpec()


def grids_table(params: Params) -> str:
    return f"grids/{params.view.name}"


def whitening(moment: np.ndarray, ridge: float) -> np.ndarray:
    """S = inverse(M + ridge tr(M) / C I) of a second moment M (C, C), float64.

    Carter et al., Activation Atlas (2019), use the plain inverse, which is unstable.
    """
    return np.linalg.inv(moment + ridge * np.trace(moment) / len(moment) * np.eye(len(moment)))


def directions(means: np.ndarray, whiten: np.ndarray, raw: float) -> np.ndarray:
    """Unit vectors (n, C), float64: (1 - raw) S h / |S h| + raw h / |h| of each cell mean h; zero where h is.

    Whitened alone is the recipe of Carter et al. (2019): what sets a cell apart. A
    share of the mean itself keeps what the cell has in common with others: on
    conv_pw_11 of MobileNet 0.2 raised the icons' median cosine with their cell
    from .75 to .83 and raw retrieval from .67 to .92, and the pictures are calmer.
    """
    means = means.astype(np.float64)
    return _unit((1 - raw) * _unit(means @ whiten) + raw * _unit(means))


def fit(inputs: Inputs, params: Params) -> State:
    """State: whitening (C, C), colour (3, 3), cells (n, 3) int64: grid, cell_x, cell_y of the icons to draw."""
    from threadpoolctl import threadpool_limits

    # A sum split over more threads is another sum: one thread, so that the bytes are the same everywhere.
    with threadpool_limits(limits=1):
        moment = _moment(inputs, params)
        whiten = whitening(moment, params.render.whiten)
        colour = colour_root(_colour_covariance(inputs))
    cells = inputs.table(grids_table(params), ["grid", "cell_x", "cell_y", "count"])
    keys = np.stack([cells[name].to_numpy().astype(np.int64) for name in ("grid", "cell_x", "cell_y")], axis=1)
    asked = np.isin(keys[:, 0], params.render.grids) & (cells["count"].to_numpy() >= params.min_count)
    keys = keys[asked]
    if not len(keys):
        wanted = ", ".join(map(str, params.render.grids))
        inputs.warn(
            f"atlas {params.view.name}: no cell of grid {wanted} holds {params.min_count} rows, so it has no icons; "
            "lower min_count, or choose a coarser grid"
        )
    return {"whitening": whiten, "colour": colour, "cells": keys[np.lexsort(keys.T[::-1])]}


def _moment(inputs: Inputs, params: Params) -> np.ndarray:
    view = params.view
    moment = second_moment(inputs, view)
    if moment is None or not np.trace(moment) > 0:
        what = "has no rows" if moment is None else "never answers (all its activations are 0)"
        raise UserError(f"atlas {view.name}: layer {view.layer} {what}; nothing can be drawn")
    return moment


def _colour_covariance(inputs: Inputs) -> np.ndarray:
    count, first, second = 0, np.zeros(3), np.zeros((3, 3))
    for part in inputs.stream("pixels"):
        count += int(part["count"].to_numpy().sum())
        # Whole numbers of 1/255: their sums do not depend on the order, which parts an image lies in.
        first += np.rint(255 * tables.to_numpy(part["sum"])).sum(0)
        second += np.rint(255**2 * tables.to_numpy(part["products"])).sum(0).reshape(3, 3)
    first, second = first / 255, second / 255**2
    mean = first / max(count, 1)
    return second / max(count, 1) - np.outer(mean, mean)


def shards(inputs: Inputs, params: Params) -> list[Shard]:
    """Batches of cells; at least one shard, so that the table exists."""
    total, size = len(inputs.state()["cells"]), params.render.batch
    starts = range(0, max(total, 1), size)
    return [Shard(k, start, min(start + size, total)) for k, start in enumerate(starts)]


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, Any]:
    name = f"icons/{params.view.name}"
    state = inputs.state()
    keys = np.asarray(state["cells"])
    if shard.start == shard.stop:
        return {name: tables.icons().empty_table()}
    from threadpoolctl import threadpool_limits

    means = _means(inputs.table(grids_table(params), ["grid", "cell_x", "cell_y", "activation"]), keys)
    with threadpool_limits(limits=1):
        towards = directions(means, np.asarray(state["whitening"]), params.render.raw)
    here = slice(shard.start, shard.stop)
    visualizer = _open(params, np.asarray(state["colour"]))
    if visualizer.native and shard.index == 0:
        inputs.warn(
            f"atlas {params.view.name}: the model takes images of its own size only, "
            f"so icons are {visualizer.maximization.recipe.size} pixels wide"
        )
    icons, answers, objective = _best_of(visualizer.maximization, towards[here], keys[here], params)
    with threadpool_limits(limits=1):
        measured = fidelity(answers, keys[here], keys, means, towards)
    rows = {
        "grid": pa.array(keys[here, 0], pa.int16()),
        "cell_x": pa.array(keys[here, 1], pa.int16()),
        "cell_y": pa.array(keys[here, 2], pa.int16()),
        "icon": pa.array([_file(icon, key) for icon, key in zip(icons, keys[here], strict=True)], tables.PNG),
        "objective": pa.array(objective.astype(np.float32)),
        **{column: pa.array(values) for column, values in measured.items()},
        "contrast": pa.array((icons / 255.0).std(axis=(1, 2, 3)).astype(np.float32)),
        "predicted": pa.array(visualizer.predicted(icons)),
    }
    return {name: pa.table(rows, schema=tables.icons())}


def _means(cells: pa.Table, keys: np.ndarray) -> np.ndarray:
    columns = (cells[name].to_pylist() for name in ("grid", "cell_x", "cell_y"))
    place = {key: k for k, key in enumerate(zip(*columns, strict=True))}
    return tables.to_numpy(cells["activation"])[[place[tuple(key)] for key in keys.tolist()]]


def recipe(spec: RenderSpec, size: int, tap: str) -> Any:
    """The recipe for icons of ``size`` pixels; lengths in ``spec`` are shares of the side."""
    from activation_atlas.stages.vision.featurevis.image_param import Spectrum
    from activation_atlas.stages.vision.featurevis.optimise import Recipe
    from activation_atlas.stages.vision.featurevis.transforms import Jitter

    side = size + 2 * round(spec.pad * size)
    return Recipe(
        size=size,
        frame=(side, side),
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        tap=tap,
        power=spec.power,
        spectrum=Spectrum(spec.decay, spec.amplitude, spec.finest),
        jitter=Jitter(spec.rotate, spec.scale, spec.shift * size),
    )


def _open(params: Params, colour: np.ndarray) -> Any:
    from activation_atlas.stages.vision.featurevis.visualizer import open_visualizer, smallest_side

    size = params.render.size or min(96, smallest_side(params.model))
    drawing = recipe(params.render, size, "mean" if params.view.images else "centre")
    return open_visualizer(params.model, params.view.layer, drawing, colour)


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def _best_of(maximization: Any, towards: np.ndarray, keys: np.ndarray, params: Params) -> Drawn:
    """Icons, the layer's answers to them, their objectives: the best of ``tries`` starts of each cell."""

    def drawn(attempt: int) -> Drawn:
        seeds = [(params.seed, *key, attempt) for key in keys.tolist()]
        icons = maximization.draw(towards, seeds, params.seed)
        return (icons, *maximization.answer(icons, towards))

    best = drawn(0)
    for attempt in range(1, params.render.tries):
        other = drawn(attempt)
        better = other[2] > best[2]
        for kept, new in zip(best, other, strict=True):
            kept[better] = new[better]
    return best


def fidelity(
    answers: np.ndarray, own: np.ndarray, keys: np.ndarray, means: np.ndarray, towards: np.ndarray
) -> Mapping[str, np.ndarray]:
    """How faithful icons are, among the drawn cells of their grid.

    Args:
        answers: (n, C) activations of the stored icons.
        own: (n, 3) their cells' keys.
        keys, means, towards: of all drawn cells (m, 3), (m, C), (m, C).

    Returns:
        cosine: of answer and cell mean; retrieval_rank: how many other cells' directions
        have a larger dot product with the answer (it is what was optimised, so a
        detector of faults); retrieval_rank_raw: how many other cells' means have a larger cosine.
    """
    answers = answers.astype(np.float64)
    unit = _unit(answers)
    cosines, dots = unit @ _unit(means.astype(np.float64)).T, answers @ towards.T
    place = {tuple(key): k for k, key in enumerate(keys.tolist())}
    mine = np.array([place[tuple(key)] for key in own.tolist()])
    rivals = keys[None, :, 0] == own[:, :1]

    def rank(scores: np.ndarray) -> np.ndarray:
        return ((scores > np.take_along_axis(scores, mine[:, None], 1)) & rivals).sum(axis=1).astype(np.int32)

    cosine = np.take_along_axis(cosines, mine[:, None], 1)[:, 0].astype(np.float32)
    return {"cosine": cosine, "retrieval_rank": rank(dots), "retrieval_rank_raw": rank(cosines)}


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def png(pixels: np.ndarray) -> bytes:
    """Pixels uint8 (h, w, 3 or 1) as a PNG file."""
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(held, "PNG")
    return held.getvalue()


def _file(icon: np.ndarray, key: np.ndarray) -> dict[str, Any]:
    return {"bytes": png(icon), "path": "{}-{}-{}.png".format(*key.tolist())}


def _check(inputs: Inputs, params: Params) -> None:
    """An icon is drawn towards what a map answers: a layer that is one vector has no map."""
    about = inputs.state("extract", "")["layers"].get(params.view.layer)
    if params.view.images and about and about["height"] * about["width"] == 1:
        raise UserError(
            f"atlas {params.view.name}: layer {params.view.layer} has no positions, so no icons can be drawn; "
            "set render: null, or choose a layer that has"
        )


def _reads(params: Params) -> dict[str, Shared]:
    return {grids_table(params): "all"}


STAGE = Stage(
    name="render",
    version=5,
    about="a feature visualisation for every cell, and how faithful it is",
    params=Params,
    shards=shards,
    run=run,
    check=("extract", _check),
    reads=_reads,
    writes=lambda params: [f"icons/{params.view.name}"],
    fit=fit,
    fit_reads=lambda params: [source(params.view), "pixels", grids_table(params)],
    libraries=("tensorflow", "keras", "numpy", "pillow"),
    model=True,
    threads=False,
    steps=steps,
    cost=cost,
)
